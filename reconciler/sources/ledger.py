"""What the API server holds of one source, as far as was heard: kept by lists, by watch events and by our own writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from reconciler.client import Object
from reconciler.sources.objects import Key, Live, Wanted, covers, live
from specs.meta import SOURCE_LABEL

Heard = Literal["nothing", "drift", "vacant"]
"""What an event means: nothing to do; not as the files want it; gone, or nobody's any more."""


@dataclass(slots=True)
class Ledger:
    """The objects of one source by key. All methods are cheap and change nothing outside."""

    source: str
    objects: dict[Key, Live] = field(default_factory=dict)
    _missing: dict[Key, float] = field(default_factory=dict)
    _heard: set[Key] = field(default_factory=set)

    def begin(self) -> None:
        """A list is about to be read: what is heard from now on is newer than what it may say."""
        self._heard.clear()

    def listed(self, found: Mapping[Key, Live]) -> None:
        """Take in all that a list held."""
        newer = {key: obj for key, obj in self.objects.items() if key in self._heard}
        self.objects = {key: obj for key, obj in found.items() if key not in self._heard} | newer

    def hear(self, key: Key, obj: Object, want: Wanted | None, deleted: bool) -> Heard:
        """Take one watch event in. `obj` may be its metadata alone if it was deleted."""
        meta, known = obj["metadata"], self.objects.get(key)
        self._heard.add(key)
        if deleted:
            if known is not None and known.uid != meta.get("uid", known.uid):
                return "nothing"
            self.objects.pop(key, None)
            return "vacant"
        found = live(key.kind, obj, self.source)
        if found is None:
            free = SOURCE_LABEL not in (meta.get("labels") or {})
            return "vacant" if self.objects.pop(key, None) or free else "nothing"
        if known is not None and known.version == found.version:
            return "nothing"
        self.objects[key] = found = self.compared(obj, found, want)
        stray = want is None and not found.deleting
        return "drift" if stray or (want is not None and found.digest is None) else "nothing"

    def compared(self, obj: Object, found: Live, want: Wanted | None) -> Live:
        """Keep the digest of what was applied only while the object still agrees with it."""
        known = self.objects.get(found.key)
        if want is None or known is None or known.uid != found.uid or known.digest is None:
            return found
        return replace(found, digest=known.digest) if covers(obj, orjson.loads(want.body)) else found

    def applied(self, want: Wanted, there: Live | None) -> None:
        """The server has what the file says."""
        if there is not None:
            self.objects[want.key] = replace(there, digest=want.digest)

    def drop(self, key: Key) -> None:
        """It is gone, or not ours any more."""
        self.objects.pop(key, None)

    def going(self, key: Key) -> None:
        """Its deletion was asked for."""
        if key in self.objects:
            self.objects[key] = replace(self.objects[key], deleting=True)

    def young(self, wanted: Mapping[Key, Wanted], now: float, settle: float) -> set[Key]:
        """Name what is in no file, but was less than `settle` seconds ago."""
        self._missing = {key: self._missing.get(key, now) for key in self.objects.keys() - wanted.keys()}
        return {key for key, since in self._missing.items() if now - since < settle}

    @property
    def count(self) -> int:
        """How many there are that are not being deleted."""
        return sum(1 for obj in self.objects.values() if not obj.deleting)
