"""The database: reads are synchronous and quick, writes are awaited until they are on disk. SQLite, one table (revisions.py).

Values are opaque bytes here; what they hold is the codec's matter.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from reconciler.api.revisions import Change, Expired, Key, Row, StoreError, connect, migrate, verb
from reconciler.api.settings import StoreSettings
from reconciler.api.writer import Compaction, Result, Write, Writer

log = structlog.get_logger()

COMPACT_STEP = 1000


class Store:
    """The objects of one installation. Belongs to one event loop's thread.

    `on_commit` is called with each committed batch, in the order of the revisions, before the writers hear of it.
    """

    def __init__(self, path: Path, settings: StoreSettings | None = None) -> None:
        self.path = path
        self.settings = settings or StoreSettings()
        self.on_commit: Callable[[list[Change]], None] = lambda changes: None
        self.delivered = 0
        """The newest revision that on_commit was told of: what watches have seen."""
        self.compacted = 0
        """States and changes before this revision are forgotten."""
        self._writer: Writer | None = None

    def open(self) -> None:
        """Open or make the database (mode 0600). StoreError if it is damaged or of a newer version."""
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            writer = connect(self.path, self.settings)
            migrate(writer, self.path)
            self._reader = connect(self.path, self.settings)
            self._reader.execute("PRAGMA query_only = 1")
            self.compacted = self._reader.execute("SELECT value FROM meta WHERE key = 'compacted'").fetchone()[0]
            newest = self._reader.execute("SELECT coalesce(max(rv), 0) FROM revisions").fetchone()[0]
        except sqlite3.Error as e:
            raise StoreError(f"cannot open {self.path}: {e}; restore it from a backup, or move it away to start anew") from e
        self.delivered = max(newest, self.compacted)
        self._writer = Writer(writer, self.path, self.delivered, self._deliver)

    async def close(self) -> None:
        """Finish the writes that wait, and close the database."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
            self._writer = None
            self._reader.close()

    # --- reads --------------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Row | None:
        """The object as it is now, or None."""
        sql = "SELECT rv, deleted, blob FROM revisions WHERE kind = ? AND namespace = ? AND name = ? ORDER BY rv DESC LIMIT 1"
        found = self._read(sql, key)
        return Row(key, found[0][0], found[0][2]) if found and not found[0][1] else None

    def scan(
        self, kind: str, namespace: str | None, *, at: int, after: tuple[str, str] | None = None, limit: int | None = None
    ) -> list[Row]:
        """The objects of a kind as of revision `at`, by namespace and name, from behind `after`. Expired if compacted."""
        if at < self.compacted:
            raise Expired
        where, args = _range(kind, namespace, after)
        rows = self._read(
            f"SELECT r.namespace, r.name, r.rv, r.blob FROM ({_STATES.format(where)}) AS k"  # noqa: S608 - no user's text
            " CROSS JOIN revisions AS r ON r.rv = k.rv WHERE NOT k.deleted LIMIT ?",
            (*args, at, -1 if limit is None else limit),
        )
        return [Row(Key(kind, ns, name), rv, blob) for ns, name, rv, blob in rows]

    def count(self, kind: str, namespace: str | None, *, at: int, after: tuple[str, str] | None = None) -> int:
        """How many objects `scan` would give."""
        where, args = _range(kind, namespace, after)
        sql = f"SELECT count(*) FROM ({_STATES.format(where)}) WHERE NOT deleted"  # noqa: S608 - no user's text
        return int(self._read(sql, (*args, at))[0][0])

    def versions(self, kind: str) -> list[tuple[str, str, int]]:
        """Namespace, name and revision of every object of a kind, from the index alone."""
        states = _STATES.format("kind = ?")
        sql = f"SELECT namespace, name, rv FROM ({states}) WHERE NOT deleted"  # noqa: S608 - no user's text
        return self._read(sql, (kind, self.newest()))

    def newest(self) -> int:
        """The newest committed revision."""
        return max(int(self._read("SELECT coalesce(max(rv), 0) FROM revisions", ())[0][0]), self.compacted)

    def changes(self, kind: str, *, after: int, upto: int, limit: int) -> list[Change]:
        """The changes of a kind with `after` < revision <= `upto`, oldest first. Expired if some were compacted away."""
        if after < self.compacted:
            raise Expired
        sql = (
            "SELECT rv, namespace, name, prev, deleted, blob FROM revisions"
            " WHERE kind = ? AND rv > ? AND rv <= ? ORDER BY rv LIMIT ?"
        )
        rows = self._read(sql, (kind, after, upto, limit))
        return [Change(verb(prev, deleted), Key(kind, ns, name), rv, blob, prev) for rv, ns, name, prev, deleted, blob in rows]

    def blob(self, rv: int) -> bytes | None:
        """What revision `rv` wrote; None if it was compacted away."""
        found = self._read("SELECT blob FROM revisions WHERE rv = ?", (rv,))
        return found[0][0] if found else None

    def outdated(self, kind: str, *, before: float, keep: int) -> list[tuple[Key, int]]:
        """Key and revision of the objects last written before the time `before`, and of all but the newest `keep`."""
        states = _STATES.format("kind = ?")
        rows = self._read(
            f"SELECT r.namespace, r.name, r.rv, r.time FROM ({states}) AS k"  # noqa: S608 - no user's text
            " CROSS JOIN revisions AS r ON r.rv = k.rv WHERE NOT k.deleted ORDER BY r.rv",
            (kind, self.newest()),
        )
        surplus = max(len(rows) - keep, 0)
        return [(Key(kind, ns, name), rv) for i, (ns, name, rv, written) in enumerate(rows) if i < surplus or written < before]

    def _read(self, sql: str, args: tuple[object, ...]) -> list[Any]:
        try:
            return self._reader.execute(sql, args).fetchall()
        except sqlite3.Error as e:
            raise StoreError(f"cannot read {self.path}: {e}; trying again is safe") from e

    # --- writes -------------------------------------------------------------------------------------------------------

    async def write(
        self,
        key: Key,
        blob: bytes,
        *,
        expect: int,
        deleted: bool = False,
        requires: Key | None = None,
        empty_namespace: str | None = None,
    ) -> int:
        """Write if the object is at revision `expect` (0: not there) and return the new revision, once it is on disk.

        Mismatch if it is at another one; Missing if `requires` is not there or `empty_namespace` is not empty; StoreError if
        the database refused. In each case nothing was written.
        """
        assert self._writer is not None, "the store is closed"
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._writer.put(Write(key, blob, expect, future, deleted, requires, empty_namespace))
        # A caller that goes away does not take the write back: it is on its way.
        return await asyncio.shield(future)

    async def compact(self, now: float) -> int:
        """Forget the changes that are too old or too many; the state stays. Returns the revision up to which it went."""
        assert self._writer is not None, "the store is closed"
        young = self._read(_FIRST_YOUNG, (self.compacted, now - self.settings.keep_seconds))
        old = young[0][0] - 1 if young else self.delivered
        target = min(max(old, self.delivered - self.settings.keep_revisions), self.delivered)
        while target > self.compacted:
            start, stop = self.compacted, min(target, self.compacted + COMPACT_STEP)
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self.compacted = stop  # at once: nobody may start to read what is about to go
            self._writer.put(Compaction(start, stop, future))
            try:
                await asyncio.shield(future)
            except StoreError:
                self.compacted = start
                raise
        return self.compacted

    def _deliver(self, changes: list[Change], results: list[Result]) -> None:
        if changes:
            self.delivered = changes[-1].rv
            try:
                self.on_commit(changes)
            except Exception:  # the writes took place, whatever came of telling others
                log.exception("store.listener_failed")
        for future, result in results:
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


# The newest revision of each key. SQLite takes `deleted` from the row that max() picked, and reads the index alone, in its order.
_STATES = (
    "SELECT namespace, name, max(rv) AS rv, deleted FROM revisions"
    " INDEXED BY by_key WHERE {} AND rv <= ? GROUP BY namespace, name"
)

# The oldest revision that must be kept for its age. Read in the order of revisions it stops at the first: a thousand kept
# revisions cost nothing at each upkeep.
_FIRST_YOUNG = "SELECT rv FROM revisions WHERE rv > ? AND time >= ? ORDER BY rv LIMIT 1"


def _range(kind: str, namespace: str | None, after: tuple[str, str] | None) -> tuple[str, tuple[str, ...]]:
    if namespace is None:
        return ("kind = ?", (kind,)) if after is None else ("kind = ? AND (namespace, name) > (?, ?)", (kind, *after))
    if after is None:
        return "kind = ? AND namespace = ?", (kind, namespace)
    return "kind = ? AND namespace = ? AND name > ?", (kind, namespace, after[1])
