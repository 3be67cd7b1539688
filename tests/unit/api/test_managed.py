"""Server-side apply: who owns which field, who may change it, what goes when nobody owns it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.fieldset import paths
from reconciler.api.managed import ApplyConflict, track
from tests.support.managed import API, SCHEMA, do_apply, do_update, owned, thing


def bare(obj: dict[str, Any]) -> dict[str, Any]:
    """Without managedFields, and with the lists that have no order sorted."""
    obj = deepcopy(obj)
    obj["metadata"].pop("managedFields", None)
    spec = obj.get("spec", {})
    for name, key in (("items", lambda item: item["name"]), ("tags", str)):
        if name in spec:
            spec[name].sort(key=key)
    return obj


# --- values ----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["p", "q", "r"])
ITEMS = st.lists(
    st.fixed_dictionaries({"name": WORDS}, optional={"v": WORDS, "w": WORDS}), max_size=3, unique_by=lambda item: item["name"]
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "a": WORDS,
    "b": st.fixed_dictionaries({}, optional={"x": st.integers(0, 2), "y": st.integers(0, 2)}),
    "m": st.dictionaries(WORDS, WORDS, max_size=3),
    "whole": st.lists(WORDS, max_size=3),
    "closed": st.dictionaries(WORDS, WORDS, max_size=2),
    "tags": st.lists(WORDS, max_size=3, unique=True),
    "items": ITEMS,
    "loose": st.dictionaries(WORDS, WORDS | st.dictionaries(WORDS, WORDS, max_size=2), max_size=2),
}
SPECS = st.fixed_dictionaries({}, optional=FIELDS)
THINGS = st.builds(lambda spec, labels: thing(spec, labels=labels), SPECS, st.dictionaries(WORDS, WORDS, max_size=2))


def holds(value: Any, applied: Any) -> bool:
    """Whether everything that was applied is there."""
    if isinstance(applied, dict):
        return isinstance(value, dict) and all(k in value and holds(value[k], v) for k, v in applied.items())
    if isinstance(applied, list):
        return all(any(holds(there, item) for there in value) for item in applied)
    return bool(value == applied)


@given(THINGS, THINGS)
def test_applying_twice_is_applying_once(one, two):
    """The second, equal apply changes nothing at all, not even a time."""
    live = do_apply(do_apply(None, one, "bob"), two, force=True, now="t1")
    assert do_apply(live, two, now="t2") == live


@given(THINGS, THINGS)
def test_what_was_forced_is_there(one, two):
    """After a forced apply, a get holds every applied field, and no other manager owns one that was changed."""
    live = do_apply(None, one, "bob")
    after = do_apply(live, two, "alice", force=True)
    assert holds(after, two)
    mine = owned(after, "alice")
    for path in owned(after, "bob") & mine:  # shared by both: then both want the same
        assert path in owned(live, "bob")


@given(THINGS, THINGS)
def test_what_is_no_longer_applied_goes(one, two):
    """With one manager, the object is what was applied last, whatever was applied before."""
    assert bare(do_apply(do_apply(None, one), two)) == bare(do_apply(None, two))


@given(THINGS, THINGS)
def test_nothing_given_is_changed(one, two):
    """Apply leaves the live object and the applied one alone."""
    live = do_apply(None, one, "bob")
    before = deepcopy((live, two))
    result = do_apply(live, two, force=True)
    result["metadata"]["managedFields"].clear()
    result.get("spec", {}).clear()
    assert (live, two) == before


@st.composite
def disjoint(draw):
    """Two specs that have no leaf in common, though they may share maps and lists."""
    spec = draw(SPECS)
    left: dict[str, Any] = {}
    right: dict[str, Any] = {}
    for name, value in spec.items():
        if name in ("b", "m", "loose") and value:
            for key, item in value.items():
                draw(st.sampled_from([left, right])).setdefault(name, {})[key] = item
        elif name in ("items", "tags") and value:
            for item in value:
                draw(st.sampled_from([left, right])).setdefault(name, []).append(item)
        elif value:
            draw(st.sampled_from([left, right]))[name] = value
    return thing(left), thing(right)


@given(disjoint())
def test_disjoint_managers_commute(pair):
    """Managers that share no field never conflict, and the order in which they apply does not matter."""
    left, right = pair
    one = do_apply(do_apply(None, left, "alice"), right, "bob")
    two = do_apply(do_apply(None, right, "bob"), left, "alice")
    assert bare(one) == bare(two)
    assert owned(one, "alice") == owned(two, "alice")
    assert owned(one, "bob") == owned(two, "bob")


@given(disjoint())
def test_a_manager_that_leaves_takes_only_its_own(pair):
    """When one of two disjoint managers applies nothing any more, the other's fields stand as if it had been alone."""
    left, right = pair
    both = do_apply(do_apply(None, left, "alice"), right, "bob")
    after = do_apply(both, thing(), "alice")
    assert bare(after).get("spec", {}) == bare(do_apply(None, right, "bob")).get("spec", {})


@given(THINGS, THINGS, THINGS)
def test_no_field_is_owned_that_does_not_exist(one, two, three):
    """Whatever writes there were, every path in managedFields leads to something in the object."""
    live = do_apply(None, one, "alice")
    live = do_update(live, {**two, "metadata": {**two["metadata"], "managedFields": live["metadata"]["managedFields"]}})
    live = do_apply(live, three, "carol", force=True)
    for entry in live["metadata"]["managedFields"]:
        assert entry["fieldsV1"]
        for path in _steps(entry["fieldsV1"]):
            assert _leads_somewhere(live, path), path


def _steps(node, prefix=()):
    if not node:
        yield prefix
    for key, child in node.items():
        if key != ".":
            yield from _steps(child, (*prefix, key))


def _leads_somewhere(value, steps):
    for step in steps:
        kind, _, text = step.partition(":")
        if kind == "f":
            if text not in value:
                return False
            value = value[text]
        else:
            wanted = orjson.loads(text)
            found = [item for item in value if item == wanted or (kind == "k" and wanted.items() <= item.items())]
            if not found:
                return False
            value = found[0]
    return True


# --- conflicts -------------------------------------------------------------------------------------------------------


def test_a_conflict_names_manager_and_field():
    """Changing what another applier set is refused, with its name and the field's path; nothing is changed."""
    live = do_apply(None, thing({"a": "p", "items": [{"name": "q", "v": "1"}]}), "alice")
    with pytest.raises(ApplyConflict) as caught:
        do_apply(live, thing({"a": "q", "items": [{"name": "q", "v": "2"}]}), "bob")
    assert [(c.manager, c.path) for c in caught.value.conflicts] == [("alice", ".spec.a"), ("alice", '.spec.items[name="q"].v')]
    assert caught.value.message.startswith('Apply failed with 2 conflicts: conflicts with "alice":\n- .spec.a\n')


def test_a_conflict_with_an_update_says_its_version():
    """A field set by a plain write is reported as kubectl prints it."""
    live = do_update(None, thing({"a": "p"}), "kubectl-client-side-apply")
    with pytest.raises(ApplyConflict) as caught:
        do_apply(live, thing({"a": "q"}), "bob")
    assert caught.value.message == (
        f'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using {API}: .spec.a'
    )
    assert caught.value.conflicts[0].message == f'conflict with "kubectl-client-side-apply" using {API}'


def test_the_same_value_is_no_conflict_but_shared():
    """Two appliers of one value own it together; the field goes when the last of them lets go."""
    live = do_apply(do_apply(None, thing({"a": "p"}), "alice"), thing({"a": "p"}), "bob")
    assert ".spec.a" in owned(live, "alice") & owned(live, "bob")
    live = do_apply(live, thing({}), "alice")
    assert live["spec"]["a"] == "p"
    live = do_apply(live, thing({}), "bob")
    assert "a" not in live["spec"]


def test_force_takes_the_field_over():
    """With force the applier owns the field, and the former owner no longer does."""
    live = do_apply(do_apply(None, thing({"a": "p", "b": {"x": 1}}), "alice"), thing({"a": "q"}), "bob", force=True)
    assert live["spec"] == {"a": "q", "b": {"x": 1}}
    assert owned(live, "alice") == {".spec.b.x"}
    assert owned(live, "bob") == {".spec.a"}


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [({"whole": ["p"]}, {"whole": ["p", "q"]}, ".spec.whole"), ({"closed": {"p": "1"}}, {"closed": {"q": "1"}}, ".spec.closed")],
    ids=["list", "map"],
)
def test_what_is_atomic_is_owned_as_a_whole(first, second, path):
    """A list without keys, or a map called atomic, has one owner: adding to it is a conflict about all of it."""
    with pytest.raises(ApplyConflict) as caught:
        do_apply(do_apply(None, thing(first), "alice"), thing(second), "bob")
    assert [c.path for c in caught.value.conflicts] == [path]


def test_a_list_without_its_keys_is_taken_as_a_whole():
    """Items of a list map that lack the key, or share one, cannot be told apart: the list is replaced, not mixed up."""
    live = do_apply(None, thing({"items": [{"name": "p"}]}), "alice")
    twins = [{"name": "p", "v": "1"}, {"name": "p", "v": "2"}]
    assert do_apply(live, thing({"items": twins}), "alice", force=True)["spec"]["items"] == twins


def test_items_stand_in_the_order_applied():
    """The applier's order of items counts; items of others keep their place between them."""
    live = do_apply(None, thing({"items": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}), "alice")
    live = do_apply(live, thing({"items": [{"name": "c"}, {"name": "a"}]}), "bob")
    assert [item["name"] for item in live["spec"]["items"]] == ["c", "a", "b"]
    live = do_apply(live, thing({"items": [{"name": "c"}, {"name": "d"}, {"name": "a"}]}), "bob")
    assert [item["name"] for item in live["spec"]["items"]] == ["c", "d", "a", "b"]


def test_defaults_go_with_the_map_they_were_set_in():
    """What the server filled in under an applied map belongs to nobody, and goes when the map is no longer applied."""
    live = do_apply(None, thing({"a": "p", "b": {"x": 1}}))
    live["spec"]["b"]["y"] = 5
    assert do_apply(live, thing({"a": "p"}))["spec"] == {"a": "p"}


def test_a_map_stays_for_what_others_set_in_it():
    """What another manager set under an applied map stays, and the map with it."""
    live = do_apply(None, thing({"a": "p", "b": {"x": 1}}))
    new = deepcopy(live)
    new["spec"]["b"]["y"] = 5
    live = do_update(live, new)
    assert do_apply(live, thing({"a": "p"}))["spec"] == {"a": "p", "b": {"y": 5}}


def test_an_item_stays_for_what_others_set_in_it():
    """So with an item of a list: it stays, with its key, as long as somebody owns a field of it."""
    live = do_apply(None, thing({"items": [{"name": "p", "v": "1"}, {"name": "q"}]}), "alice")
    live = do_apply(live, thing({"items": [{"name": "p", "w": "2"}]}), "bob")
    assert do_apply(live, thing(), "alice")["spec"] == {"items": [{"name": "p", "w": "2"}]}


# --- metadata --------------------------------------------------------------------------------------------------------


def test_labels_are_owned_one_by_one():
    """Two managers set labels of their own without conflict; each takes back only its own."""
    live = do_apply(do_apply(None, thing(labels={"a": "1"}), "alice"), thing(labels={"b": "2"}), "bob")
    assert live["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert owned(live, "bob") == {".metadata.labels.b"}
    assert do_apply(live, thing(), "bob")["metadata"]["labels"] == {"a": "1"}


def test_finalizers_are_a_set_and_owners_are_told_apart_by_uid():
    """A finalizer or an owner that somebody else added stays when a manager applies its own."""
    owner = {"apiVersion": "v1", "kind": "Owner", "name": "o", "uid": "1"}
    live = do_update(None, thing(finalizers=["x"], ownerReferences=[owner]), "engine")
    live = do_apply(live, thing(finalizers=["y"], ownerReferences=[{**owner, "uid": "2"}]))
    assert live["metadata"]["finalizers"] == ["x", "y"]
    assert [ref["uid"] for ref in live["metadata"]["ownerReferences"]] == ["1", "2"]


def test_what_the_server_sets_cannot_be_applied():
    """uid, resourceVersion and their like come from the live object, and nobody owns them."""
    live = do_apply(None, thing({"a": "p"}))
    live["metadata"] |= {"uid": "u1", "resourceVersion": "7", "generation": 3, "creationTimestamp": "then"}
    again = do_apply(live, thing({"a": "p"}, uid="u2", resourceVersion="9", generation=8, managedFields=[]))
    assert again == live
    assert owned(again, "alice") == {".spec.a"}


# --- subresources ----------------------------------------------------------------------------------------------------


def test_status_is_applied_by_its_subresource_only():
    """Through the object itself a status is ignored; through the subresource everything else is."""
    applied = {**thing({"a": "p"}), "status": {"note": "n"}}
    live = do_apply(None, applied)
    assert "status" not in live
    live = do_apply(live, {**thing({"a": "q"}), "status": {"note": "n"}}, "engine", subresource="status")
    assert live["spec"]["a"] == "p"
    assert live["status"] == {"note": "n"}
    assert owned(live, "engine") == {".status.note"}
    assert owned(live, "alice") == {".spec.a"}


def test_conditions_have_owners_of_their_own():
    """Two controllers apply different conditions; each sees the other's stay."""
    ready, fine = {"type": "Ready", "status": "True"}, {"type": "Fine", "status": "True"}
    live = do_apply(None, thing({"a": "p"}))
    live = do_apply(live, {**thing(), "status": {"conditions": [ready]}}, "one", subresource="status")
    live = do_apply(live, {**thing(), "status": {"conditions": [fine]}}, "two", subresource="status")
    assert live["status"]["conditions"] == [ready, fine]
    assert owned(live, "two") == {f'.status.conditions[type="Fine"]{tail}' for tail in ("", ".type", ".status")}


# --- other writes ----------------------------------------------------------------------------------------------------


@given(THINGS)
def test_a_write_that_changes_nothing_leaves_the_owners_alone(one):
    """Tracking a write of the very same object gives back the very same entries, times included."""
    live = do_update(None, one, "alice", now="t1")
    assert do_update(live, live, "bob", now="t2") == live


@given(THINGS, THINGS)
def test_a_writer_owns_what_it_changed_and_only_that(one, two):
    """After an update the writer owns each changed leaf, nobody else does, and all others keep what was not changed."""
    live = do_apply(None, one, "alice")
    new = deepcopy(two)
    new["metadata"]["managedFields"] = live["metadata"].get("managedFields")
    after = do_update(live, new, "bob")
    assert not owned(after, "alice") & owned(after, "bob")
    assert owned(after, "alice") <= owned(live, "alice")
    undone = deepcopy(live)
    undone["metadata"]["managedFields"] = after["metadata"]["managedFields"]
    for path in owned(live, "alice") - owned(after, "alice"):
        assert bare(live) != bare(after), path


def test_the_same_writer_in_two_roles_has_two_entries():
    """Writes of the object and of its status are told apart, though the manager is one."""
    live = do_update(None, thing({"a": "p"}), "engine")
    live = do_update(live, {**live, "status": {"note": "n"}}, "engine", subresource="status")
    assert [(e["manager"], e.get("subresource", "")) for e in live["metadata"]["managedFields"]] == [
        ("engine", ""),
        ("engine", "status"),
    ]


def test_many_writers_do_not_grow_the_object_for_ever():
    """Beyond ten writers the oldest are joined, and every field keeps an owner."""
    live = do_update(None, thing({"m": {}}), "w0", now="t00")
    for number in range(1, 40):
        new = deepcopy(live)
        new["spec"]["m"][f"k{number}"] = "v"
        live = do_update(live, new, f"w{number}", now=f"t{number:02d}")
    entries = live["metadata"]["managedFields"]
    assert len(entries) == 10
    every = {path for entry in entries for path in paths(entry["fieldsV1"])}
    assert {f".spec.m.k{number}" for number in range(1, 40)} <= every


def test_a_writer_may_set_managed_fields_but_not_by_a_subresource():
    """kubectl rewrites managedFields to move an object to server-side apply; a status write cannot."""
    live = do_update(None, thing({"a": "p"}), "alice")
    given_ = [{**live["metadata"]["managedFields"][0], "manager": "kubectl", "operation": "Apply"}]
    new = deepcopy(live)
    new["metadata"]["managedFields"] = given_
    assert track(live, new, manager="x", schema=SCHEMA, now="t2", api_version=API) == given_
    by_status = track(live, new, manager="x", schema=SCHEMA, now="t2", api_version=API, subresource="status")
    assert by_status == live["metadata"]["managedFields"]


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ([{}], False),
        ([], True),
        ([{"manager": "x"}], True),
        ("text", True),
        ([1], True),
        ([{"manager": "x", "operation": "Update", "apiVersion": API, "fieldsV1": {"k:{": {}}}], True),
        ([{"manager": "x", "operation": "Update", "apiVersion": API, "fieldsV1": {"f:a": 1}}], True),
        ([{"manager": "x", "operation": "Delete", "apiVersion": API, "fieldsV1": {}}], True),
    ],
    ids=["reset", "empty", "no-fields", "text", "numbers", "broken-key", "broken-tree", "broken-operation"],
)
def test_managed_fields_are_cleared_only_on_purpose(given_, kept):
    """One empty entry clears them, as in Kubernetes; an empty or broken list, sent by a careless client, does not."""
    live = do_update(None, thing({"a": "p"}), "alice")
    new = deepcopy(live)
    new["metadata"]["managedFields"] = given_
    found = track(live, new, manager="x", schema=SCHEMA, now="t2", api_version=API)
    assert found == (live["metadata"]["managedFields"] if kept else [])
