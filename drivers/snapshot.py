"""One list call serves everyone who asks. What one owner asks for is looked up alone; what many ask for at once is listed once.

The rule about time is the contract's: an answer is never older than `after`. So a list that is under way serves only those
questions whose `after` lies before it was sent; the others wait for the next one, together.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic

from drivers.contract import DriverError, Observation, Owner, Survey, Unknown
from drivers.judging import Live, Thing, judge

ALONE = 8
"""So many questions at a time are asked alone; more wait for a list. 0: none, where a question costs as much as a list."""
SHORTEST, LONGEST = 0.01, 1.0
"""A list waits so long for company, in seconds: as long as the last list took, within these bounds. So lists take at most half of
the time of a provider that is quick, and leave one that is slow some for other things."""
THINGS_PER_CALL = 10
"""A list of so many things costs us as much as asking for one alone (measured on loopback: 12 µs a thing, 0.13 ms a call)."""


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[Live]):
    """All that one healthy list held."""

    taken: float
    """When the call was sent."""
    by_ref: dict[str, Thing[Live]]
    by_owner: dict[str, list[Thing[Live]]]

    @classmethod
    def of(cls, taken: float, things: Sequence[Thing[Live]]) -> Snapshot[Live]:
        """Index a list."""
        by_owner: defaultdict[str, list[Thing[Live]]] = defaultdict(list)
        for thing in things:
            by_owner[thing.owner].append(thing)
        return cls(taken, {thing.ref: thing for thing in things}, dict(by_owner))

    def survey(self, installation: str) -> Survey:
        """What of it is ours: what carries the installation's tag, or any owner's if the installation is not known."""
        ours = [t for t in self.by_ref.values() if t.owner and (not installation or t.installation == installation)]
        prints: defaultdict[str, int] = defaultdict(int)
        for thing in ours:
            prints[thing.owner] ^= hash((thing.ref, thing.digest))
        return Survey(self.taken, frozenset(thing.ref for thing in ours), dict(prints))


@dataclass(slots=True)
class _Flight(Generic[Live]):
    """A list call that is about to be made, or under way."""

    sent: float | None = None
    task: asyncio.Task[Snapshot[Live]] = field(init=False)

    def serves(self, after: float) -> bool:
        return self.sent is None or self.sent >= after


class SharedList(Generic[Live]):
    """Answers questions about one table of one provider, with as few calls as the questions allow.

    The three callables make one call each and raise DriverError. `by_id` returns None only for a healthy "there is none".
    """

    def __init__(
        self,
        everything: Callable[[], Awaitable[Sequence[Thing[Live]]]],
        of_owner: Callable[[Owner], Awaitable[Sequence[Thing[Live]]]],
        by_id: Callable[[str], Awaitable[Thing[Live] | None]],
        *,
        alone: int = ALONE,
        things_per_call: int = THINGS_PER_CALL,
        keep_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._everything, self._of_owner, self._by_id = everything, of_owner, by_id
        self._alone, self._things_per_call, self._keep, self._clock = alone, things_per_call, keep_seconds, clock
        self._lonely = 0
        self._last: Snapshot[Live] | None = None
        self._took, self._size = 0.0, 0
        self._flight: _Flight[Live] | None = None
        self._forget: asyncio.TimerHandle | None = None

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Live]:
        """Answer one question. Never raises DriverError; a failed call is Unknown."""
        try:
            things = await self._things(owner, ref, after)
            known = next((thing for thing in things if thing.ref == ref), None)
            if ref is not None and known is None:
                known = await self._by_id(ref)
        except DriverError as error:
            return Unknown(error)
        return judge(owner, part, ref, known, things)

    async def survey(self, installation: str = "") -> Survey | Unknown:
        """Say what is ours, as of now."""
        try:
            return (await self.fresh(self._clock())).survey(installation)
        except DriverError as error:
            return Unknown(error)

    async def fresh(self, after: float) -> Snapshot[Live]:
        """A snapshot that was taken at `after` or later."""
        while True:
            if self._last is not None and self._last.taken >= after:
                return self._last
            flight = self._flight or self._start()
            if flight.serves(after):
                return await asyncio.shield(flight.task)
            with suppress(DriverError):
                await asyncio.shield(flight.task)

    async def close(self) -> None:
        """Stop what is under way and forget what was seen."""
        if self._forget is not None:
            self._forget.cancel()
        self._last = None
        if self._flight is not None:
            self._flight.task.cancel()
            await asyncio.wait([self._flight.task])

    async def _things(self, owner: Owner, ref: str | None, after: float) -> Sequence[Thing[Live]]:
        """The owner's things, and the one under `ref` where that costs nothing."""
        listed = self._last is not None and self._last.taken >= after
        joins = self._flight is not None and self._flight.serves(after)
        if self._alone and not listed and not joins and self._lonely < max(self._alone, self._size // self._things_per_call):
            self._lonely += 1
            try:
                return await self._of_owner(owner)
            finally:
                self._lonely -= 1
        snapshot = await self.fresh(after)
        mine = snapshot.by_owner.get(owner.uid, [])
        there = snapshot.by_ref.get(ref) if ref else None
        return mine if there is None or there in mine else [*mine, there]

    def _start(self) -> _Flight[Live]:
        flight: _Flight[Live] = _Flight()
        flight.task = asyncio.create_task(self._list(flight))
        flight.task.add_done_callback(_heard)
        self._flight = flight
        return flight

    async def _list(self, flight: _Flight[Live]) -> Snapshot[Live]:
        try:
            await asyncio.sleep(min(max(self._took, SHORTEST), LONGEST))
            flight.sent = self._clock()
            snapshot = Snapshot.of(flight.sent, await self._everything())
            self._took, self._size = self._clock() - flight.sent, len(snapshot.by_ref)
            self._remember(snapshot)
            return snapshot
        finally:
            self._flight = None

    def _remember(self, snapshot: Snapshot[Live]) -> None:
        """Keep it for those who ask next, but not for ever: ten thousand servers weigh."""
        if self._forget is not None:
            self._forget.cancel()
        self._last = snapshot
        self._forget = asyncio.get_running_loop().call_later(self._keep, self._drop)

    def _drop(self) -> None:
        self._last = None


def _heard(task: asyncio.Task[Snapshot[Live]]) -> None:
    """Whoever asked may be gone: an error that nobody heard is no news."""
    if not task.cancelled():
        task.exception()
