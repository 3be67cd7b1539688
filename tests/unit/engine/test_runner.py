"""The runner: what it was doing when it was stopped is done when it runs again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from drivers.contract import Survey
from reconciler.engine.clock import SystemClock
from reconciler.engine.engine import Again
from reconciler.engine.guard import Guard
from reconciler.engine.index import Index
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
        self.index = Index()
        self.guard = Guard(self.clock, self.index)

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


class Cloud:
    """A driver that answers a survey after a while."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds

    async def survey(self) -> Survey:
        await asyncio.sleep(self.seconds)
        return Survey(asyncio.get_running_loop().time(), frozenset(), {"uid": 1})


def two_clouds() -> Any:
    """An engine with one object at a slow cloud and one at a quick one."""
    engine: Any = Slow()
    for name, seconds in (("slow", 1000.0), ("quick", 1.0)):
        engine.index.record(Key("machines", "default", name), name, frozenset())
        drivers: Any = {"server": Cloud(f"{name}-server", seconds)}
        engine.guard.meet(name, drivers)
    return engine


async def test_a_silent_provider_keeps_no_other_from_being_looked_at():
    """What changed at the quick cloud is looked at though the slow one has not answered yet."""
    runner = Runner(two_clouds())
    survey = asyncio.create_task(runner.survey())
    async with asyncio.timeout(10):
        assert (await runner.queue.get()).name == "quick"
    survey.cancel()


async def test_a_cloud_just_met_is_listed_at_once_and_then_wakes_nobody():
    """The first list is what later ones are compared with: made a round later, it would wake every object for nothing."""
    engine: Any = Slow()
    engine.begun = 1  # no pass of this engine hangs
    engine.index.record(KEY, "quick", frozenset())
    runner = Runner(engine, workers=1, poll_seconds=60.0)
    running = asyncio.create_task(runner.run())
    drivers: Any = {"server": Cloud("quick-server", 1.0)}
    engine.guard.meet("quick", drivers)
    async with asyncio.timeout(10):
        assert await engine.passes.get() == KEY
    await asyncio.sleep(600.0)
    assert engine.passes.empty()
    running.cancel()


async def test_what_came_and_went_between_two_lists_is_looked_at():
    """The lists before and after are alike, but the record names what is in neither: within a round it is looked at."""
    engine: Any = Slow()
    engine.begun = 1
    engine.index.record(KEY, "quick", frozenset())
    runner = Runner(engine, workers=1, poll_seconds=60.0)
    running = asyncio.create_task(runner.run())
    drivers: Any = {"server": Cloud("quick-server", 1.0)}
    engine.guard.meet("quick", drivers)
    async with asyncio.timeout(10):
        assert await engine.passes.get() == KEY
    engine.index.record(KEY, "quick", frozenset({"server-1"}))
    async with asyncio.timeout(100):
        assert await engine.passes.get() == KEY
    running.cancel()


async def test_a_provider_without_objects_is_forgotten():
    """Once its last object is gone a cloud is not asked any more: it may be gone itself."""
    engine = two_clouds()
    engine.index.update(Key("machines", "default", "slow"), "uid-slow", (), ())
    engine.index.forget(Key("machines", "default", "slow"))
    async with asyncio.timeout(10):
        assert list(await Runner(engine).survey()) == ["quick"]
