"""Which source of this daemon holds which object, and which other would like to: handed over, never fought for."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from reconciler.sources.objects import Key


@dataclass(slots=True)
class Claims:
    """Shared by all sources of one daemon. Who came first holds; sources are named by id."""

    _holders: dict[Key, str] = field(default_factory=dict)
    _suitors: dict[Key, set[str]] = field(default_factory=dict)

    def take(self, key: Key, source: str) -> str:
        """Ask for an object and return who holds it: the source itself, or the one that came first."""
        holder = self._holders.setdefault(key, source)
        if holder != source:
            self._suitors.setdefault(key, set()).add(source)
        return holder

    def refuse(self, key: Key, source: str) -> None:
        """The server says that the object belongs to somebody else: the source waits for it."""
        if self._holders.get(key) == source:
            del self._holders[key]
        self._suitors.setdefault(key, set()).add(source)

    def sought(self, key: Key, source: str) -> bool:
        """Whether another source waits for the object."""
        return bool(self._suitors.get(key, set()) - {source})

    def keep(self, source: str, wanted: Container[Key]) -> None:
        """Let go of all that the source does not want any more."""
        self._holders = {key: holder for key, holder in self._holders.items() if holder != source or key in wanted}
        for key in [key for key, suitors in self._suitors.items() if source in suitors]:
            if key not in wanted or self._holders.get(key) == source:
                self._suitors[key].discard(source)
                if not self._suitors[key]:
                    del self._suitors[key]

    def clear(self) -> None:
        """Nobody holds anything."""
        self._holders.clear()
        self._suitors.clear()
