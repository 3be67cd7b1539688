"""Who must be woken when something changes: references, owners, external ids. Kept in memory, rebuilt by lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from reconciler.engine.kind import Key, Reference


@dataclass(slots=True)
class Index:
    """Derived from the objects alone: losing it loses nothing."""

    _uids: dict[str, Key] = field(default_factory=dict)
    _uid_of: dict[Key, str] = field(default_factory=dict)
    _dependents: dict[Reference, set[Key]] = field(default_factory=lambda: defaultdict(set))
    _references: dict[Key, frozenset[Reference]] = field(default_factory=dict)
    _owners: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    _refs: dict[str, dict[str, Key]] = field(default_factory=lambda: defaultdict(dict))
    _refs_of: dict[Key, tuple[str, frozenset[str]]] = field(default_factory=dict)
    _keys_of: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    _importers: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))

    def update(self, key: Key, uid: str, references: Iterable[Reference], owners: Iterable[str]) -> None:
        """Take in an object: its UID, what it refers to, and the UIDs of its owners."""
        if (old := self._uid_of.get(key)) and old != uid:
            self._uids.pop(old, None)
        self._uids[uid] = key
        self._uid_of[key] = uid
        self._owners[key] = tuple(owners)
        new = frozenset(references)
        before = self._references.get(key, frozenset())
        if new != before:
            for reference in before - new:
                self._dependents[reference].discard(key)
            for reference in new - before:
                self._dependents[reference].add(key)
            self._references[key] = new

    def record(self, key: Key, provider: str, refs: Set[str], *, imports: bool = False) -> None:
        """Take in the account that an object lives in, its external ids on record, and whether others made what it looks at."""
        (self._importers[provider].add if imports else self._importers[provider].discard)(key)
        new = (provider, frozenset(refs))
        if (old := self._refs_of.get(key)) == new:
            return
        if old:
            self._drop(key, *old)
        for ref in refs:
            self._refs[provider][ref] = key
        self._keys_of[provider].add(key)
        self._refs_of[key] = new

    def _drop(self, key: Key, provider: str, refs: Set[str]) -> None:
        self._keys_of[provider].discard(key)
        for ref in refs:
            self._refs[provider].pop(ref, None)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        if uid := self._uid_of.pop(key, None):
            self._uids.pop(uid, None)
        for reference in self._references.pop(key, frozenset()):
            self._dependents[reference].discard(key)
        self._owners.pop(key, None)
        if old := self._refs_of.pop(key, None):
            self._importers[old[0]].discard(key)
            self._drop(key, *old)

    def by_uid(self, uid: str) -> Key | None:
        """The object of this UID, if we know it."""
        return self._uids.get(uid)

    def dependents(self, reference: Reference) -> Set[Key]:
        """The objects that refer to this one."""
        return frozenset(self._dependents.get(reference, ()))

    def owners(self, key: Key) -> list[Key]:
        """The objects that own this one."""
        return [owner for uid in self._owners.get(key, ()) if (owner := self._uids.get(uid))]

    def refs(self, provider: str) -> Mapping[str, Key]:
        """All external ids on record in one account, and whose they are."""
        return self._refs.get(provider, {})

    def keys_of(self, provider: str) -> frozenset[Key]:
        """All objects that live in one account, also those that have nothing there yet."""
        return frozenset(self._keys_of.get(provider, ()))

    def importers(self, provider: str) -> frozenset[Key]:
        """The objects of one account that look at what others made: it carries no tag of ours, so no survey shows it."""
        return frozenset(self._importers.get(provider, ()))

    @property
    def keys(self) -> Set[Key]:
        """Every object we know."""
        return self._uid_of.keys()
