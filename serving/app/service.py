"""What the web process does with checked requests: has them predicted while somebody waits, or accepts them to be answered later.

Nothing of a model is loaded here; all predictions come from the workers.
"""

from __future__ import annotations

import fcntl
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

import structlog

from modelstore.signature import Signature
from serving import routes
from serving.broker.celery import BrokerDown, Publisher, make
from serving.broker.replies import Inbox, inbox
from serving.coalesce import Coalescer, Moved, Unanswered
from serving.config import Config
from serving.message import Answer, Ask, Columns, Failure
from serving.metrics import metrics
from serving.models import Known, Library
from serving.records import Job, RecordDown, Records, connect
from serving.routes import Route, Routes
from serving.tally import Tally
from serving.wire.columns import Invalid

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.25
SWEEP_SECONDS = 5.0
RESEND_SECONDS = 30.0
"""An accepted request without an answer is put on its queue again after so long, then after twice as long, and so on."""

Prepare = Callable[[Signature], tuple[Columns, int]]
"""Check a request against a model's signature: its columns and number of rows. Raises Invalid."""


class NotServed(Exception):
    """No revision is served, or not the one that was asked for."""


class Full(Exception):
    """As many requests as allowed are waiting."""


@dataclass(slots=True)
class Served:
    """A prediction and who made it."""

    known: Known
    route: Route
    columns: Columns
    answer: Answer


@dataclass(slots=True)
class _Entry:
    job: Job
    done: bool = False
    error: Exception | None = None


class Intake:
    """Accepts requests: those that come while one commit is under way share the next one, and its message."""

    def __init__(self, commit: Callable[[list[Job]], None]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._gathered: list[_Entry] = []

    def accept(self, job: Job) -> None:
        """Returns when it is promised; raises what prevents that."""
        entry = _Entry(job)
        with self._lock:
            self._gathered.append(entry)
        with self._turn:
            if not entry.done:
                with self._lock:
                    batch, self._gathered = self._gathered, []
                try:
                    self._commit([one.job for one in batch])
                    error = None
                except Exception as caught:  # everyone in the batch must hear of it
                    error = caught
                for one in batch:
                    one.done, one.error = True, error
        if entry.error is not None:
            raise entry.error


@dataclass(slots=True)
class Service:
    """One web process. `start` after the fork."""

    config: Config
    routes: Routes = field(init=False)
    library: Library = field(init=False)
    records: Records = field(init=False)
    tally: Tally = field(init=False)
    _coalescer: Coalescer = field(init=False)
    _publisher: Publisher = field(init=False)
    _intake: Intake = field(init=False)
    _inbox: Inbox | None = None
    _wire: threading.Lock = field(default_factory=threading.Lock)
    _count: threading.Lock = field(default_factory=threading.Lock)
    _waiting: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _sweeping: IO[str] | None = None

    def __post_init__(self) -> None:
        self.routes = routes.connect(self.config)
        self.library = Library(self.config)
        self.records = connect(self.config)
        self.tally = Tally(self.config)
        self._intake = Intake(self._commit)

    def start(self) -> None:
        """Connect, listen for answers and look after what has none."""
        app = make(self.config)
        self._publisher = Publisher(self.config, app)
        self._inbox = inbox(self.config, self._deliver)
        self._coalescer = Coalescer(self._publish, self._inbox.address, self._serves)
        threading.Thread(target=self._look_after, name="sweep", daemon=True).start()
        threading.Thread(target=self.tally.run, args=(self._over,), name="tally", daemon=True).start()

    def stop(self) -> None:
        """No more answers are expected."""
        self._over.set()
        if self._inbox:
            self._inbox.close()

    # --- while somebody waits -------------------------------------------------------------------------------------------

    def predict(self, prepare: Prepare, revision: int | None = None) -> Served:
        """Predict rows. Raises Invalid, NotServed, Full, Unanswered or BrokerDown."""
        with self._count:
            if self._waiting >= self.config.web.threads:
                raise Full
            self._waiting += 1
        deadline = time.time() + self.config.limits.timeout_seconds
        try:
            while True:
                route, known = self.route(revision)
                columns, rows = prepare(known.signature)
                begun = time.perf_counter()
                try:
                    answer = self._coalescer.predict(route.queue, columns, rows, deadline)
                except Moved:
                    continue
                except (Unanswered, BrokerDown):
                    self.tally.count(route.revision, time.perf_counter() - begun, failed=True)
                    raise
                self.tally.count(route.revision, time.perf_counter() - begun, failed=answer.failure is not None)
                return Served(known, route, columns, answer)
        finally:
            with self._count:
                self._waiting -= 1

    def route(self, revision: int | None = None) -> tuple[Route, Known]:
        """Who answers a request, and the model there. Raises NotServed or ModelUnusable."""
        route = self.routes.pick() if revision is None else self.routes.now().of(revision)
        if route is None:
            raise NotServed("no model is served yet" if revision is None else f"revision {revision} is not served")
        return route, self.library.get(route.digest)

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return self._waiting

    # --- answered later -------------------------------------------------------------------------------------------------

    def accept(self, prepare: Prepare, *, form: str, visitor: str = "", revision: int | None = None) -> Job:
        """Promise an answer. When this returns, the request is in the record and on its queue."""
        if self.records.unfinished() >= self.config.limits.max_jobs:
            raise Full
        route, known = self.route(revision)
        columns, rows = prepare(known.signature)
        job = Job(
            secrets.token_urlsafe(16), form, route.revision, route.digest, route.queue, rows, visitor,
            columns=columns, accepted=time.time(),
        )  # fmt: skip
        self._intake.accept(job)
        return job

    def wait(self, job: str, seconds: float) -> Job | None:
        """A job once it has an answer, or as it is when the time is over."""
        end, pause = time.monotonic() + seconds, 0.005
        while (found := self.records.get(job)) is not None and found.state == "PENDING" and time.monotonic() < end:
            time.sleep(pause)
            pause = min(pause * 1.3, 0.1)
        return found

    def _commit(self, jobs: list[Job]) -> None:
        self.records.accept(jobs)
        for queue in {job.queue for job in jobs}:
            ids = [job.id for job in jobs if job.queue == queue]
            try:
                self._publish(queue, Ask(uuid.uuid4().hex, jobs=ids))
            except BrokerDown:
                self.records.withdraw([job.id for job in jobs])
                raise

    # --- behind the scenes ----------------------------------------------------------------------------------------------

    def _publish(self, queue: str, ask: Ask) -> None:
        with self._wire:
            self._publisher.publish(queue, ask)

    def _deliver(self, frame: bytes) -> None:
        try:
            self._coalescer.deliver(Answer.load(frame))
        except Exception:
            log.exception("answer.lost")

    def _serves(self, queue: str) -> bool:
        return any(route.queue == queue for route in self.routes.now().revisions)

    def _look_after(self) -> None:
        next_sweep = time.monotonic() + SWEEP_SECONDS
        while not self._over.wait(TICK_SECONDS):
            try:
                self._coalescer.tick(time.time())
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + SWEEP_SECONDS
                    self.sweep(time.time())
            except (RecordDown, BrokerDown) as error:
                log.warning("sweep.failed", error=str(error))
            except Exception:
                log.exception("sweep.failed")

    def sweep(self, now: float) -> None:
        """Look after accepted requests, in one web process of the deployment at a time."""
        if self._sweeping is None:
            self._sweeping = open(self.config.folder / "sweep.lock", "w", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(self._sweeping, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        limits = self.config.limits
        served = [route.queue for route in self.routes.now().revisions]
        if served:
            for job in self.records.stranded(served):
                self._move(job, now)
        for job in self.records.overdue(now, RESEND_SECONDS):
            if now - job.accepted > limits.job_deadline_seconds:
                self._bury(job, Failure("Unanswered", "no worker answered before the deadline"), now)
            else:
                self._publish(job.queue, Ask(uuid.uuid4().hex, jobs=[job.id], attempts=1))
                self.records.sent([job.id], now)
        self.records.expire(now, limits.result_ttl_seconds)

    def _bury(self, job: Job, failure: Failure, now: float) -> None:
        if self.records.fail(job.id, failure, now):
            metrics().dead.labels(str(job.revision), failure.reason).inc()

    def _move(self, job: Job, now: float) -> None:
        """Its revision is gone: the one that is served answers it, if it takes the same inputs."""
        route, known = self.route()
        columns = job.columns or {}
        if set(columns) != set(known.signature.names()):
            self._bury(job, Failure("WrongModel", "the model it was meant for is gone, and the new one takes other inputs"), now)
            return
        self.records.move(job.id, route.revision, route.digest, route.queue)
        self._publish(route.queue, Ask(uuid.uuid4().hex, jobs=[job.id]))
        self.records.sent([job.id], now)


__all__ = ["Full", "Intake", "Invalid", "NotServed", "Served", "Service"]
