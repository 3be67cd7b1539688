"""From what a cloud shows to what an observation says. Pure: the rules of ownership stand here, for every provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from drivers.contract import Absent, Duplicate, Foreign, Observation, Owner, Present, Unknown, Unreachable

Live = TypeVar("Live")


@dataclass(frozen=True, slots=True)
class Thing(Generic[Live]):
    """One external thing, with what its tags say. A tag that is missing is an empty string."""

    ref: str
    installation: str
    owner: str
    """The UID of its owner."""
    part: str
    created: str
    """RFC 3339: sorts by age."""
    healthy: bool
    """Whether it is worth keeping when there are two."""
    digest: int
    """A hash of all that is seen of it."""
    live: Live


def belongs(thing: Thing[Live], owner: Owner, part: str) -> bool:
    """Whether its tags say that it is this owner's, and this part if one is named."""
    return (
        (thing.installation, thing.owner) == (owner.installation, owner.uid)
        and bool(owner.uid)
        and (not part or thing.part == part)
    )  # fmt: skip


def judge(
    owner: Owner, part: str, ref: str | None, known: Thing[Live] | None, things: Sequence[Thing[Live]]
) -> Observation[Live]:
    """Say what is there.

    `known` is what stands under `ref` in a healthy answer, None if nothing does (or no ref is known). `things` are those among
    which ours would be: all, or only the owner's.
    """
    if known is not None and not belongs(known, owner, part):
        return Foreign(known.ref, foreign(known, owner), known.live)
    mine = [thing for thing in things if belongs(thing, owner, part)]
    if known is None:
        if len({thing.part for thing in mine}) > 1:
            return Unknown(Unreachable(f"cannot tell which of {len(mine)} parts of {owner.name} is meant; name the part"))
        if not mine:
            return Absent()
        known = min(mine, key=lambda thing: (not thing.healthy, thing.created, thing.ref))
    extra = sorted(thing.ref for thing in mine if thing.part == known.part and thing.ref != known.ref)
    keep = Present(known.ref, known.live)
    return Duplicate(keep, tuple(extra)) if extra else keep


def foreign(thing: Thing[Live], owner: Owner) -> str:
    """Why it is not ours, for people."""
    if not thing.owner:
        return f"{thing.ref} does not carry our tag"
    if thing.installation != owner.installation:
        return f"{thing.ref} carries the tag of another installation, {thing.installation or 'without a name'}"
    if thing.owner != owner.uid:
        return f"{thing.ref} carries the tag of another object, with UID {thing.owner}"
    return f"{thing.ref} is tagged as another part, {thing.part or 'without a name'}"
