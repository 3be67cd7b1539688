"""Where the actors of a run meet before the first trial begins. Light: its process need not have scikit-learn."""

from __future__ import annotations

import asyncio
import contextlib

import ray

HALL_SECONDS = 20.0
"""How long the first actors wait for each other. Where the cluster has no room for all of them, they begin without."""


@ray.remote(num_cpus=0)
class Hall:
    """Where actors meet before the first trial begins.

    Tune gives a trial that waits for its own actor to whichever actor is free, and throws the new one away. Where trials are
    shorter than the start of an actor (seconds: it imports scikit-learn), all trials end up in one actor, and a second one is
    started in vain for each of them. Actors that begin together stay.
    """

    def __init__(self, expected: int) -> None:
        self._expected, self._here, self._all = expected, 0, asyncio.Event()

    async def enter(self) -> bool:
        """Wait for the others; whether all came."""
        self._here += 1
        if self._here >= self._expected:
            self._all.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all.wait(), HALL_SECONDS)
        return self._all.is_set()
