"""Where the actors of a run meet and wait. Light: its process need not have scikit-learn."""

from __future__ import annotations

import asyncio
import contextlib

import ray

HALL_SECONDS = 20.0
"""How long the first actors wait for each other. Where the cluster has no room for all of them, they begin without."""
IDLE_SECONDS = 10.0
"""How long an actor waits for news before it asks again."""


@ray.remote(num_cpus=0)
class Hall:
    """Where actors meet before the first trial begins, and wait when there is none for them.

    Tune gives a trial that waits for its own actor to whichever actor is free, and throws the new one away. Where trials are
    shorter than the start of an actor (seconds: it imports scikit-learn), all trials end up in one actor, and a second one is
    started in vain for each of them. Actors that begin together stay, as long as none of them is ever without a trial: Tune
    keeps one that is idle, not two. So one for which the search has nothing yet waits here, in a trial that is none.
    """

    def __init__(self, expected: int) -> None:
        self._expected, self._here, self._all = expected, 0, asyncio.Event()
        self._told, self._news = 0, asyncio.Event()

    async def enter(self) -> bool:
        """Wait for the others; whether all came."""
        self._here += 1
        if self._here >= self._expected:
            self._all.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all.wait(), HALL_SECONDS)
        return self._all.is_set()

    async def tell(self, told: int) -> None:
        """So many trials are over by now, or have come back: there may be another one to run."""
        self._told = max(self._told, told)
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, told: int) -> None:
        """Wait until more than `told` were told, or for IDLE_SECONDS."""
        if self._told <= told:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), IDLE_SECONDS)
