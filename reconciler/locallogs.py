"""What local processes and runs leave behind for people: logs, several at once, and the trials of an Experiment."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from reconciler.logtail import POLL_SECONDS, tail

OVER_SECONDS = 1.0
MOST_LINES = 100_000
MOST_TRIALS = 10_000

Over = Callable[[], Awaitable[bool]]


async def lines(
    logs: Mapping[str, Sequence[Path]], *, n: int, follow: bool, trial: str | None = None, over: Over | None = None
) -> AsyncIterator[str]:
    """The last `n` lines of each log, then what is added, until cancelled. With several logs each line names its part.

    over: asked now and then whether nothing will be added any more; then it ends, with the last line.
    """
    files = [(part, path) for part, paths in sorted(logs.items()) for path in paths]
    parts = len(logs)
    if not follow:
        for part, path in files:
            async for line in _chosen(path, n, False, trial):
                yield f"[{part}] {line}" if parts > 1 else line
        return
    queue: asyncio.Queue[str | None] = asyncio.Queue(1000)

    async def read(part: str, path: Path) -> None:
        async for line in _chosen(path, n, True, trial):
            await queue.put(f"[{part}] {line}" if parts > 1 else line)

    async def end(over: Over) -> None:
        while not await over():  # noqa: ASYNC110  it is somebody else who knows, and he is asked
            await asyncio.sleep(OVER_SECONDS)
        await asyncio.sleep(2 * POLL_SECONDS)  # what was written before that is read by then
        await queue.put(None)

    tasks = [asyncio.create_task(read(part, path)) for part, path in files]
    if over is not None:
        tasks.append(asyncio.create_task(end(over)))
    try:
        while (found := await queue.get()) is not None:
            yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _chosen(path: Path, n: int, follow: bool, trial: str | None) -> AsyncIterator[str]:
    """The lines of one log, or those of one trial, which is named by number or by name."""
    wanted = None if trial is None else re.compile(rf"(?:^|\s)(?:number|trial)={re.escape(trial)}(?=\s|$)")
    async for line in tail(path, n=n if wanted is None else MOST_LINES, follow=follow):
        if wanted is None or wanted.search(line):
            yield line


def trials(folder: Path) -> list[dict[str, Any]]:
    """The finished trials of a run, in their order, the newest MOST_TRIALS; none if there is no such run."""
    found: dict[int, dict[str, Any]] = {}
    try:
        with (folder / "trials.jsonl").open("rb") as file:
            for line in file:
                with contextlib.suppress(orjson.JSONDecodeError):  # the last one may be torn
                    row = orjson.loads(line)
                    if isinstance(row, dict) and isinstance(row.get("number"), int):
                        found[row["number"]] = row
    except OSError:
        return []
    return [found[number] for number in sorted(found)][-MOST_TRIALS:]
