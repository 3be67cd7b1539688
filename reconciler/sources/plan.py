"""Desired against live: which objects to apply, which to delete, which removals to hold back. Pure: values in, values out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from reconciler.sources.objects import STAGES, Key, Live, Wanted

MANY = 5
"""A source of fewer objects than this may lose them all without being asked."""

Words = frozenset[str]
_WORD = re.compile(r"[a-z0-9][-a-z0-9.]*")
_STAGE = {kind: number for number, stage in enumerate(STAGES) for kind in stage}


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What one pass does."""

    applies: tuple[Wanted, ...] = ()
    """In their order."""
    deletes: tuple[Live, ...] = ()
    """In their order."""
    waiting: tuple[Live, ...] = ()
    """Gone from the files a moment ago: deleted if they still are in the next one."""
    pending: tuple[Live, ...] = ()
    """So many that a person has to say yes."""


@dataclass(frozen=True, slots=True)
class Index:
    """All that the files want."""

    wanted: Mapping[Key, Wanted]
    duplicates: Mapping[Key, tuple[Wanted, ...]]
    """Objects that stand in more than one place: nobody can tell which is meant."""


def index(documents: Iterable[Wanted]) -> Index:
    """Sort the objects of all files by key."""
    places: dict[Key, list[Wanted]] = {}
    for document in documents:
        places.setdefault(document.key, []).append(document)
    return Index(
        {key: found[0] for key, found in places.items() if len(found) == 1},
        {key: tuple(found) for key, found in places.items() if len(found) > 1},
    )


def plan_sync(
    desired: Index,
    live: Mapping[Key, Live],
    *,
    source: str,
    broken: Mapping[str, Words | None],
    young: Collection[Key] = (),
    confirmed: Collection[str] = (),
    recent: int = 0,
) -> SyncPlan:
    """Say what to do so that the API server holds what the files want.

    `broken` are the files that cannot be understood, with the words that they hold, or None if not even those are known: an
    object that such a file may hold is not missing. `young` are keys that vanished only just now, `confirmed` the fingerprints
    of removals that a person agreed to, `recent` counts the objects deleted unasked in the last minute.
    """
    applies = [want for key, want in desired.wanted.items() if key not in live or live[key].digest != want.digest]
    mine = [obj for obj in live.values() if obj.source == source and not obj.deleting]
    gone = [obj for obj in mine if not _held(obj, desired, broken)]
    agreed = {fingerprint(obj) for obj in gone} <= set(confirmed)
    by_key = sorted(gone, key=lambda obj: obj.key)
    waiting = tuple(obj for obj in by_key if obj.key in young)
    ripe = [obj for obj in by_key if obj.key not in young]
    if not agreed and _too_many(len(gone), len(mine), recent):
        return SyncPlan(_ordered(applies), pending=tuple(by_key)) if ripe else SyncPlan(_ordered(applies), waiting=waiting)
    return SyncPlan(_ordered(applies), tuple(sorted(ripe, key=lambda obj: -_STAGE[obj.key.kind])), waiting)


def fingerprint(obj: Live) -> str:
    """Name one object of one UID in few characters: what a confirmation is made of."""
    return hashlib.sha256(f"{obj.key}@{obj.uid}".encode()).hexdigest()[:12]


def words(text: bytes) -> Words:
    """All that could be a name in a text that is not understood."""
    return frozenset(_WORD.findall(text.decode("latin-1")))


def _held(obj: Live, desired: Index, broken: Mapping[str, Words | None]) -> bool:
    """Whether some file holds the object, or may hold it."""
    if obj.key in desired.wanted or obj.key in desired.duplicates or obj.file in broken:
        return True
    return any(said is None or obj.key.name in said for said in broken.values())


def _too_many(gone: int, mine: int, recent: int) -> bool:
    return mine + recent >= MANY and 2 * (gone + recent) > mine + recent


def _ordered(applies: Iterable[Wanted]) -> tuple[Wanted, ...]:
    return tuple(sorted(applies, key=lambda want: (_STAGE[want.key.kind], want.file, want.line)))
