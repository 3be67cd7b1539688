"""How long to leave an object alone after it was refused, or after somebody undid what we did, again and again."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

FORGET_SECONDS = 120.0


@dataclass(slots=True)
class _Pause:
    count: int
    last: float
    until: float


@dataclass(slots=True)
class Pauses:
    """Exponential pauses per key. Times are those of one monotonic clock."""

    free: int = 0
    """So many attempts in a row cost no pause."""
    base: float = 1.0
    cap: float = 60.0
    _pauses: dict[Hashable, _Pause] = field(default_factory=dict)

    def tried(self, key: Hashable, now: float) -> float:
        """One more attempt was made in vain: return how long to wait before the next."""
        before = self._pauses.get(key)
        count = before.count + 1 if before and now - before.last < FORGET_SECONDS + self.cap else 1
        seconds = 0.0 if count <= self.free else min(self.cap, self.base * 2.0 ** min(count - self.free - 1, 30))
        self._pauses[key] = _Pause(count, now, now + seconds)
        return seconds

    def forget(self, key: Hashable) -> None:
        """All is well, or all is new."""
        self._pauses.pop(key, None)

    def ready(self, key: Hashable, now: float) -> bool:
        """Whether the key may be tried."""
        pause = self._pauses.get(key)
        return pause is None or pause.until <= now

    def next(self, now: float) -> float | None:
        """Seconds until the first key that waits may be tried; None if none waits."""
        waits = [pause.until - now for pause in self._pauses.values() if pause.until > now]
        return min(waits, default=None)
