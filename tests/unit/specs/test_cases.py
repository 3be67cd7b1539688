"""The models and the CRDs say the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from specs.kinds import BY_KIND
from specs.machine import Machine
from specs.problems import problems
from tests.unit.specs import more_cases as more
from tests.unit.specs import server
from tests.unit.specs.cases import MACHINES, Case, of
from tests.unit.specs.openstack_cases import FULL_OPENSTACK, MACHINE_SETS, OPENSTACK
from tests.unit.specs.strategies import machines


def dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


TABLES: dict[str, tuple[Case, ...]] = {
    "Machine": (*MACHINES, *OPENSTACK),
    "MachineSet": MACHINE_SETS,
    "Dataset": more.DATASETS,
    "RayCluster": more.RAY_CLUSTERS,
    "SwarmCluster": more.SWARM_CLUSTERS,
    "Experiment": more.EXPERIMENTS,
    "ModelVersion": more.MODEL_VERSIONS,
    "ModelDeployment": more.MODEL_DEPLOYMENTS,
}
CASES = [pytest.param(kind, case, id=f"{kind}: {case.id}") for kind, table in TABLES.items() for case in table]


def test_every_kind_has_a_table() -> None:
    """No kind is left out."""
    assert TABLES.keys() == BY_KIND.keys() == FULL.keys()


@pytest.mark.parametrize(("kind", "case"), [*CASES, *(pytest.param("Experiment", case, id=case.id) for case in more.CANDIDATES)])
def test_the_model_judges(kind: str, case: Case) -> None:
    """The model takes what is right, and names the very path of what is wrong."""
    model, obj = BY_KIND[kind], of(kind, case.spec)
    if case.old is None:
        found = {dotted(problem.path) for problem in problems(model, obj)}
        expected = {case.refused} if case.refused else set()
        assert found == ({""} if case.refused == "spec" and case.spec is None else expected)
    else:
        assert not problems(model, obj)
        found = {path for path, _ in model.changes_refused(of(kind, case.old), obj)}
        assert (case.refused in found) if case.refused else not found


def test_a_column_stands_once() -> None:
    """A list that is a map by name: the model says so; the server merges by the key, and refuses what stands twice."""
    obj = of("Dataset", {"uri": "a", "schema": {"fields": [{"name": "x"}, {"name": "x"}]}})
    assert [dotted(problem.path) for problem in problems(BY_KIND["Dataset"], obj)] == ["spec.schema.fields"]
    schema = server.root("Dataset")["properties"]["spec"]["properties"]["schema"]["properties"]["fields"]
    assert schema["x-kubernetes-list-map-keys"] == ["name"]


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_the_crd_judges(kind: str, case: Case) -> None:
    """A Kubernetes API server with our CRD decides alike, at the same path or where the rule stands."""
    found = {dotted(path) for path in server.refuses(of(kind, case.spec), of(kind, case.old) if case.old else None)}
    expected = {case.crd_refused or case.refused} if case.refused else set()
    assert found == ({""} if case.refused == "spec" and case.spec is None else expected)


@given(machines)
def test_what_is_right_is_right_for_both(obj: dict[str, Any]) -> None:
    """Whatever the model takes, the CRD takes."""
    assert not problems(Machine, obj)
    assert not server.refuses(obj)


@given(machines)
def test_defaults_are_the_same_on_both_sides(obj: dict[str, Any]) -> None:
    """Defaults by the CRD, level by level, give the object that the model gives, and defaulting twice is defaulting once."""
    defaulted = server.with_defaults(obj)
    spec = Machine.parse(obj).model_dump(mode="json", include={"spec"}, exclude_none=True)["spec"]
    assert defaulted["spec"] == spec
    assert server.with_defaults(defaulted) == defaulted
    assert Machine.parse(defaulted) == Machine.parse(obj)


# --- the campaign: every field, each way of getting it wrong ---------------------------------------------------------

MACHINE_FULL = [
    {"simulated": {"endpoint": "http://a", "credentialsRef": {"secretKeyRef": {"name": "a", "key": "b"}}, "flavor": "a",
                   "image": "a", "ports": [{"network": "a"}], "floatingIP": True, "serverMetadata": [{"key": "a", "value": "a"}]},
     "managementPolicy": "unmanaged", "import": {"id": "a"}, "remediation": {"maxRetry": 1, "retryPeriodSeconds": 1}},
    {"simulated": {"endpoint": "http://a", "credentialsRef": {"file": "a"}}},
    {"simulated": {"endpoint": "http://a", "credentialsRef": {"env": "a"}}},
    {"local": {}},
    *FULL_OPENSTACK,
]  # fmt: skip
SET_FULL = [
    {"replicas": 2, "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}, "deletion": {"order": "Oldest"},
     "rollout": {"strategy": {"type": "OnDelete", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}}}
    for spec in MACHINE_FULL if "import" not in spec
]  # fmt: skip
FULL = {"Machine": MACHINE_FULL, "MachineSet": SET_FULL, **more.FULL}
OTHER: dict[str, list[Any]] = {
    "string": [5, True, [], {}],
    "integer": ["5", True, 1.5, [], {}],
    "number": ["5", True, [], {}],
    "boolean": ["true", 0, [], {}],
    "array": ["x", 5, {}],
    "object": ["x", 5, [], True],
}


def fields(schema: dict[str, Any], path: tuple[str | int, ...] = ()) -> Any:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from fields(child, (*path, name))
    if "items" in schema:
        yield from fields(schema["items"], (*path, 0))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part] if isinstance(value, list) else value.get(part)
        if value is None:
            return None
    return value


def replaced(spec: Any, path: tuple[str | int, ...], new: Any) -> Any:
    spec = copy.deepcopy(spec)
    if not path:
        return new
    at(spec, path[:-1])[path[-1]] = new
    return spec


def wrong_values(schema: dict[str, Any]) -> Any:
    yield from OTHER[schema["type"]]
    if "enum" in schema:
        yield "no such choice"
    if "maxLength" in schema:
        yield "a" * (schema["maxLength"] + 1) if not schema.get("pattern", "").startswith("^http") else "http://" + "a" * 2048
    if schema.get("minLength"):
        yield ""
    if "pattern" in schema:
        yield from ("\u0000", "a\nb\u0001", "é\t")
    if "minimum" in schema:
        yield schema["minimum"] - 1
        yield schema["maximum"] + 1
    if "maxItems" in schema:
        yield "too many"


CAMPAIGN = [
    (kind, path, schema, spec)
    for kind, specs in FULL.items()
    for path, schema in fields(server.root(kind)["properties"]["spec"])
    if "type" in schema and not (kind == "MachineSet" and path[:2] == ("template", "spec") and len(path) > 2)  # as in Machine
    for spec in [next((spec for spec in specs if at(spec, path) is not None), None)]
]


def test_the_campaign_reaches_every_field() -> None:
    """No field of a spec is left out of the campaign."""
    assert not [(kind, path) for kind, path, _, spec in CAMPAIGN if spec is None]


@pytest.mark.parametrize("kind", FULL)
def test_what_names_every_field_is_right(kind: str) -> None:
    """The specs that the campaign starts from are right for both sides."""
    for spec in FULL[kind]:
        assert not problems(BY_KIND[kind], of(kind, spec))
        assert not server.refuses(of(kind, spec))
        assert (
            server.with_defaults(of(kind, spec))["spec"]
            == BY_KIND[kind].parse(of(kind, spec)).model_dump(mode="json", include={"spec"}, exclude_none=True)["spec"]
        )


@pytest.mark.parametrize(
    ("kind", "path", "schema", "spec"), CAMPAIGN, ids=lambda item: dotted(item) or "spec" if isinstance(item, tuple) else None
)
def test_each_way_of_getting_a_field_wrong(kind: str, path: tuple[str | int, ...], schema: dict[str, Any], spec: Any) -> None:
    """A wrong type, a value out of range, an unknown neighbour: refused by model and CRD, at that very path."""
    here = ("spec", *path)
    for wrong in wrong_values(schema):
        value = at(spec, path) * (schema["maxItems"] + 1) if wrong == "too many" else wrong
        obj = of(kind, replaced(spec, path, value))
        assert {p.path for p in problems(BY_KIND[kind], obj)} == {here}, value
        assert server.refuses(obj) == {here}, value
    if "properties" in schema:
        obj = of(kind, replaced(spec, (*path, "bogus"), 1))
        assert (*here, "bogus") in {p.path for p in problems(BY_KIND[kind], obj)}
        assert server.refuses(obj) == {(*here, "bogus")}
