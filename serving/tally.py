"""How a revision answers, counted over all web processes of a deployment: answers, errors, latencies of the last minutes.

Each process counts in memory and adds to the result store once a second, so that whichever process is asked knows of all of them.
A minute has a key of its own; a revision's figures are those of the last ten. Latencies are kept in classes that are a fifth
apart, which is how exact a percentile is.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from serving.broker.replies import client, prefix
from serving.config import Config
from serving.records import RecordDown

FLUSH_SECONDS = 1.0
MINUTE = 60
MINUTES = 10
STEP = 1.2
"""Neighbouring classes of latencies are so far apart."""
ANSWERS, ERRORS, CLASS = "answers", "errors", "ms:"

Counts = Counter[str]


class Tally:
    """One web process's counts. Where there is no result store to share them in, nothing is counted."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._fresh: dict[int, Counts] = {}
        self._store: Any = None if config.one_machine else client(config.results)

    def count(self, revision: int, seconds: float, *, failed: bool) -> None:
        """One answer."""
        if self._store is None:
            return
        with self._lock:
            row = self._fresh.setdefault(revision, Counter())
            row[ANSWERS] += 1
            row[ERRORS] += failed
            row[f"{CLASS}{class_of(seconds)}"] += 1

    def flush(self, now: float) -> None:
        """Add what has gathered to the result store; what cannot be added is lost: it is a figure, not a request."""
        import redis

        with self._lock:
            fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        try:
            with self._store.pipeline(transaction=False) as line:
                for revision, row in fresh.items():
                    key = self._key(revision, int(now) // MINUTE)
                    for name, count in row.items():
                        line.hincrby(key, name, count)
                    line.expire(key, (MINUTES + 1) * MINUTE)
                line.execute()
        except redis.RedisError:
            return

    def run(self, over: threading.Event) -> None:
        """Flush once a second until it is over, and then once more."""
        if self._store is None:
            return
        while not over.wait(FLUSH_SECONDS):
            self.flush(time.time())
        self.flush(time.time())

    def read(self, revisions: list[int], now: float) -> dict[int, dict[str, float]]:
        """The figures of some revisions over the last ten minutes. Raises RecordDown."""
        if self._store is None:
            return {}
        import redis

        minute = int(now) // MINUTE
        with self._store.pipeline(transaction=False) as line:
            for revision in revisions:
                for back in range(MINUTES):
                    line.hgetall(self._key(revision, minute - back))
            try:
                found = line.execute()
            except redis.RedisError as error:
                raise RecordDown(f"cannot read how revisions answered: {type(error).__name__}") from error
        rows = [found[n * MINUTES : (n + 1) * MINUTES] for n in range(len(revisions))]
        return {revision: figures(_sum(row)) for revision, row in zip(revisions, rows, strict=True)}

    def _key(self, revision: int, minute: int) -> str:
        return f"{prefix(self._config)}:tally:{revision}:{minute}"


def class_of(seconds: float) -> int:
    """The class of a latency: so many steps from a millisecond."""
    return math.ceil(math.log(max(seconds * 1000, 1.0), STEP))


def figures(counts: Mapping[str, int]) -> dict[str, float]:
    """Answers, errors and the 99th percentile in milliseconds: the upper edge of its class."""
    classes = sorted((int(name.removeprefix(CLASS)), count) for name, count in counts.items() if name.startswith(CLASS))
    left = math.ceil(0.99 * sum(count for _, count in classes))
    p99 = 0.0
    for edge, count in classes:
        if left <= 0:
            break
        p99, left = STEP**edge, left - count
    return {"answers": counts.get(ANSWERS, 0), "errors": counts.get(ERRORS, 0), "p99Ms": round(p99, 3)}


def _sum(rows: list[Mapping[bytes, bytes]]) -> Counts:
    total: Counts = Counter()
    for row in rows:
        total.update({name.decode(): int(count) for name, count in row.items()})
    return total
