"""Patches do what their RFCs and Kubernetes' documentation say."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.patches import PatchError, json_patch, merge_patch, strategic_merge

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "b", "~/"])
KEYS = st.sampled_from(["a", "b", "c/d", "e~f", "0"])


def maps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(KEYS, values, max_size=4)


JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | maps(inner), max_leaves=12)
OBJECTS = maps(JSON)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


def difference(old: Any, new: Any) -> Any:
    """A merge patch from old to new, written the other way round from how one is applied."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch = {key: None for key in old if key not in new}
    patch |= {key: difference(old[key], new[key]) for key in new if key in old and old[key] != new[key]}
    return patch | {key: new[key] for key in new if key not in old}


# --- merge patch -----------------------------------------------------------------------------------------------------

RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "expected"), RFC_7396, ids=[f"appendix-a-{i}" for i in range(len(RFC_7396))])
def test_merge_patch_follows_the_rfc(target, patch, expected):
    """Every example of RFC 7396, appendix A, whose patch is a map comes out as printed there."""
    assert merge_patch(target, patch) == expected


@given(OBJECTS.map(without_nulls), OBJECTS.map(without_nulls))
def test_the_difference_of_two_objects_leads_from_one_to_the_other(old, new):
    """Applying the merge patch between two objects to the first gives the second, and changes neither."""
    before = deepcopy((old, new))
    assert merge_patch(old, difference(old, new)) == new
    assert (old, new) == before


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_twice_is_a_merge_patch_once(target, patch):
    """Merge patches are idempotent."""
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(OBJECTS, OBJECTS)
def test_nothing_of_the_result_is_shared(target, patch):
    """Whoever changes the result changes neither the object nor the patch."""
    before = deepcopy((target, patch))
    stack: list[Any] = [merge_patch(target, patch)]
    while stack:
        item = stack.pop()
        stack.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        if isinstance(item, dict | list):
            item.clear()
    assert (target, patch) == before


@pytest.mark.parametrize("patch", [[], "x", None, 1], ids=repr)
def test_a_merge_patch_is_a_map(patch):
    """Anything but a map is refused as malformed, not as unfit."""
    with pytest.raises(PatchError) as caught:
        merge_patch({}, patch)
    assert caught.value.code == 400


# --- JSON patch ------------------------------------------------------------------------------------------------------

RFC_6902 = {
    "add-member": ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    "add-element": ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/0", "value": "q"}], {"foo": ["q", "bar"]}),
    "remove-member": ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    "remove-element": ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    "replace": ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    "move-value": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "move-element": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "test-success": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "add-nested": (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    "unknown-members-ignored": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
        {"foo": "bar", "baz": "qux"},
    ),
    "tilde-escapes": ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    "add-array-value": (
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
}


@pytest.mark.parametrize(("target", "ops", "expected"), RFC_6902.values(), ids=RFC_6902)
def test_json_patch_follows_the_rfc(target, ops, expected):
    """The examples of RFC 6902, appendix A, come out as printed there."""
    assert json_patch(target, ops) == expected


REFUSED = {
    "no-list": ({"op": "add"}, 400),
    "no-maps": ([1], 400),
    "no-op": ([{"path": "/a"}], 400),
    "unknown-op": ([{"op": "frobnicate", "path": "/a", "value": 1}], 400),
    "no-path": ([{"op": "add", "value": 1}], 400),
    "no-value": ([{"op": "add", "path": "/a"}], 400),
    "no-from": ([{"op": "copy", "path": "/b"}], 400),
    "test-fails": ([{"op": "test", "path": "/a", "value": 2}], 422),
    "true-is-not-one": ([{"op": "test", "path": "/a", "value": True}], 422),
    "test-of-nothing": ([{"op": "test", "path": "/nope", "value": 1}], 422),
    "remove-nothing": ([{"op": "remove", "path": "/nope"}], 422),
    "replace-nothing": ([{"op": "replace", "path": "/nope", "value": 1}], 422),
    "no-such-parent": ([{"op": "add", "path": "/nope/x", "value": 1}], 422),
    "beyond-the-list": ([{"op": "add", "path": "/l/9", "value": 1}], 422),
    "root-becomes-a-number": ([{"op": "replace", "path": "", "value": 1}], 422),
    "too-many": ([{"op": "test", "path": "/a", "value": 1}] * 10_001, 413),
}


@pytest.mark.parametrize(("ops", "code"), REFUSED.values(), ids=REFUSED)
def test_a_json_patch_that_does_not_fit_is_told_from_a_malformed_one(ops, code):
    """400 for what is no JSON patch, 422 for one that does not fit the object, 413 for too large a one; all or nothing."""
    target = {"a": 1, "l": []}
    with pytest.raises(PatchError) as caught:
        json_patch(target, ops)
    assert caught.value.code == code
    assert target == {"a": 1, "l": []}


@pytest.mark.parametrize(
    "op",
    [
        {"op": "test", "path": "/data/key", "value": "hunter2!"},
        {"op": "remove", "path": "/data/nope"},
        {"op": "replace", "path": "/data/key/deeper", "value": "hunter2!"},
        {"op": "add", "path": "/list/x", "value": "hunter2!"},
        {"op": "move", "from": "/data/nope", "path": "/data/x"},
        {"op": "hunter2!", "path": "/data"},
    ],
    ids=repr,
)
def test_a_refusal_does_not_quote_the_object(op):
    """The object, or the patch, may hold a secret: an error names the operation and its path, never a value."""
    with pytest.raises(PatchError) as caught:
        json_patch({"data": {"key": "swordfish"}, "list": ["swordfish"]}, [op])
    assert "swordfish" not in caught.value.message
    assert "hunter2!" not in caught.value.message


@given(OBJECTS, OBJECTS)
def test_the_json_patch_between_two_objects_leads_from_one_to_the_other(old, new):
    """Patches made by the reference library do here what they do there, and change neither argument."""
    ops = jsonpatch.make_patch(old, new).patch
    before = deepcopy((old, ops))
    assert json_patch(old, ops) == new
    assert (old, ops) == before


def test_a_copy_bomb_is_refused():
    """Copying a list into itself thirty times would make a billion items; it stops at three megabytes."""
    ops = [{"op": "copy", "from": "/l", "path": "/l/-"}] * 30
    with pytest.raises(PatchError) as caught:
        json_patch({"l": ["x" * 1000]}, ops)
    assert caught.value.code == 413


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "patch",
    [
        lambda deep: merge_patch({}, deep),
        lambda deep: strategic_merge({}, deep, {}),
        lambda deep: json_patch({}, [{"op": "add", "path": "/a", "value": deep}]),
    ],
    ids=["merge", "strategic", "json"],
)
def test_ten_thousand_levels_are_refused(patch):
    """A patch too deep for the stack is refused before it is walked."""
    with pytest.raises(PatchError) as caught:
        patch(nested(10_000))
    assert caught.value.code == 400


def test_json_patches_cannot_pile_up_depth():
    """An object does not get deeper than it may by many shallow patches."""
    deep = json_patch({}, [{"op": "add", "path": "/a", "value": nested(60)}])
    with pytest.raises(PatchError):
        json_patch(deep, [{"op": "copy", "from": "/a", "path": "/a" * 50}])


# --- strategic merge patch -------------------------------------------------------------------------------------------

CONTAINERS = {
    "type": "array",
    "x-kubernetes-patch-strategy": "merge",
    "x-kubernetes-patch-merge-key": "name",
    "items": {"type": "object", "properties": {"name": {"type": "string"}, "image": {"type": "string"}}},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "data": {"type": "object", "additionalProperties": {"type": "string"}},
        "containers": CONTAINERS,
        "args": {"type": "array", "items": {"type": "string"}},
        "strategy": {"type": "object"},
    },
}
LIVE = {
    "metadata": {"finalizers": ["a", "b"], "labels": {"x": "1"}},
    "containers": [{"name": "web", "image": "1"}, {"name": "log", "image": "2"}],
    "args": ["p", "q"],
    "strategy": {"type": "rolling", "rolling": {"max": 1}},
}
STRATEGIC = {
    "maps-merge": (
        {"metadata": {"labels": {"y": "2"}}},
        {"metadata": {"finalizers": ["a", "b"], "labels": {"x": "1", "y": "2"}}},
    ),
    "null-removes": (
        {"args": None, "metadata": {"labels": {"x": None}}},
        {"args": ..., "metadata": {"finalizers": ["a", "b"], "labels": {}}},
    ),
    "lists-replace": ({"args": ["r"]}, {"args": ["r"]}),
    "list-merges-by-key": (
        {"containers": [{"name": "log", "image": "3"}, {"name": "new"}]},
        {"containers": [{"name": "web", "image": "1"}, {"name": "log", "image": "3"}, {"name": "new"}]},
    ),
    "list-item-deleted": ({"containers": [{"name": "web", "$patch": "delete"}]}, {"containers": [{"name": "log", "image": "2"}]}),
    "list-replaced": ({"containers": [{"$patch": "replace"}, {"name": "x"}]}, {"containers": [{"name": "x"}]}),
    "order-is-set": (
        {"$setElementOrder/containers": [{"name": "log"}, {"name": "web"}]},
        {"containers": [{"name": "log", "image": "2"}, {"name": "web", "image": "1"}]},
    ),
    "order-is-set-with-changes": (
        {"$setElementOrder/containers": [{"name": "new"}, {"name": "log"}],
         "containers": [{"name": "new"}, {"name": "web", "$patch": "delete"}]},
        {"containers": [{"name": "new"}, {"name": "log", "image": "2"}]},
    ),
    "primitive-list-merges": (
        {"metadata": {"finalizers": ["c", "a"]}},
        {"metadata": {"finalizers": ["a", "b", "c"], "labels": {"x": "1"}}},
    ),
    "primitive-list-shrinks": (
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b"]}},
        {"metadata": {"finalizers": ["b"], "labels": {"x": "1"}}},
    ),
    "map-replaced": ({"strategy": {"$patch": "replace", "type": "recreate"}}, {"strategy": {"type": "recreate"}}),
    "map-deleted": ({"strategy": {"$patch": "delete"}}, {"strategy": {}}),
    "keys-retained": (
        {"strategy": {"$retainKeys": ["type"], "type": "recreate"}},
        {"strategy": {"type": "recreate"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("patch", "expected"), STRATEGIC.values(), ids=STRATEGIC)
def test_strategic_merge(patch, expected):
    """Each rule of Kubernetes' strategic merge patch, on one object; what the patch does not name stays."""
    live, sent = deepcopy(LIVE), deepcopy(patch)
    wanted = {key: value for key, value in {**LIVE, **expected}.items() if value is not ...}
    assert strategic_merge(live, sent, SCHEMA) == wanted
    assert (live, sent) == (LIVE, patch)


@given(OBJECTS, OBJECTS)
def test_without_a_word_from_the_schema_strategic_is_merge(target, patch):
    """Where the schema names no merge key and the patch no directive, both formats do the same."""
    assert strategic_merge(target, patch, {}) == merge_patch(target, patch)


@pytest.mark.parametrize(
    "patch",
    [{"$patch": "frob"}, {"containers": [{"image": "keyless"}]}, {"$setElementOrder/containers": 1},
     {"$deleteFromPrimitiveList/args": 1}],
    ids=repr,
)  # fmt: skip
def test_a_malformed_strategic_patch_is_refused(patch):
    """What the format does not allow is a 400, never a guess."""
    with pytest.raises(PatchError) as caught:
        strategic_merge(deepcopy(LIVE), patch, SCHEMA)
    assert caught.value.code == 400
