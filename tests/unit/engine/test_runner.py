"""The runner: what it was doing when it was stopped is done when it runs again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from reconciler.engine.clock import SystemClock
from reconciler.engine.engine import Again
from reconciler.engine.kind import Key
from reconciler.engine.runner import Runner

pytestmark = pytest.mark.looptime

KEY = Key("machines", "default", "m")


class Forever:
    """Stands where events are recorded."""

    async def run(self) -> None:
        await asyncio.Event().wait()


class Slow:
    """An engine whose first pass never ends."""

    clock = SystemClock()
    recorder = Forever()

    def __init__(self) -> None:
        self.passes: asyncio.Queue[Key] = asyncio.Queue()
        self.begun = 0

    async def reconcile(self, key: Key, after: float) -> Again:
        self.begun += 1
        self.passes.put_nowait(key)
        if self.begun == 1:
            await asyncio.Event().wait()
        return Again()


async def test_a_pass_that_the_end_of_the_lease_cut_off_is_made_again():
    """A daemon that loses its lease in the middle of a pass, and leads again later, looks at that object again."""
    engine: Any = Slow()
    runner = Runner(engine, workers=1)
    runner.wake(KEY)
    for _ in range(2):
        term = asyncio.create_task(runner.run())
        async with asyncio.timeout(10):
            assert await engine.passes.get() == KEY
        term.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await term
    assert engine.begun == 2
