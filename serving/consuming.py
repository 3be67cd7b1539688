"""The process of a worker that takes messages and predicts: one Celery worker with one model, one message at a time.

It predicts in the very process that holds the message ("solo"): so a message is in hand exactly as long as its process lives, and
there is nothing between that could lose it. The time limit is a timer of the kernel's, which ends the process even if the model
never comes back to Python.
"""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import structlog
from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import worker_ready

from serving import metrics, models
from serving.broker.celery import Publisher, make, queue
from serving.broker.replies import outbox
from serving.config import Config
from serving.message import TASK, Ask
from serving.predicting import Worker
from serving.records import RecordDown, connect
from serving.state import State

log = structlog.get_logger(__name__)

UNUSABLE = 2
"""The exit code when the model cannot be loaded: trying again would not help."""


def run(config: Config, state: State, folder: Path, name: str, consumer: str, news: int) -> int:
    """Consume the queue `name` until SIGTERM. `news`: a pipe for a line when the model is loaded and one when it is ready, or
    one that says why it is not.

    `consumer` is the name of this process, unlike any before it: brokers that ask who lives know it by that name.
    """
    try:
        worker, monitor = _worker(config, state, folder, name)
    except models.ModelUnusable as error:
        os.write(news, f"failed {error}".replace("\n", " ").encode() + b"\n")
        return UNUSABLE
    os.write(news, b"loaded\n")
    app = worker_app(config, worker, name, consumer)
    if (lease := lease_of(config, consumer)) is not None:
        lease.start()

    def ready(**_: Any) -> None:
        os.write(news, f"ready {worker.model.engine}\n".encode())

    worker_ready.connect(ready, weak=False)
    warnings.filterwarnings("ignore", category=SecurityWarning)  # of running as root with pickle: only JSON is read here
    celery = app.Worker(
        pool="solo", concurrency=1, queues=[app.conf.task_default_queue],
        hostname=f"{name}-{consumer}@{config.namespace}.{config.name}",
        without_gossip=True, without_mingle=True, without_heartbeat=True, loglevel="WARNING", quiet=True,
    )  # fmt: skip
    celery.start()
    monitor.flush()
    return int(celery.exitcode or 0)


def lease_of(config: Config, consumer: str) -> Any:
    """How a broker that does not see its consumers die hears of it: Redis. None for the others."""
    if not config.broker_is("redis", "rediss"):
        return None
    from serving.broker.redis import Lease

    return Lease(config, consumer)


def worker_app(config: Config, worker: Worker, name: str, consumer: str) -> Celery:
    """The Celery application with the one task that there is."""
    app = make(config, consumer)
    app.conf.task_queues = [queue(config, name)]
    app.conf.task_default_queue = queue(config, name).name
    limit = float(config.limits.task_time_limit_seconds)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)

    @app.task(name=TASK, bind=True, max_retries=None)
    def predict(self: Any, values: dict[str, Any]) -> None:
        """Answer one message."""
        ask = Ask(**values)
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            worker.take(ask, int(getattr(self.request, "x-delivery-count", None) or 0))
        except RecordDown as error:  # they are in the record, pending: a web process asks again when it answers
            log.warning("record.down", message=ask.id, error=str(error))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    return app


def _worker(config: Config, state: State, folder: Path, name: str) -> tuple[Worker, metrics.Monitor]:
    digest, revision = state.digest or "", state.revision or 0
    model = models.load(config, folder, digest)
    monitor = metrics.Monitor(model.signature, models.Known(digest, folder).reference, revision)
    publisher = Publisher(config, make(config))
    worker = Worker(
        model=model, revision=revision, digest=digest, records=connect(config),
        reply=outbox(config).send, again=lambda ask: publisher.publish(name, ask),
        max_deliveries=config.limits.max_deliveries, observe=monitor, buried=monitor.buried,
    )  # fmt: skip
    return worker, monitor
