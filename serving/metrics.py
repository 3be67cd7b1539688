"""What Prometheus reads: requests and latencies of the web processes, predictions and inputs of the workers, by revision.

All processes of a deployment write into one folder, and whichever web process is asked answers for all of them
(prometheus_client's multiprocess mode). `use(folder)` comes before this module's metrics are first touched.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from modelstore.signature import Column, Signature
from serving.message import Columns

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 10_000, 100_000)
TENTHS: Final = tuple(n / 10 for n in range(1, 11))
FLUSH_SECONDS: Final = 1.0
MAX_LABELS: Final = 100
OTHER: Final = "(other)"


def use(folder: Path) -> None:
    """Write the metrics of this process into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


class Metrics:
    """The metrics, made once in a process. Their names and labels are promises to dashboards."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self.requests = Counter("anneal_serving_requests", "Requests answered.", ["revision", "endpoint", "code"])
        self.seconds = Histogram(
            "anneal_serving_request_seconds", "From a request to its answer.", ["revision", "endpoint"], buckets=SECONDS
        )
        self.waiting = Gauge(
            "anneal_serving_waiting_requests", "Requests that wait for their prediction.", multiprocess_mode="livesum"
        )
        self.jobs = Gauge(
            "anneal_serving_unfinished_jobs", "Accepted requests without an answer.", multiprocess_mode="mostrecent"
        )
        self.messages = Histogram(
            "anneal_serving_message_rows", "Rows that were predicted in one call.", ["revision"], buckets=ROWS
        )
        self.model_seconds = Histogram(
            "anneal_serving_model_seconds", "Time in the model for one call.", ["revision"], buckets=SECONDS
        )
        self.predictions = Counter("anneal_serving_predictions", "Predicted rows, by label.", ["revision", "label"])
        self.values = Histogram(
            "anneal_serving_prediction_quantile",
            "Predicted values as quantiles of the training data: each tenth holds a tenth, if nothing changed.",
            ["revision"], buckets=TENTHS,
        )  # fmt: skip
        self.inputs = Histogram(
            "anneal_serving_input_quantile",
            "Values of a numeric input as quantiles of the training data: each tenth holds a tenth, if nothing changed.",
            ["revision", "column"], buckets=TENTHS,
        )  # fmt: skip
        self.categories = Counter(
            "anneal_serving_input_categories", "Values of a categorical input.", ["revision", "column", "category"]
        )
        self.missing = Counter("anneal_serving_input_missing", "Missing values of an input.", ["revision", "column"])
        self.dead = Counter("anneal_serving_dead_letters", "Requests that were given up.", ["revision", "reason"])


_MAKING = threading.Lock()


def metrics() -> Metrics:
    """Those of this process."""
    with _MAKING:
        return _made()


@cache
def _made() -> Metrics:
    return Metrics()


def render() -> tuple[bytes, str]:
    """All processes' metrics as text, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    class Written(MultiProcessCollector):
        def collect(self) -> Any:
            return self.merge(_written(Path(self._path)))

    registry = CollectorRegistry()
    Written(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _written(folder: Path) -> Iterator[str]:
    """The files that have something in them. prometheus_client makes one, then sizes it: met in between, it breaks its reader."""
    for file in folder.glob("*.db"):
        with suppress(FileNotFoundError):  # a process's gauges go when it ends
            if file.stat().st_size:
                yield str(file)


class Monitor:
    """A worker's counts. They gather in memory and are written once a second, so that a message pays microseconds for them."""

    def __init__(self, signature: Signature, reference: dict[str, Any], revision: int) -> None:
        """reference: what the training rows looked like, as `modelstore.reference` says it."""
        self._revision = str(revision)
        self._signature = signature
        columns = reference.get("columns") or {}
        self._places = {name: place for name, about in columns.items() if (place := _places(about))}
        self._target = _places(reference.get("target") or {}) if signature.target.classes is None else None
        self._lock = threading.Lock()
        self._calls: list[tuple[int, float]] = []
        self._tallies: dict[str, Tally[Any]] = {}
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def __call__(self, columns: Columns, labels: list[Any], seconds: float) -> None:
        """Count one call of the model."""
        with self._lock:
            self._calls.append((len(labels), seconds))
            self._tallies.setdefault("", Tally()).update(labels)
            for column in self._signature.inputs:
                if column.kind != "datetime":
                    self._tallies.setdefault(column.name, Tally()).update(columns[column.name])

    def buried(self, reason: str) -> None:
        """Count a dead letter, at once: they are rare, and whoever buries one may be the next to die."""
        metrics().dead.labels(self._revision, reason).inc()

    def _run(self) -> None:
        while True:
            time.sleep(FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        with self._lock:
            calls, self._calls = self._calls, []
            tallies, self._tallies = self._tallies, {}
        if not calls:
            return
        book = metrics()
        for rows, seconds in calls:
            book.messages.labels(self._revision).observe(rows)
            book.model_seconds.labels(self._revision).observe(seconds)
        self._predictions(book, tallies.pop("", Tally()))
        kinds = {column.name: column for column in self._signature.inputs}
        for name, tally in tallies.items():
            self._input(book, kinds[name], tally)

    def _predictions(self, book: Metrics, tally: Tally[Any]) -> None:
        if self._signature.target.classes is None:
            if self._target:
                _fill(book.values.labels(self._revision), tally, self._target)
            return
        known = set(self._signature.target.classes[:MAX_LABELS])
        for label, count in tally.items():
            book.predictions.labels(self._revision, str(label) if label in known else OTHER).inc(count)

    def _input(self, book: Metrics, column: Column, tally: Tally[Any]) -> None:
        if missing := tally.pop(None, 0):
            book.missing.labels(self._revision, column.name).inc(missing)
        if column.kind == "numeric":
            if places := self._places.get(column.name):
                _fill(book.inputs.labels(self._revision, column.name), tally, places)
            return
        known = set((column.categories or ())[:MAX_LABELS]) | {True, False}
        for value, count in tally.items():
            book.categories.labels(self._revision, column.name, str(value) if value in known else OTHER).inc(count)


Places = tuple[list[float], list[int]]
"""The edges of the training data's bins, and the tenth that each bin ends in."""


def _places(about: dict[str, Any]) -> Places | None:
    edges, shares = about.get("edges"), about.get("shares")
    if not edges or not shares:
        return None
    return edges, [min(9, max(0, round(sum(shares[: i + 1]) * 10) - 1)) for i in range(len(shares))]


def _fill(histogram: Any, tally: Tally[Any], places: Places) -> None:
    """Put counted values into a histogram at once: observing a thousand rows one by one would cost milliseconds."""
    edges, tenths = places
    counts = [0] * len(TENTHS)
    for value, count in tally.items():
        counts[tenths[bisect_left(edges, value)]] += count
    for bucket, count in enumerate(counts):
        if count:
            histogram._buckets[bucket].inc(count)
            histogram._sum.inc(count * TENTHS[bucket])
