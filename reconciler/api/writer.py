"""The one thread that writes. It takes all writes that wait and makes them one transaction: one fsync for all of them.

Their futures resolve only after the commit: whoever got an answer will find the write after a crash. A transaction that fails
leaves nothing behind, and the next one starts afresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconciler.api.revisions import Change, Key, Mismatch, Missing, StoreError, compact, has_content, revision, rollback, verb

BATCH = 512

Result = tuple[asyncio.Future[int], int | Exception]
Deliver = Callable[[list[Change], list[Result]], None]


@dataclass(slots=True)
class Write:
    """One write of one object, if it is at revision `expect` (0: if it is not there)."""

    key: Key
    blob: bytes
    expect: int
    future: asyncio.Future[int]
    deleted: bool = False
    requires: Key | None = None
    """An object that must exist: the namespace."""
    empty_namespace: str | None = None
    """A namespace that must hold nothing."""


@dataclass(slots=True)
class Compaction:
    """Forget what was superseded in (start, stop]."""

    start: int
    stop: int
    future: asyncio.Future[int]


class Writer:
    """Owns the writing connection. `deliver` is called in the event loop's thread, once per transaction."""

    def __init__(self, db: sqlite3.Connection, path: Path, newest: int, deliver: Deliver) -> None:
        self._db = db
        self._path = path
        self._next = newest + 1
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Write | Compaction | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="anneal-store", daemon=True)
        self._thread.start()

    def put(self, item: Write | Compaction) -> None:
        """Queue it; its future says what became of it."""
        self._queue.put(item)

    def close(self) -> None:
        """Finish what waits, then close. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            items = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(items) < BATCH:
                    items.append(self._queue.get_nowait())
            going = None not in items
            if writes := [item for item in items if isinstance(item, Write)]:
                self._transact(lambda writes=writes: self._write(writes), [w.future for w in writes])  # type: ignore[misc]
            for item in items:
                if isinstance(item, Compaction):
                    self._transact(lambda item=item: self._compact(item), [item.future])  # type: ignore[misc]
        self._db.close()

    def _transact(self, work: Callable[[], tuple[list[Change], list[Result]]], futures: list[asyncio.Future[int]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            changes, results = work()
            self._db.execute("COMMIT")
        except sqlite3.Error as e:
            rollback(self._db)
            error = StoreError(f"cannot write to {self._path}: {e}; nothing was changed; try again")
            changes, results = [], [(future, error) for future in futures]
        if changes:
            self._next = changes[-1].rv + 1
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._deliver, changes, results)

    def _write(self, writes: list[Write]) -> tuple[list[Change], list[Result]]:
        changes: list[Change] = []
        results: list[Result] = []
        rv, now = self._next, int(time.time())
        for write in writes:
            if refused := self._refusal(write):
                results.append((write.future, refused))
                continue
            row = (rv, *write.key, write.expect, write.deleted, now, write.blob)
            self._db.execute("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            changes.append(Change(verb(write.expect, write.deleted), write.key, rv, write.blob, write.expect))
            results.append((write.future, rv))
            rv += 1
        return changes, results

    def _refusal(self, write: Write) -> Exception | None:
        if (current := revision(self._db, write.key)) != write.expect:
            return Mismatch(current)
        if write.requires is not None and not revision(self._db, write.requires):
            return Missing(write.requires.name)
        if write.empty_namespace is not None and has_content(self._db, write.empty_namespace):
            return Missing(write.empty_namespace)
        return None

    def _compact(self, item: Compaction) -> tuple[list[Change], list[Result]]:
        compact(self._db, item.start, item.stop)
        return [], [(item.future, item.stop)]
