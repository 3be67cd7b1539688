"""Unknown fields, defaults and wrong values are found, named by their path, and never give a secret away."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.resources import registry
from reconciler.api.validation import MAX_ECHO, Cause, decode_strict, default, did_you_mean, prune, validate

TYPES = {rtype.kind: rtype for rtype in registry()}
MACHINE = TYPES["Machine"]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "default": 3},
                "s": {"type": "string"},
                "nullable": {"type": "string", "nullable": True, "default": "x"},
                "o": {
                    "type": "object",
                    "default": {},
                    "properties": {"deep": {"type": "string", "default": "d"}, "other": {"type": "string"}},
                },
                "m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"v": {"default": 1}}}},
                "l": {"type": "array", "items": {"type": "object", "properties": {"v": {"type": "string", "default": "w"}}}},
                "open": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"known": {"type": "object", "properties": {"v": {"type": "string"}}}},
                },
                "empty": {"type": "object"},
            },
        }
    },
}
KEYS = st.sampled_from(["n", "s", "o", "m", "l", "open", "known", "empty", "v", "deep", "spec", "metadata", "nope"])
JSON = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
OBJECTS = st.builds(
    lambda spec, more: {**more, "kind": "T", "spec": spec}, st.dictionaries(KEYS, JSON, max_size=6), st.dictionaries(KEYS, JSON)
)


def take_out(obj: Any, path: str) -> None:
    """Remove one path such as `spec.l[0].nope`."""
    steps = [int(s[:-1]) if s.endswith("]") else s for s in path.replace("[", ".").split(".")]
    for step in steps[:-1]:
        obj = obj[step]
    del obj[steps[-1]]


@given(OBJECTS)
def test_prune_removes_exactly_what_strict_decoding_names(obj):
    """Taking out by hand the paths that are named gives the pruned object, in which nothing more is unknown."""
    by_hand, pruned = deepcopy(obj), deepcopy(obj)
    for path in decode_strict(obj, SCHEMA):
        take_out(by_hand, path)
    prune(pruned, SCHEMA)
    assert pruned == by_hand
    assert decode_strict(pruned, SCHEMA) == []


UNKNOWN = {
    "top": ({"specc": {}}, ["specc"]),
    "field": ({"spec": {"flavour": 1}}, ["spec.flavour"]),
    "in-list": ({"spec": {"l": [{"v": "x"}, {"w": 1, "u": 2}]}}, ["spec.l[1].w", "spec.l[1].u"]),
    "in-map": ({"spec": {"m": {"key": {"w": 1}}}}, ["spec.m.key.w"]),
    "in-empty": ({"spec": {"empty": {"x": 1}}}, ["spec.empty.x"]),
    "preserved": ({"spec": {"open": {"x": {"y": 1}, "known": {"w": 1}}}}, ["spec.open.known.w"]),
    "metadata": ({"metadata": {"name": "n", "label": {}, "labels": {"free": "x"}}}, ["metadata.label"]),
    "known": ({"apiVersion": "v1", "kind": "T", "metadata": {"name": "n", "annotations": {"a/b": "c"}}, "spec": {"n": 1}}, []),
}  # fmt: skip


@pytest.mark.parametrize(("obj", "paths"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_fields_are_named_by_their_path(obj, paths):
    """A field that the schema lacks is named; what is free-form by design is not."""
    assert decode_strict(obj, SCHEMA) == paths


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("spec.simulated.flavour", "flavor"),
        ("spec.simulated.ports[0].netwrok", "network"),
        ("metadata.label", "labels"),
        ("spce", "spec"),
        ("spec.xyzzy", None),
        ("spec.nowhere.at.all", None),
    ],
)
def test_did_you_mean(path, meant):
    """A slip of the finger finds the field that was meant; nonsense finds none."""
    assert did_you_mean(path, MACHINE.schema) == meant


# --- defaults --------------------------------------------------------------------------------------------------------


@given(OBJECTS)
def test_defaults_are_set_once(obj):
    """Defaulting is idempotent, changes no value that is there, and adds no unknown field."""
    once = deepcopy(obj)
    default(once, SCHEMA)
    twice = deepcopy(once)
    default(twice, SCHEMA)
    assert twice == once
    assert decode_strict(once, SCHEMA) == decode_strict(obj, SCHEMA)


DEFAULTS = {
    "missing": ({"spec": {}}, {"spec": {"n": 3, "nullable": "x", "o": {"deep": "d"}}}),
    "given": ({"spec": {"n": 0, "nullable": "", "o": {"deep": "e"}}}, {"spec": {"n": 0, "nullable": "", "o": {"deep": "e"}}}),
    "null": ({"spec": {"n": None, "nullable": None}}, {"spec": {"n": 3, "nullable": None, "o": {"deep": "d"}}}),
    "no-parent": ({}, {}),
    "in-list": (
        {"spec": {"l": [{}, {"v": "x"}]}},
        {"spec": {"l": [{"v": "w"}, {"v": "x"}], "n": 3, "nullable": "x", "o": {"deep": "d"}}},
    ),
    "in-map": ({"spec": {"m": {"k": {}}}}, {"spec": {"m": {"k": {"v": 1}}, "n": 3, "nullable": "x", "o": {"deep": "d"}}}),
}


@pytest.mark.parametrize(("obj", "expected"), DEFAULTS.values(), ids=DEFAULTS)
def test_defaults(obj, expected):
    """Missing fields are set where their parent exists; a null counts as missing unless it is allowed."""
    default(obj, SCHEMA)
    assert obj == expected


def test_defaults_are_not_shared():
    """Changing one object's default value changes no other object's."""
    one: dict[str, Any] = {"spec": {}}
    default(one, SCHEMA)
    one["spec"]["o"]["deep"] = "changed"
    two: dict[str, Any] = {"spec": {}}
    default(two, SCHEMA)
    assert two["spec"]["o"] == {"deep": "d"}


# --- the model -------------------------------------------------------------------------------------------------------

LOCAL = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": {"name": "m"}, "spec": {"local": {}}}


def simulated(**fields: Any) -> dict[str, Any]:
    return {**LOCAL, "spec": {"simulated": {"endpoint": "http://cloud", **fields}}}


WRONG = {
    "required": (simulated(ports=[{}]), Cause("FieldValueRequired", "Required value", "spec.simulated.ports[0].network")),
    "pattern": (
        simulated(image="a b"),
        Cause("FieldValueInvalid", "Invalid value: \"a b\": should match '^[-._a-zA-Z0-9]+$'", "spec.simulated.image"),
    ),
    "type": (
        simulated(floatingIP="yes"),
        Cause(
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.simulated.floatingIP in body must be of type boolean',
            "spec.simulated.floatingIP",
        ),
    ),
    "choice": (
        {**LOCAL, "spec": {"local": {}, "managementPolicy": "maybe"}},
        Cause(
            "FieldValueNotSupported",
            'Unsupported value: "maybe": supported values: "managed", "unmanaged"',
            "spec.managementPolicy",
        ),
    ),
    "too-big": (
        {**LOCAL, "spec": {"local": {}, "remediation": {"maxRetry": 99}}},
        Cause("FieldValueInvalid", "Invalid value: 99: should be less than or equal to 10", "spec.remediation.maxRetry"),
    ),
    "too-many": (
        simulated(ports=[{"network": "n"}] * 9),
        Cause("FieldValueTooMany", "Too many: 9: must have at most 8 items", "spec.simulated.ports"),
    ),
    "too-long": (
        simulated(flavor="x" * 300),
        Cause("FieldValueTooLong", "Too long: may not be more than 255 characters", "spec.simulated.flavor"),
    ),
    "unknown": (simulated(flavour="x"), Cause("FieldValueForbidden", "Forbidden: unknown field", "spec.simulated.flavour")),
    "one-of": (
        {**LOCAL, "spec": {}},
        Cause(
            "FieldValueInvalid",
            'Invalid value: "object": exactly one provider of local, simulated, openstack must be set, not 0',
            "spec",
        ),
    ),
    "no-spec": ({k: v for k, v in LOCAL.items() if k != "spec"}, Cause("FieldValueRequired", "Required value", "spec")),
    "spec-is-text": (
        {**LOCAL, "spec": "x"},
        Cause("FieldValueTypeInvalid", 'Invalid value: "string": spec in body must be of type object', "spec"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("obj", "cause"), WRONG.values(), ids=WRONG)
def test_wrong_values_are_explained_as_kubernetes_does(obj, cause):
    """One wrong field gives one cause: the API's reason, kubectl's wording, the field's path."""
    assert validate(MACHINE.model, obj) == [cause]


def test_a_valid_object_has_no_causes():
    """Nothing is found where nothing is wrong."""
    assert validate(MACHINE.model, LOCAL) == []


def test_every_wrong_field_is_named_at_once():
    """A user need not mend one field to learn of the next."""
    found = validate(MACHINE.model, {**LOCAL, "spec": {"simulated": {"endpoint": 1, "image": 2}, "managementPolicy": 3}})
    assert [cause.field for cause in found] == ["spec.simulated.endpoint", "spec.simulated.image", "spec.managementPolicy"]


def test_long_values_are_cut():
    """An error does not repeat megabytes."""
    (cause,) = validate(MACHINE.model, simulated(endpoint="x" * 2000))
    assert len(cause.message) < MAX_ECHO + 60


def test_the_password_of_a_url_is_not_repeated():
    """A credential that was written where none belongs is not shown in the error that says so."""
    (cause,) = validate(MACHINE.model, simulated(endpoint="http://me:hunt@er2@cloud"))
    assert "hunt" not in cause.message
    assert "er2" not in cause.message


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"password": "hunter2!"}},
        {"data": {"password": 12345678}},
        {"data": {"hunter2!": "eA=="}},
        {"stringData": {"password": ["hunter2!"]}},
        {"stringData": {"password": {"hunter2!": 1}}},
        {"data": "hunter2!"},
        {"data": ["hunter2!"]},
    ],
    ids=repr,
)
def test_a_secret_is_never_repeated(fields):
    """Whatever is wrong with a Secret's values, the error does not show them."""
    causes = validate(TYPES["Secret"].model, {**SECRET, **fields})
    assert causes
    assert all("hunter2!" not in cause.message and "12345678" not in cause.message for cause in causes)
