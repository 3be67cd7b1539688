"""The generated definitions: structural, complete, and what is committed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, Field

from specs import crd, explain, reference
from specs.builtin import BUILTIN
from specs.kinds import KINDS
from specs.meta import Model, Reason, Resource
from specs.reasons import REASONS


def nodes(schema: dict[str, Any], path: str = "") -> Any:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.names.kind)
def definition(request: pytest.FixtureRequest) -> dict[str, Any]:
    return crd.crd(request.param)


def root(definition: dict[str, Any]) -> dict[str, Any]:
    return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


ALLOWED = {
    "type", "description", "properties", "required", "items", "additionalProperties", "default", "enum", "format", "pattern",
    "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
    "minProperties", "maxProperties", "multipleOf", "nullable", "x-kubernetes-validations",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
}  # fmt: skip


def test_the_schema_is_structural(definition: dict[str, Any]) -> None:
    """The rules of Kubernetes: a type everywhere but where all is left to the model, no reference, no union, known keywords."""
    for path, node in nodes(root(definition)):
        if node.get("x-kubernetes-preserve-unknown-fields") and "type" not in node:
            assert set(node) <= {"description", "default", "x-kubernetes-preserve-unknown-fields"}, path
            continue
        assert isinstance(node["type"], str), path
        assert node["type"] in ("object", "array", "string", "integer", "number", "boolean"), path
        assert set(node) <= ALLOWED, path
        assert node.get("additionalProperties") is not False, path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert set(node.get("required", ())) <= set(node.get("properties", {})), path
        assert node["type"] != "array" or "items" in node, path
        for name in node.get("required", ()):
            assert "default" not in node["properties"][name], f"{path}.{name} is required and has a default"


def test_of_metadata_only_the_name_is_restricted(definition: dict[str, Any]) -> None:
    """What Kubernetes allows there: `type` and the name's limits."""
    metadata = root(definition)["properties"]["metadata"]
    assert set(metadata) <= {"type", "description", "properties"}
    assert set(metadata["properties"]) <= {"name", "generateName"}
    assert root(definition)["properties"]["apiVersion"].keys() == {"type", "description"}


def test_keys_of_map_lists_are_required(definition: dict[str, Any]) -> None:
    """A list that merges by key has that key in every item, and it is a scalar."""
    for path, node in nodes(root(definition)):
        if node.get("x-kubernetes-list-type") == "map":
            for key in node["x-kubernetes-list-map-keys"]:
                assert key in node["items"]["required"], path
                assert node["items"]["properties"][key]["type"] in ("string", "integer", "boolean"), path


def test_defaults_are_valid(definition: dict[str, Any]) -> None:
    """A default is of the field's type, and is no null."""
    types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": (int, float)}
    for path, node in nodes(root(definition)):
        if "default" in node and "type" in node:
            assert isinstance(node["default"], types[node["type"]]), path
            assert "enum" not in node or node["default"] in node["enum"], path


def test_every_number_text_and_list_has_a_limit(definition: dict[str, Any]) -> None:
    """Nothing that a user or a daemon writes can grow without bound. This also bounds what the CEL rules cost."""
    for path, node in nodes(root(definition)):
        if path in (".apiVersion", ".kind") or "enum" in node or "type" not in node:
            continue
        match node["type"]:
            case "string":
                assert "maxLength" in node, path
            case "integer" | "number":
                assert {"minimum", "maximum"} <= set(node), path
            case "array":
                assert "maxItems" in node, path
            case "object" if "additionalProperties" in node or "x-kubernetes-preserve-unknown-fields" in node:
                assert "maxProperties" in node, path


def test_every_field_is_documented(definition: dict[str, Any]) -> None:
    """`anneal explain` has a sentence for every field."""
    for path, node in nodes(root(definition)):
        if not path.endswith(("[]", "{}", ".metadata.name")):
            assert len(node.get("description", "")) > 3, path


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model not in seen:
        seen.add(model)
        for info in model.model_fields.values():
            for inner in _models_in(info.annotation):
                models(inner, seen)
    return seen


def _models_in(annotation: Any) -> Any:
    if get_origin(annotation) in (Literal, None):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in get_args(annotation):
        yield from _models_in(argument)


def test_every_model_is_documented() -> None:
    """Every model and every field has a docstring, the built-in kinds included."""
    found: set[type[BaseModel]] = set()
    for kind in (*KINDS, *BUILTIN.values()):
        models(kind, found)
    for model in found:
        assert model.__doc__, model
        for name, info in model.model_fields.items():
            assert info.description, f"{model.__name__}.{name}"


def test_names_are_those_of_kubernetes(definition: dict[str, Any]) -> None:
    """Group, category, status and (with replicas) scale subresource, printer columns with Ready, Reason, Age and Message."""
    spec = definition["spec"]
    assert definition["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert spec["names"]["categories"] == ["anneal"]
    version = spec["versions"][0]
    assert version["subresources"]["status"] == {}
    replicas = "replicas" in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert ("scale" in version["subresources"]) == replicas
    assert {"Ready", "Reason", "Age", "Message"} <= {column["name"] for column in version["additionalPrinterColumns"]}
    assert all(column["jsonPath"].startswith(".") for column in version["additionalPrinterColumns"])


def test_every_rule_is_in_the_crd() -> None:
    """No rule of a kind is lost on the way."""
    for kind in KINDS:
        rules = [rule["rule"] for _, node in nodes(root(crd.crd(kind))) for rule in node.get("x-kubernetes-validations", ())]
        assert sorted(rules) == sorted(rule.cel for rule in kind.rules)


@pytest.mark.parametrize("module", [crd, reference], ids=lambda module: module.__name__)
def test_what_is_committed_is_what_the_models_say(module: Any) -> None:
    """specs/crds/ and docs/reference/ do not drift; `make generate` brings them up to date."""
    assert module.main(["--check"]) == 0


def test_the_yaml_holds_the_definition() -> None:
    """Reading the file gives the definition."""
    for kind in KINDS:
        assert yaml.safe_load(crd.to_yaml(crd.crd(kind))) == crd.crd(kind)


def test_drift_is_noticed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing, a changed and a superfluous file each fail the check by name, and writing mends all three."""
    monkeypatch.setattr(crd, "FOLDER", tmp_path / "specs" / "crds")
    assert crd.main(["--check"]) == 1
    assert crd.main([]) == 0
    assert crd.main(["--check"]) == 0
    (crd.FOLDER / "zebras.anneal.dev.yaml").write_text("x")
    (crd.FOLDER / "machines.anneal.dev.yaml").write_text("x")
    assert crd.main(["--check"]) == 1
    assert {line.split()[0] for line in capsys.readouterr().err.splitlines()[-2:]} == {
        "specs/crds/zebras.anneal.dev.yaml", "specs/crds/machines.anneal.dev.yaml"
    }  # fmt: skip
    assert crd.main([]) == 0
    assert crd.main(["--check"]) == 0


class Inner(Model):
    """Has a default of its own."""

    level: Annotated[int, Field(ge=0, le=9)] = 1
    """A level."""
    mode: Literal["a"] = "a"
    """A constant."""


class Outer(Model):
    """Holds others."""

    same: Inner = Inner()
    """As the inner defaults have it."""
    other: Inner = Inner(level=5)
    """A default that differs."""
    maybe: Inner | None = None
    """Nothing by default."""
    by_name: Annotated[dict[str, Inner], Field(max_length=3)] = {}
    """A map."""
    above: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Between, without the ends."""


class Outermost(Model):
    """Holds what holds others."""

    deep: Outer = Outer(same=Inner(level=3))
    """Differs two levels down."""


def test_deep_defaults_hold_only_what_differs() -> None:
    """However deep the difference, the default is that difference and nothing else."""
    assert crd.schema(Outermost)["properties"]["deep"]["default"] == {"same": {"level": 3}}


def test_defaults_of_objects_are_written_level_by_level() -> None:
    """`default: {}` where the inner defaults say the same; only what differs where they do not."""
    fields = crd.schema(Outer)["properties"]
    assert fields["same"]["default"] == {}
    assert fields["other"]["default"] == {"level": 5}
    assert "default" not in fields["maybe"]
    assert fields["same"]["properties"]["level"]["default"] == 1


def test_keywords_are_those_of_openapi_3_0() -> None:
    """Exclusive limits are flags, constants are enums, integers say their format, maps say what they hold."""
    fields = crd.schema(Outer)["properties"]
    above = fields["above"]
    assert (above["minimum"], above["exclusiveMinimum"], above["maximum"], above["exclusiveMaximum"]) == (0, True, 1, True)
    assert fields["same"]["properties"]["mode"]["enum"] == ["a"]
    assert fields["same"]["properties"]["level"]["format"] == "int64"
    assert fields["byName"]["additionalProperties"]["properties"]["level"]["type"] == "integer"


def test_a_union_is_refused() -> None:
    """What no structural schema can say is an error when the CRD is made, not at the server."""

    class Union(Model):
        """Two types at once."""

        value: int | str
        """Either."""

    with pytest.raises(TypeError, match="a union is not a type"):
        crd.schema(Union)


def test_a_schema_is_the_callers() -> None:
    """Changing what schema() returned changes nobody else's."""
    crd.schema(Outer)["properties"].clear()
    assert crd.schema(Outer)["properties"]


def test_every_reason_is_described() -> None:
    """The closed list of reasons is closed on both sides."""
    assert set(REASONS) == set(Reason)
    assert all(text.endswith(".") for text in REASONS.values())


def test_explain_knows_every_field() -> None:
    """Whatever field there is, `anneal explain` prints it with its description; under metadata too."""
    for kind in KINDS:
        for path, node in nodes(crd.schema(kind)):
            if "{}" in path or path == "":
                continue
            text = explain.explain(kind.names.singular, path.replace("[]", "").lstrip("."))
            if not path.endswith("[]"):
                assert node["description"].split()[0] in text, path


def test_explain_goes_into_what_a_definition_cannot_hold() -> None:
    """`candidates` is a word or a list, which no structural schema can say: its fields are told all the same."""
    text = explain.explain("experiment", "spec.candidates")
    assert "auto" in text
    assert "estimator" in text
    assert "logUniform" in explain.explain("exper", "spec.candidates.parameters.feasibleSpace.distribution")
    with pytest.raises(explain.ExplainError, match='did you mean "estimator"'):
        explain.explain("experiment", "spec.candidates.estimater")


def test_explain_takes_any_name_of_a_kind() -> None:
    """Kind, plural, singular and short names, in any case."""
    assert len({explain.explain(name) for name in ("Machine", "machines", "machine", "mch", "MCH")}) == 1


@pytest.mark.parametrize(
    ("kind", "path", "message"),
    [("mashine", "", 'did you mean "machine"'), ("mch", "sepc", 'did you mean "spec"'), ("mch", "spec.local.x", 'no field "x"')],
)
def test_explain_says_what_was_meant(kind: str, path: str, message: str) -> None:
    """A kind or field that is not there is an error with the nearest one."""
    with pytest.raises(explain.ExplainError, match=message):
        explain.explain(kind, path)


def test_kinds_are_consistent() -> None:
    """Names are unique over all kinds, and every kind has spec and status."""
    every = [name for kind in KINDS for name in (kind.names.plural, *kind.names.short)]
    assert len(set(every)) == len(every)
    for kind in KINDS:
        assert issubclass(kind, Resource)
        assert {"spec", "status"} <= set(kind.model_fields)
