"""Runs a coroutine in a thread with an event loop of its own, as if it were awaited here."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

TELLINGS, PATIENCE_SECONDS = 6, 0.5
"""How often, and how many seconds apart, it is told to end before it is left to itself."""


async def in_own_loop(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Return what it returns, raise what it raises. Cancelling this cancels it, and waits until it has ended, within reason.

    For code that takes liberties with the loop it runs in. The thread does not keep the process alive.
    """
    home = asyncio.get_running_loop()
    ended: asyncio.Future[T] = home.create_future()
    inside: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []
    cancelled = threading.Event()

    async def main() -> T:
        task = asyncio.create_task(work, name=name)
        inside.append((asyncio.get_running_loop(), task))
        if cancelled.is_set():
            task.cancel()
        return await task

    def thread() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = asyncio.run(main())
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # our own loop is closed: nobody waits any more
            home.call_soon_threadsafe(_conclude, ended, result, failure)

    threading.Thread(target=thread, name=name, daemon=True).start()
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        cancelled.set()
        for _ in range(TELLINGS):  # told once, it may have been at a place that swallows it
            for loop, task in inside:
                with contextlib.suppress(RuntimeError):  # it ended by itself meanwhile
                    loop.call_soon_threadsafe(task.cancel)
            done, _ = await asyncio.wait({ended}, timeout=PATIENCE_SECONDS)
            if done:
                break
        else:
            log.warning("thread.left_behind", thread=name)
        raise


def _conclude(ended: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if ended.done():
        return
    if failure is None:
        ended.set_result(result)
    elif isinstance(failure, asyncio.CancelledError):
        ended.cancel()
    else:
        ended.set_exception(failure)
        ended.exception()  # whoever cancelled us does not ask for it
