"""What a worker does with a message: predict all its rows in one call, and answer. No Celery in here.

A message that comes back may have killed the worker that had it. Its requests are then asked one by one, so that the one that
kills is alone when it does; and what was delivered as often as allowed is answered with a failure and kept as a dead letter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from serving.message import Answer, Ask, Columns, Failure
from serving.records import DeadLetter, RecordDown, Records

log = structlog.get_logger(__name__)

LOST = Failure("WorkerLost", "no worker survived this request; it was given up, and kept as a dead letter")
WRONG = Failure("PredictionFailed", "the model could not predict these values")


class Predicts(Protocol):
    """What serving needs of a loaded model."""

    @property
    def engine(self) -> str:
        """What computes: onnx or sklearn."""

    def predict(self, columns: Columns) -> Any:
        """`.labels` and `.probabilities` of all rows."""


@dataclass(slots=True)
class Worker:
    """One worker of one revision."""

    model: Predicts
    revision: int
    digest: str
    records: Records
    reply: Callable[[str, bytes], object]
    again: Callable[[Ask], None]
    """Put a message on this revision's queue."""
    max_deliveries: int
    observe: Callable[[Columns, list[Any], float], None] = lambda _columns, _labels, _seconds: None
    buried: Callable[[str], None] = lambda _reason: None
    """Hears of each dead letter."""

    def take(self, ask: Ask, redeliveries: int) -> None:
        """Answer a message. `redeliveries` is how often this very message came back; ask.attempts is what it suffered before."""
        attempts = ask.attempts + redeliveries
        if attempts and ask.requests > 1:
            log.warning("message.split", message=ask.id, requests=ask.requests, attempts=attempts)
            for part in ask.parts(attempts):
                self.again(part)
            return
        if attempts and ask.jobs:  # a broker that forgets has it sent again: only the record knows how often
            attempts = self.records.redelivered(ask.jobs[0])
        if attempts >= self.max_deliveries:
            log.error("message.dead", message=ask.id, attempts=attempts)
            self._give_up(ask)
        elif ask.jobs:
            self._jobs(ask)
        elif ask.deadline > time.time():  # else nobody is waiting any more
            self._rows(ask)

    def _rows(self, ask: Ask) -> None:
        try:
            labels, probabilities = self._predict(ask.columns)
        except Exception:
            log.exception("prediction.failed", message=ask.id, requests=ask.requests)
            if ask.requests > 1:  # one request's values must not spoil the others'
                for part in ask.parts(ask.attempts):
                    self._rows(part)
                return
            self.reply(ask.reply, Answer(ask.id, part=ask.part, failure=WRONG).dump())
            return
        self.reply(ask.reply, Answer(ask.id, labels, probabilities, ask.part).dump())

    def _jobs(self, ask: Ask) -> None:
        for job in self.records.pending(ask.jobs):
            if job.revision != self.revision:
                log.info("job.moved", job=job.id, revision=job.revision)  # meanwhile; that one has a message of its own
                continue
            if job.digest != self.digest:
                self._fail(job.id, Failure("WrongModel", "the model that the request was checked against is not served any more"))
                continue
            try:
                labels, probabilities = self._predict(job.columns or {})
            except RecordDown:
                raise
            except Exception:
                log.exception("prediction.failed", job=job.id)
                self._fail(job.id, WRONG)
                continue
            self.records.finish(job.id, labels, probabilities, time.time())

    def _predict(self, columns: Columns) -> tuple[list[Any], list[list[float]] | None]:
        start = time.perf_counter()
        found = self.model.predict(columns)
        self.observe(columns, found.labels, time.perf_counter() - start)
        if not (_finite(found.labels) and (found.probabilities is None or _finite(found.probabilities))):
            raise ArithmeticError("the model answers infinity, or no number")
        return found.labels, found.probabilities

    def _fail(self, job: str, failure: Failure) -> None:
        if self.records.fail(job, failure, time.time()):
            self.buried(failure.reason)

    def _give_up(self, ask: Ask) -> None:
        for job in ask.jobs:
            self._fail(job, LOST)
        if not ask.jobs:
            letter = DeadLetter(ask.letter, self.revision, self.digest, LOST.reason, LOST.message, ask.columns, time.time())
            self.buried(LOST.reason)
            try:
                self.records.bury(letter)
            finally:  # who waits hears of it even if the record is away
                self.reply(ask.reply, Answer(ask.id, part=ask.part, failure=LOST).dump())


def _finite(values: Any) -> bool:
    """Whether there are only numbers in it, or no numbers at all."""
    import numpy as np

    found = np.asarray(values)
    return found.dtype.kind != "f" or bool(np.isfinite(found).all())
