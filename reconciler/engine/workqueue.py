"""A work queue after client-go's: a key is worked on by one worker at a time, and no wake-up is lost.

A key that is added while it is being worked on is worked on once more afterwards. Delays and back-off are timers, not sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays with full jitter on the upper half, after AWS's "equal jitter"."""

    base: float = 0.5
    cap: float = 300.0

    def seconds(self, failures: int, jitter: float) -> float:
        """The pause after the n-th failure in a row (1, 2, …); `jitter` is a number in [0, 1)."""
        full = min(self.cap, self.base * 2.0 ** min(failures - 1, 60))
        return full / 2 + full / 2 * jitter


@dataclass(slots=True)
class WorkQueue(Generic[K]):
    """Keys to work on. All methods belong to one event loop."""

    backoff: Backoff = field(default_factory=Backoff)
    jitter: Callable[[], float] = random.random
    _ready: deque[K] = field(default_factory=deque)
    _dirty: set[K] = field(default_factory=set)
    _busy: set[K] = field(default_factory=set)
    _failures: dict[K, int] = field(default_factory=dict)
    _due: dict[K, float] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _sequence: int = 0
    _waiters: deque[asyncio.Future[None]] = field(default_factory=deque)
    _timer: asyncio.TimerHandle | None = None

    def add(self, key: K) -> None:
        """Have the key worked on as soon as a worker is free. A pending delay of the key is void: it is early now."""
        self._due.pop(key, None)
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._busy:
            self._ready.append(key)
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key worked on after a delay; of several delays the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = asyncio.get_running_loop().time() + seconds
        if key in self._dirty or self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, key))
        self._arm()

    def retry(self, key: K) -> float:
        """Have the key worked on after its back-off, which grows with each call until `forget`. Returns the delay."""
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        delay = self.backoff.seconds(failures, self.jitter())
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """It went well: the next failure starts with the shortest delay again."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key and take it; every `get` is answered by a `done`."""
        while not self._ready:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._ready:
                    self._wake_one()
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._busy.add(key)
        return key

    def done(self, key: K) -> None:
        """The worker is through with the key; if it was added meanwhile, it is ready again."""
        self._busy.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake_one()

    @property
    def depth(self) -> int:
        """How many keys wait for a worker now."""
        return len(self._ready)

    @property
    def busy(self) -> int:
        """How many keys are being worked on."""
        return len(self._busy)

    @property
    def retrying(self) -> int:
        """How many keys failed the last time."""
        return len(self._failures)

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                self.add(key)
        self._arm()
