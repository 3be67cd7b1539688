"""Local tables of Datasets: where a relative URI leads, and whether the file changed. Looked at only.

Whoever looks at a file is told of its changes at once: the folders of all files that were asked for are watched.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog
from watchfiles import awatch

from drivers.contract import Absent, Observation, Owner, Present, Survey
from drivers.looked_at import LookedAt

log = structlog.get_logger()

RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Table:
    """A local file as it was found."""

    path: str
    """Absolute; where nothing is there, where it was looked for."""
    folder: str
    """The folder that relative URIs begin in; empty if there is none."""
    stamp: str
    """Changes with the file; empty if there is no readable file."""
    trouble: str = ""
    """Why there is none."""


@dataclass(slots=True)
class Tables:
    """All local tables that Datasets name. `changed` is called with the UID of each owner whose file changed."""

    changed: Callable[[str], None] = lambda uid: None
    _owners: dict[Path, set[str]] = field(default_factory=lambda: defaultdict(set))
    _task: asyncio.Task[None] | None = None
    _folders: frozenset[Path] = frozenset()

    def at(self, folder: str | None) -> TableDriver:
        """The driver for URIs that begin in this folder; None: only absolute ones lead anywhere."""
        return TableDriver(self, folder)

    def watch(self, uid: str, path: Path) -> None:
        """Tell this owner when the file changes."""
        real = Path(os.path.realpath(path))
        for place in {Path(os.path.realpath(path.parent)) / path.name, real}:  # a link may change, and what it leads to
            self._owners[place].add(uid)
        folders = frozenset(path.parent for path in self._owners if path.parent.is_dir())
        if folders != self._folders:
            self._folders = folders
            if self._task is not None:
                self._task.cancel()
            self._task = asyncio.get_running_loop().create_task(self._watch(folders), name="tables")

    def prints(self) -> dict[str, int]:
        """Owner UID → a hash of its files as they are now."""
        prints: defaultdict[str, int] = defaultdict(int)
        for path, uids in self._owners.items():
            for uid in uids:
                prints[uid] ^= hash((path, stamp(path)))
        return dict(prints)

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task, self._folders = None, frozenset()

    async def _watch(self, folders: frozenset[Path]) -> None:
        while True:
            try:
                async for changes in awatch(*folders, recursive=False, step=20, debounce=200):
                    for uid in {uid for _, name in changes for uid in self._owners.get(Path(name), ())}:
                        self.changed(uid)
            except (OSError, RuntimeError) as error:  # a folder is gone, or no inotify watches are left: surveys go on
                log.debug("tables.not_watched", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)


class TableDriver(LookedAt):
    """One folder's view of the tables."""

    name = "local/table"

    def __init__(self, tables: Tables, folder: str | None) -> None:
        self._tables, self._folder = tables, folder

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Table]:
        """The file under a URI. Where there is none the answer says why: the URI is there, and leads nowhere."""
        if ref is None:
            return Absent()
        return Present(ref, await asyncio.to_thread(self._look, ref) if not owner.uid else self._watched(owner.uid, ref))

    async def survey(self) -> Survey:
        """Nothing is ours, but owners are woken when their file changes."""
        return Survey(time.monotonic(), frozenset(), self._tables.prints())

    def _watched(self, uid: str, uri: str) -> Table:
        table = self._look(uri)
        if table.path:
            self._tables.watch(uid, Path(table.path))
        return table

    def _look(self, uri: str) -> Table:
        text = unquote(urlsplit(uri).path) if uri.startswith("file://") else uri
        if not os.path.isabs(text) and self._folder is None:
            trouble = f'cannot find "{uri}": a relative URI begins in the folder of the spec\'s file, and this object has none'
            return Table("", "", "", f"{trouble}; give an absolute one")
        path = Path(self._folder or "/") / text
        now = stamp(path)
        trouble = "" if now else f'cannot read "{uri}": there is no such file ({path})'
        return Table(str(path), self._folder or "", now, trouble)


def stamp(path: Path) -> str:
    """Changes with the file; empty if there is none."""
    with suppress(OSError):
        there = path.stat()
        return f"{there.st_mtime_ns}-{there.st_size}-{there.st_ino}"
    return ""
