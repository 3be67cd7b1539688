"""Which revision gets which share: one small table in a file or in the result store, cached here.

The web app serves on with the last table it could read: one that is missing or broken for a moment changes nothing.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from serving.config import Config

FIRST_SECONDS = 2.0
LOOK_SECONDS = 0.1
"""A table that serves is looked at again so often; whoever asks after a pause waits for the look."""


class Route(BaseModel):
    """One revision and its share."""

    model_config = ConfigDict(frozen=True)

    revision: Annotated[int, Field(ge=0)]
    """Number of the revision; the model version in the Open Inference Protocol."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Which model it serves."""
    queue: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    """Where its workers listen."""
    weight: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Its share of the requests, relative to the others'; 0 gets none unless asked for by version."""


class Table(BaseModel):
    """The revisions that serve now."""

    model_config = ConfigDict(frozen=True)

    revisions: tuple[Route, ...] = ()

    def pick(self, point: float) -> Route | None:
        """The route at `point` (0 ≤ point < 1) of the weights laid end to end; None if there is none with a weight."""
        total = sum(route.weight for route in self.revisions)
        at = point * total
        for route in self.revisions:
            if at < route.weight:
                return route
            at -= route.weight
        return None

    def of(self, revision: int) -> Route | None:
        """The route of a revision."""
        return next((route for route in self.revisions if route.revision == revision), None)

    def main(self) -> Route | None:
        """The one with the largest share, the newest of equals: what the pages describe."""
        return max(self.revisions, key=lambda route: (route.weight, route.revision), default=None)


class Source(Protocol):
    """Where the table comes from."""

    def look(self) -> Table | None:
        """The table, if it may have changed since the last look; None: go on with the one there is."""


class FileTable:
    """A file, replaced atomically."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None

    def look(self) -> Table | None:
        """See Source."""
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return None
            table = Table.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return None
        self._stamp = stamp
        return table


class RedisTable:
    """A key of the result store, read over and over by a thread of its own: a Redis that hangs makes nobody wait."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._found: Table | None = None
        self._thread: threading.Thread | None = None
        self._first = threading.Event()

    def look(self) -> Table | None:
        """See Source. Whoever looks first waits for the first answer, for a moment."""
        if self._thread is None:  # after the fork: threads do not survive one
            self._thread = threading.Thread(target=self._run, name="routes", daemon=True)
            self._thread.start()
            self._first.wait(FIRST_SECONDS)
        return self._found

    def _run(self) -> None:
        import redis

        from serving.broker.replies import client

        store, key, last, pause = client(self._config.results), key_of(self._config), b"", threading.Event()
        while True:
            try:
                text = store.get(key)
                if text and text != last:
                    self._found, last = Table.model_validate_json(text), text
            except (redis.RedisError, ValidationError):
                pause.wait(LOOK_SECONDS)
            self._first.set()
            pause.wait(LOOK_SECONDS)


def key_of(config: Config) -> str:
    """Where the table is kept in the result store."""
    return f"anneal:{config.namespace}:{config.name}:routes"


def connect(config: Config) -> Routes:
    """The routes of a deployment: of its folder, or of its result store."""
    return Routes(FileTable(config.routes_file) if config.one_machine or not config.supervised else RedisTable(config))


class Routes:
    """The table as it is now, looked at no more often than every 0.1 s; one without a revision each time it is asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._table = Table()
        self._next = 0.0

    def now(self) -> Table:
        """The current table; empty if there never was one."""
        at = time.monotonic()
        # while one looks, the others go on with a table of just now; with an empty one, or one of before a pause, they wait
        old = not self._table.revisions or at - self._next > LOOK_SECONDS
        if at >= self._next and self._lock.acquire(blocking=old):
            try:
                if at >= self._next:
                    self._table = self._source.look() or self._table
                    self._next = time.monotonic() + (LOOK_SECONDS if self._table.revisions else 0.0)
            finally:
                self._lock.release()
        return self._table

    def pick(self) -> Route | None:
        """A revision by weight."""
        table = self.now()
        return table.revisions[0] if len(table.revisions) == 1 else table.pick(random.random())  # noqa: S311


def write(file: Path, table: Table) -> None:
    """Replace the table atomically."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".routes-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(table.model_dump_json())
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(name, file)
