"""The record in an SQLite file beside the configuration: one machine, many processes, nothing to install.

WAL and synchronous=FULL: what was committed survives a power cut.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from serving.config import Config
from serving.message import Failure
from serving.records.contract import DEAD_LETTERS, REMEMBERED_SECONDS, TOMBSTONE_FACTOR, DeadLetter, Job, RecordDown

BUSY_SECONDS = 1.5

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, form TEXT NOT NULL, revision INTEGER NOT NULL, digest TEXT NOT NULL, queue TEXT NOT NULL,
    rows INTEGER NOT NULL, visitor TEXT NOT NULL, input BLOB, state TEXT NOT NULL, accepted REAL NOT NULL, finished REAL,
    sent REAL, sends INTEGER NOT NULL DEFAULT 0, output BLOB, reason TEXT, message TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_pending ON jobs (sent) WHERE state = 'PENDING';
CREATE INDEX IF NOT EXISTS jobs_visitor ON jobs (visitor, accepted) WHERE visitor <> '';
CREATE INDEX IF NOT EXISTS jobs_finished ON jobs (finished) WHERE finished IS NOT NULL;
CREATE TABLE IF NOT EXISTS dead (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, revision INTEGER NOT NULL, digest TEXT NOT NULL,
    reason TEXT NOT NULL, message TEXT NOT NULL, input BLOB NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS unburied (number INTEGER PRIMARY KEY, id TEXT NOT NULL, by TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, count INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
"""
_HEAD = (
    "SELECT id, form, revision, digest, queue, rows, visitor, state, accepted, finished, sends, reason, message,"
    " input IS NULL AS gone"
)
WHOLE = _HEAD + ", input AS given, output AS result FROM jobs "
SHORT = _HEAD + ", CASE WHEN rows = 1 THEN input END AS given, CASE WHEN rows = 1 THEN output END AS result FROM jobs "
BARE = _HEAD + ", NULL AS given, NULL AS result FROM jobs "


class SqliteRecords:
    """See serving.records.contract.Records. Safe for threads and for processes, not across a fork."""

    def __init__(self, config: Config) -> None:
        self._file = config.records_file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
            made = sqlite3.connect(self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            made.row_factory = sqlite3.Row
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("PRAGMA synchronous=FULL")
            made.executescript(SCHEMA)
            self._connection = made
        return self._connection

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise RecordDown("the record of requests is busy")
        try:
            yield self._open()
        except sqlite3.Error as error:
            raise RecordDown(f"the record of requests does not answer: {error}") from error
        except OSError as error:
            raise RecordDown(f"the record of requests does not answer: {error.strerror}") from error
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def accept(self, jobs: Sequence[Job]) -> None:
        """Write them down in one commit."""
        rows = [
            (
                j.id,
                j.form,
                j.revision,
                j.digest,
                j.queue,
                j.rows,
                j.visitor,
                orjson.dumps(j.columns),
                j.state,
                j.accepted,
                j.accepted,
                1,
            )
            for j in jobs
        ]
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO jobs (id, form, revision, digest, queue, rows, visitor, input, state, accepted, sent, sends)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                rows,
            )

    def withdraw(self, ids: Sequence[str]) -> None:
        """Forget them."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM jobs WHERE id = ? AND state = 'PENDING'", [(one,) for one in ids])

    def sent(self, ids: Sequence[str], at: float) -> None:
        """Note when they were queued."""
        with self._writing() as connection:
            connection.executemany("UPDATE jobs SET sent = ?, sends = sends + 1 WHERE id = ?", [(at, one) for one in ids])

    def pending(self, ids: Sequence[str]) -> list[Job]:
        """Those without an answer."""
        with self._reading() as connection:
            found = []
            for one in ids:
                row = connection.execute(WHOLE + "WHERE id = ? AND state = 'PENDING'", (one,)).fetchone()
                if row:
                    found.append(_job(row))
            return found

    def finish(self, job: str, labels: list[Any], probabilities: list[list[float]] | None, at: float) -> bool:
        """Store a result, unless there is an answer."""
        output = orjson.dumps([labels, probabilities], option=orjson.OPT_SERIALIZE_NUMPY)
        with self._writing() as connection:
            done = connection.execute(
                "UPDATE jobs SET state = 'SUCCEEDED', finished = ?, output = ? WHERE id = ? AND state = 'PENDING'",
                (at, output, job),
            )
            return done.rowcount == 1

    def fail(self, job: str, failure: Failure, at: float) -> bool:
        """Store a failure and its dead letter in one commit."""
        with self._writing() as connection:
            done = connection.execute(
                "UPDATE jobs SET state = 'FAILED', finished = ?, reason = ?, message = ? WHERE id = ? AND state = 'PENDING'",
                (at, failure.reason, failure.message, job),
            )
            if done.rowcount:
                connection.execute(
                    "INSERT INTO dead (id, revision, digest, reason, message, input, at)"
                    " SELECT id, revision, digest, reason, message, input, finished FROM jobs WHERE id = ?",
                    (job,),
                )
            return done.rowcount == 1

    def bury(self, letter: DeadLetter) -> None:
        """Keep a dead letter."""
        values = (
            letter.id,
            letter.revision,
            letter.digest,
            letter.reason,
            letter.message,
            orjson.dumps(letter.columns),
            letter.at,
        )
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO dead (id, revision, digest, reason, message, input, at) VALUES (?,?,?,?,?,?,?)", values
            )

    def dead(self) -> list[DeadLetter]:
        """Newest first."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM dead ORDER BY number DESC").fetchall()
        return [
            DeadLetter(
                row["id"], row["revision"], row["digest"], row["reason"], row["message"], orjson.loads(row["input"]), row["at"]
            )
            for row in rows
        ]

    def unbury(self, ids: Sequence[str], by: str) -> None:
        """Forget them, and remember by whom, in one commit."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM dead WHERE id = ?", [(one,) for one in ids])
            connection.executemany("INSERT INTO unburied (id, by, at) VALUES (?,?,?)", [(one, by, time.time()) for one in ids])

    def unburied(self, by: str) -> list[str]:
        """As they were forgotten."""
        with self._reading() as connection:
            return [row["id"] for row in connection.execute("SELECT id FROM unburied WHERE by = ? ORDER BY number", (by,))]

    def revive(self, job: Job) -> bool:
        """Pending again, unless it is so or was answered."""
        values = (job.id, job.form, job.revision, job.digest, job.queue, job.rows, job.visitor, orjson.dumps(job.columns))
        with self._writing() as connection:
            connection.execute("DELETE FROM jobs WHERE id = ? AND state = 'FAILED'", (job.id,))
            connection.execute("DELETE FROM deliveries WHERE id = ?", (job.id,))
            made = connection.execute(
                "INSERT OR IGNORE INTO jobs"
                " (id, form, revision, digest, queue, rows, visitor, input, state, accepted, sent, sends)"
                " VALUES (?,?,?,?,?,?,?,?,'PENDING',?,?,1)",
                (*values, job.accepted, job.accepted),
            )
            return made.rowcount == 1

    def redelivered(self, message: str) -> int:
        """Count."""
        with self._writing() as connection:
            row = connection.execute(
                "INSERT INTO deliveries VALUES (?, 1, ?) ON CONFLICT (id) DO UPDATE SET count = count + 1 RETURNING count",
                (message, time.time()),
            ).fetchone()
            return int(row[0])

    def get(self, job: str) -> Job | None:
        """One job."""
        with self._reading() as connection:
            row = connection.execute(WHOLE + "WHERE id = ?", (job,)).fetchone()
        return _job(row) if row else None

    def recent(self, visitor: str, limit: int) -> list[Job]:
        """Newest first; the content of single rows only."""
        with self._reading() as connection:
            rows = connection.execute(SHORT + "WHERE visitor = ? ORDER BY accepted DESC LIMIT ?", (visitor, limit)).fetchall()
        return [_job(row) for row in rows]

    def unfinished(self) -> int:
        """How many wait."""
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM jobs WHERE state = 'PENDING'").fetchone()[0])

    def overdue(self, now: float, after: float) -> list[Job]:
        """Due again after 1, 2, 4, … times `after`."""
        with self._reading() as connection:
            rows = connection.execute(
                BARE + "WHERE state = 'PENDING' AND coalesce(sent, accepted) + ? * (1 << min(max(sends, 1) - 1, 12)) < ?"
                " ORDER BY accepted LIMIT 1000",
                (after, now),
            ).fetchall()
        return [_job(row) for row in rows]

    def stranded(self, queues: Sequence[str]) -> list[Job]:
        """Pending jobs of queues that are not among these."""
        marks = ",".join("?" * len(queues))
        with self._reading() as connection:
            rows = connection.execute(
                WHOLE + f"WHERE state = 'PENDING' AND queue NOT IN ({marks}) ORDER BY accepted LIMIT 100",
                list(queues),
            ).fetchall()
        return [_job(row) for row in rows]

    def move(self, job: str, revision: int, digest: str, queue: str) -> None:
        """It belongs to another revision from now on."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE jobs SET revision = ?, digest = ?, queue = ? WHERE id = ? AND state = 'PENDING'",
                (revision, digest, queue, job),
            )

    def expire(self, now: float, ttl: float) -> None:
        """Results, tombstones, counts and old dead letters."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE jobs SET input = NULL, output = NULL, message = NULL, visitor = ''"
                " WHERE finished < ? AND (input IS NOT NULL OR output IS NOT NULL)",
                (now - ttl,),
            )
            connection.execute("DELETE FROM jobs WHERE finished < ?", (now - ttl * TOMBSTONE_FACTOR,))
            connection.execute("DELETE FROM deliveries WHERE at < ?", (now - 24 * 3600,))
            connection.execute("DELETE FROM unburied WHERE at < ?", (now - REMEMBERED_SECONDS,))
            connection.execute("DELETE FROM dead WHERE number <= (SELECT max(number) FROM dead) - ?", (DEAD_LETTERS,))


def _job(row: sqlite3.Row) -> Job:
    given, output = row["given"], row["result"]
    labels, probabilities = orjson.loads(output) if output else (None, None)
    failure = Failure(row["reason"], row["message"] or "") if row["reason"] else None
    return Job(
        id=row["id"], form=row["form"], revision=row["revision"], digest=row["digest"], queue=row["queue"], rows=row["rows"],
        visitor=row["visitor"], columns=orjson.loads(given) if given else None, state=row["state"], accepted=row["accepted"],
        finished=row["finished"], expired=bool(row["gone"]), sends=row["sends"], labels=labels, probabilities=probabilities,
        failure=failure,
    )  # fmt: skip
