"""Wakes a source when its folder changes. Only ever a hint: what changed is found out by looking."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import structlog
from watchfiles import awatch

log = structlog.get_logger()

STEP_MS = 10
DEBOUNCE_MS = 20
RETRY_SECONDS = 2.0
"""Without inotify (no watches left, the folder gone) the folder is looked at this often instead."""


async def watch(path: Path, changed: Callable[[], None]) -> None:
    """Call `changed` within 20 ms of any change under the folder, links in its path included, until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch(path, changed, recursive=True))
        for link in (place for place in (path, *path.parents) if place.is_symlink()):
            group.create_task(_watch(link.parent, changed, recursive=False))


async def _watch(path: Path, changed: Callable[[], None], *, recursive: bool) -> None:
    told = False
    while True:
        identity = await asyncio.to_thread(_identity, path)
        hints = awatch(
            path,
            watch_filter=None,
            step=STEP_MS,
            debounce=DEBOUNCE_MS,
            recursive=recursive,
            rust_timeout=1000,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        try:
            async with contextlib.aclosing(hints):
                began = True
                async for changes in hints:
                    if changes or began:  # what changed before the watch stood is seen by the first look
                        changed()
                    began = told = False
                    if await asyncio.to_thread(_identity, path) != identity:
                        break  # another folder of the same name: inotify still watches the old one
        except (OSError, RuntimeError) as error:  # RuntimeError: what watchfiles makes of a watcher that broke
            if not told:
                log.warning("source.not_watched", path=str(path), error=str(error), retry_seconds=RETRY_SECONDS)
                told = True
            await asyncio.sleep(RETRY_SECONDS)
        changed()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
