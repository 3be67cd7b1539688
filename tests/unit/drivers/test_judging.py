"""What is ours is decided by tags, and by nothing else."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import Absent, Duplicate, Foreign, Owner, Present, Unknown
from drivers.judging import Thing, judge

OURS = Owner("here", "Machine", "default", "a", "uid-a")


A_THING = Thing("r", "here", "uid-a", "server", created="2026-01-01", healthy=True, digest=0, live="live r")


def thing(ref="r", **fields):
    return replace(A_THING, ref=ref, live=f"live {ref}", **fields)


things = st.lists(
    st.builds(
        thing,
        ref=st.text("abcdef", min_size=1, max_size=3),
        installation=st.sampled_from(["here", "there", ""]),
        owner=st.sampled_from(["uid-a", "uid-b", ""]),
        part=st.sampled_from(["server", "port/0", ""]),
        created=st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03"]),
        healthy=st.booleans(),
    ),
    unique_by=lambda thing: thing.ref,
    max_size=8,
)


def ours(thing):
    return (thing.installation, thing.owner, thing.part) == ("here", "uid-a", "server")


@given(things, st.none() | st.integers(0, 7))
def test_every_thing_of_ours_is_accounted_for_and_no_other(seen, index):
    """Present and Duplicate name exactly the things with our tag and part; Absent means there are none; Foreign is not ours."""
    known = seen[index] if index is not None and index < len(seen) else None
    mine = {thing.ref for thing in seen if ours(thing)}
    match judge(OURS, "server", known.ref if known else None, known, seen):
        case Absent():
            assert not mine
        case Present(ref=ref):
            assert {ref} == mine
        case Duplicate(keep=Present(ref=ref), extra=extra):
            assert len(extra) >= 1
            assert {ref, *extra} == mine
            assert ref not in extra
        case Foreign(ref=ref):
            assert known is not None
            assert ref == known.ref
            assert ref not in mine
        case other:
            raise AssertionError(other)


@given(things, st.randoms())
def test_the_order_of_a_list_does_not_matter(seen, random):
    """A cloud may list in any order."""
    shuffled = list(seen)
    random.shuffle(shuffled)
    assert judge(OURS, "server", None, None, seen) == judge(OURS, "server", None, None, shuffled)


@given(things, st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=2, max_size=4))
def test_of_duplicates_the_oldest_healthy_one_is_kept(others, twins):
    """Unless one is on record; then that one, in whatever state."""
    mine = [thing(f"mine-{n}", created=f"2026-01-0{day}", healthy=healthy) for n, (day, healthy) in enumerate(twins)]
    seen = [other for other in others if not ours(other)] + mine
    kept = judge(OURS, "server", None, None, seen).keep.ref
    best = next(thing for thing in mine if thing.ref == kept)
    assert all((not best.healthy, best.created) <= (not other.healthy, other.created) for other in mine)
    assert all(judge(OURS, "server", thing.ref, thing, seen).keep.ref == thing.ref for thing in mine)


def test_a_recorded_thing_that_is_gone_does_not_hide_another_of_ours():
    """The id on record is gone, and our tag is on another: that one is ours."""
    assert judge(OURS, "server", "gone", None, [thing("other")]) == Present("other", "live other")


def test_without_a_part_several_parts_are_not_taken_for_duplicates():
    """Deleting "the extra port" of a server with two ports would be a disaster."""
    assert isinstance(judge(OURS, "", None, None, [thing("a", part="port/0"), thing("b", part="port/1")]), Unknown)


def test_an_owner_without_uid_owns_nothing():
    """Things without tags are not those of an owner whose UID got lost."""
    assert judge(replace(OURS, uid=""), "", None, None, [thing(owner="")]) == Absent()


def test_foreign_says_whose_it_is():
    """A person can tell from the message why it is left alone."""
    for fields, word in (({"owner": ""}, "does not carry"), ({"installation": "there"}, "there"), ({"owner": "uid-b"}, "uid-b")):
        known = thing(**fields)
        assert word in judge(OURS, "server", "r", known, [known]).message
