"""What a pass does, for any files and any server."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sources.objects import STAGES, Key, Live, Wanted
from reconciler.sources.plan import MANY, SyncPlan, fingerprint, index, plan_sync, words

SOURCE = "specs-12345678"
FILES = ["a.yaml", "b.yaml", "deep/c.yaml"]
NAMES = [f"n{i}" for i in range(12)]

keys = st.builds(
    Key, st.sampled_from([kind for stage in STAGES for kind in stage]), st.sampled_from(["default", "x"]), st.sampled_from(NAMES)
)
wants = st.builds(Wanted, keys, st.sampled_from(FILES), st.integers(1, 99), st.sampled_from([b"1", b"2"]))
lives = st.builds(
    Live,
    keys,
    st.sampled_from(["u1", "u2"]),
    st.sampled_from([SOURCE, SOURCE, SOURCE, "another-87654321", ""]),
    st.sampled_from(FILES),
    deleting=st.booleans(),
    digest=st.none()
    | st.sampled_from([replace(W, body=b).digest for W in [Wanted(Key("a", "b", "c"), "f", 1, b"")] for b in (b"1", b"2")]),
)
files = st.lists(wants, max_size=14).map(index)
servers = st.lists(lives, max_size=14).map(lambda found: {obj.key: obj for obj in found})
broken_files = st.dictionaries(
    st.sampled_from([*FILES, "new.yaml"]), st.none() | st.frozensets(st.sampled_from(NAMES), max_size=4), max_size=2
)


def planned(desired, live, **options):
    return plan_sync(desired, live, source=SOURCE, **{"broken": {}} | options)


def agree(live):
    return {fingerprint(obj) for obj in live.values()}


def carry_out(plan, live):
    after = dict(live)
    for want in plan.applies:
        uid = after[want.key].uid if want.key in after else "fresh"
        after[want.key] = Live(want.key, uid, SOURCE, want.file, digest=want.digest)
    for obj in plan.deletes:
        del after[obj.key]
    return after


@given(files, servers)
def test_following_the_plan_leaves_nothing_to_do(desired, live):
    """With every removal agreed to, one pass makes the server what the files want, and the next pass is empty."""
    after = carry_out(planned(desired, live, confirmed=agree(live)), live)
    assert planned(desired, after, confirmed=agree(after)) == SyncPlan()
    assert {key for key, want in desired.wanted.items() if after[key].digest == want.digest} == set(desired.wanted)


@given(files, servers, broken_files, st.booleans())
def test_only_what_is_ours_and_in_no_file_is_deleted(desired, live, broken, agreed):
    """Nothing of another source, nothing without our label, nothing that a file holds or is going already."""
    plan = planned(desired, live, broken=broken, confirmed=agree(live) if agreed else ())
    for obj in (*plan.deletes, *plan.pending, *plan.waiting):
        assert obj.source == SOURCE
        assert not obj.deleting
        assert obj.key not in desired.wanted
        assert obj.key not in desired.duplicates


@given(files, servers, broken_files)
def test_what_a_broken_file_may_hold_stays(desired, live, broken):
    """No object is deleted that was last applied from a file with errors, or that such a file may name."""
    plan = planned(desired, live, broken=broken, confirmed=agree(live))
    for obj in (*plan.deletes, *plan.pending):
        assert obj.file not in broken
        assert all(said is not None and obj.key.name not in said for said in broken.values())


@given(files, servers)
def test_an_object_in_two_places_is_left_alone(desired, live):
    """Nobody can tell which of the two is meant: it is neither applied nor deleted."""
    plan = planned(desired, live, confirmed=agree(live))
    touched = {want.key for want in plan.applies} | {obj.key for obj in plan.deletes}
    assert not touched & set(desired.duplicates)


@given(files, servers, st.integers(0, 10))
def test_large_removals_wait(desired, live, recent):
    """More than half of five or more objects never go at once unasked, whatever went a moment ago."""
    plan = planned(desired, live, recent=recent)
    mine = sum(1 for obj in live.values() if obj.source == SOURCE and not obj.deleting)
    if plan.deletes and mine + recent >= MANY:
        assert 2 * (len(plan.deletes) + recent) <= mine + recent
    assert not (plan.deletes and plan.pending)


@given(files, servers, st.data())
def test_a_confirmation_covers_what_it_named_and_no_more(desired, live, data):
    """A removal goes ahead if each of its objects was named; one more object, and it waits again."""
    pending = planned(desired, live).pending
    if not pending:
        return
    named = {fingerprint(obj) for obj in pending}
    assert set(planned(desired, live, confirmed=named).deletes) == set(pending)
    named.discard(fingerprint(data.draw(st.sampled_from(pending))))
    assert planned(desired, live, confirmed=named).pending == pending


@given(files, servers, st.frozensets(keys))
def test_what_vanished_just_now_waits_for_another_look(desired, live, young):
    """Editors write by renaming: an object whose file is gone for a moment is not deleted."""
    plan = planned(desired, live, young=young, confirmed=agree(live))
    assert not {obj.key for obj in plan.deletes} & young


@given(files, servers)
def test_the_order(desired, live):
    """Applied: namespaces, then configuration, then the kinds; deleted: the other way round."""
    plan = planned(desired, live, confirmed=agree(live))
    stage = {kind: number for number, kinds in enumerate(STAGES) for kind in kinds}
    applied = [stage[want.key.kind] for want in plan.applies]
    deleted = [stage[obj.key.kind] for obj in plan.deletes]
    assert applied == sorted(applied)
    assert deleted == sorted(deleted, reverse=True)


def machine(name, uid="u", file="a.yaml"):
    key = Key("Machine", "default", name)
    return Live(key, uid, SOURCE, file, digest=b"")


@pytest.mark.parametrize(
    ("before", "left", "held"),
    [
        pytest.param(4, 0, False, id="four of four go"),
        pytest.param(5, 0, True, id="five of five wait"),
        pytest.param(5, 2, True, id="three of five wait"),
        pytest.param(6, 3, False, id="half of six go"),
        pytest.param(6, 2, True, id="four of six wait"),
    ],
)
def test_the_threshold(before, left, held):
    """More than half, from five objects up."""
    live = {obj.key: obj for obj in (machine(f"m{i}") for i in range(before))}
    desired = index(Wanted(Key("Machine", "default", f"m{i}"), "a.yaml", 1, b"") for i in range(left))
    plan = planned(desired, live)
    assert bool(plan.pending) == held
    assert len(plan.pending or plan.deletes) == before - left


def test_names_are_found_in_any_text():
    """Whatever a broken file is broken by, the names in it are seen."""
    assert {"worker-1", "a.b"} <= words(b'kind: Machine\nname: [worker-1\n\xff"a.b"')
