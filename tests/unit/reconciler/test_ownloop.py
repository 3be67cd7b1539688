"""A coroutine in a thread and loop of its own behaves as if it were awaited."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from reconciler.ownloop import in_own_loop


async def test_it_returns_what_the_coroutine_returns() -> None:
    """The value comes back, from another thread."""

    async def where() -> str:
        return threading.current_thread().name

    assert await in_own_loop(where(), name="elsewhere") == "elsewhere"


async def test_it_raises_what_the_coroutine_raises() -> None:
    """An exception comes back as itself."""

    async def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await in_own_loop(fail(), name="elsewhere")


@pytest.mark.parametrize("started", [True, False], ids=["while it runs", "before it began"])
async def test_cancelling_ends_it(started: bool) -> None:
    """Whoever cancels the waiting waits until the work has ended too."""
    home = asyncio.get_running_loop()
    running, ended = asyncio.Event(), threading.Event()

    async def work() -> None:
        try:
            home.call_soon_threadsafe(running.set)
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(in_own_loop(work(), name="elsewhere"))
    if started:
        await running.wait()
    else:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set() or not running.is_set()


async def test_what_it_does_to_its_loop_stays_there() -> None:
    """It may cancel every task that it finds: ours are elsewhere."""
    ours = asyncio.create_task(asyncio.Event().wait(), name="ours")

    async def found() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks()}

    assert "ours" not in await in_own_loop(found(), name="elsewhere")
    ours.cancel()


async def test_what_swallows_a_cancellation_is_told_again() -> None:
    """Code that was told to end at a place that swallows it ends all the same."""
    running = threading.Event()

    async def stubborn() -> None:
        running.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(in_own_loop(stubborn(), name="stubborn"))
    await asyncio.to_thread(running.wait)
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({task})
    assert task.cancelled()
