"""What the database holds: every change of every object as one row, a revision, whose number is the resourceVersion.

The newest row of a key is the object's state; a row marked `deleted` says that it went. So one table is the state, the change log
that watches replay, and the history from which a chunked list is read as of one moment. Compaction removes what was superseded.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Literal, NamedTuple

from reconciler.api.settings import StoreSettings

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE revisions (
    rv INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    prev INTEGER NOT NULL,       -- the revision that this one supersedes; 0 if the object was not there
    deleted INTEGER NOT NULL,
    time INTEGER NOT NULL,       -- seconds since 1970
    blob BLOB NOT NULL           -- of a deleted object: its last state
);
CREATE UNIQUE INDEX by_key ON revisions (kind, namespace, name, rv, deleted);
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('compacted', 0);
"""
PAGE_BYTES = 4096

Verb = Literal["ADDED", "MODIFIED", "DELETED"]


class StoreError(Exception):
    """The database could not do it: disk full, I/O error, locked by another process, damaged."""


class Expired(Exception):
    """The revision asked for was compacted away."""


class Mismatch(Exception):
    """The object is not at the revision that the write expected. `current` is its revision, 0 if it is not there."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the object is at revision {current}")
        self.current = current


class Missing(Exception):
    """What a write requires to exist (its namespace) does not; or a namespace that must be empty is not."""


class Key(NamedTuple):
    """Where an object lives; namespace is "" for what is in none."""

    kind: str
    namespace: str
    name: str


class Row(NamedTuple):
    """One state of one object."""

    key: Key
    rv: int
    blob: bytes


class Change(NamedTuple):
    """One committed write."""

    type: Verb
    key: Key
    rv: int
    blob: bytes
    prev: int
    """The revision before; 0 if the object was not there."""


def verb(prev: int, deleted: bool) -> Verb:
    """What a watch calls a revision."""
    return "DELETED" if deleted else "MODIFIED" if prev else "ADDED"


def connect(path: Path, settings: StoreSettings) -> sqlite3.Connection:
    """Open the database so that a commit is on disk when it returns."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=settings.busy_seconds)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA journal_size_limit = 16777216")
    if settings.max_bytes is not None:
        db.execute(f"PRAGMA max_page_count = {max(settings.max_bytes // PAGE_BYTES, 1)}")
    return db


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the database to this version's schema, each step in a transaction of its own."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(f"cannot open {path}: it was written by a newer anneal (schema {version}); use that version")
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def revision(db: sqlite3.Connection, key: Key) -> int:
    """The revision that the object is at; 0 if it is not there."""
    sql = "SELECT rv, deleted FROM revisions WHERE kind = ? AND namespace = ? AND name = ? ORDER BY rv DESC LIMIT 1"
    found = db.execute(sql, key).fetchone()
    return found[0] if found and not found[1] else 0


def has_content(db: sqlite3.Connection, namespace: str) -> bool:
    """Whether any object is in the namespace."""
    sql = (
        "SELECT 1 FROM (SELECT max(rv), deleted FROM revisions WHERE namespace = ? GROUP BY kind, namespace, name)"
        " WHERE NOT deleted LIMIT 1"
    )
    return db.execute(sql, (namespace,)).fetchone() is not None


def compact(db: sqlite3.Connection, start: int, stop: int) -> None:
    """Forget what was superseded, or deleted, by the revisions in (start, stop]; all before `start` were forgotten already."""
    db.execute("UPDATE meta SET value = ? WHERE key = 'compacted'", (stop,))
    db.execute(
        "DELETE FROM revisions WHERE rv IN (SELECT prev FROM revisions WHERE rv > ? AND rv <= ? AND prev > 0)", (start, stop)
    )
    db.execute("DELETE FROM revisions WHERE rv > ? AND rv <= ? AND deleted", (start, stop))


def rollback(db: sqlite3.Connection) -> None:
    """Undo the open transaction, if there still is one."""
    with contextlib.suppress(sqlite3.Error):
        if db.in_transaction:
            db.execute("ROLLBACK")
