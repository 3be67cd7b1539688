"""A worker: `python -m serving.worker --config FILE --revision N --digest D --index I`.

Celery's main process holds the broker and no model; one child holds the model and predicts. So a model that takes its process
down takes the child, the message comes back, and another child is made. SIGTERM: what is in hand is finished, nothing more.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from threading import Thread
from typing import Any

import structlog
from celery import Celery, signals
from celery.platforms import SecurityWarning

from serving import logs, metrics, models
from serving.broker.celery import Publisher, make, queue
from serving.broker.replies import Outbox
from serving.config import Config, ConfigError, load
from serving.message import TASK, Ask
from serving.predicting import Worker
from serving.records import RecordDown, connect
from serving.routes import Routes
from serving.state import State

log = structlog.get_logger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM. 2: the configuration or the model cannot be used."""
    parser = argparse.ArgumentParser(prog="serving.worker")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--revision", type=int, required=True)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--index", type=int, default=0)
    args = parser.parse_args(argv)
    logs.setup()
    try:
        config = load(args.config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    metrics.use(config.metrics_folder)
    state = State(config.state_folder / f"worker-r{args.revision}-{args.index}.json", args.revision, args.digest)
    state.say(ready=False, message="loading the model")
    state.beat()
    try:
        folder = models.fetch(config, args.digest, verify=True)
    except models.ModelUnusable as error:
        state.stop(str(error))
        sys.stderr.write(f"{error}\n")
        return 2
    route = next(
        (r.queue for r in Routes(config.routes_file).now().revisions if r.revision == args.revision), f"r{args.revision}"
    )
    return _run(config, state, folder, route, args.index)


def _run(config: Config, state: State, folder: Path, name: str, index: int) -> int:
    app = make(config)
    app.conf.task_queues = [queue(config, name)]
    app.conf.task_default_queue = queue(config, name).name
    news = os.pipe()
    _task(app, config, state, folder, name, news[1])
    Thread(target=_listen, args=(news[0], state), name="child", daemon=True).start()
    warnings.filterwarnings("ignore", category=SecurityWarning)  # of running as root with pickle: only JSON is read here
    worker = app.Worker(
        pool="prefork", concurrency=1, queues=[app.conf.task_default_queue],
        hostname=f"{name}-{index}@{config.namespace}.{config.name}",
        without_gossip=True, without_mingle=True, without_heartbeat=True, loglevel="WARNING", quiet=True, optimization="fair",
    )  # fmt: skip
    worker.start()
    state.stop()
    return int(worker.exitcode or 0)


def _listen(handle: int, state: State) -> None:
    """What the children say: one line each, when they have loaded the model or could not."""
    with os.fdopen(handle, encoding="utf-8") as lines:
        for line in lines:
            verdict, _, text = line.strip().partition(" ")
            state.extra["engine"] = text if verdict == "ready" else ""
            state.say(ready=verdict == "ready", message="" if verdict == "ready" else text)


def _task(app: Celery, config: Config, state: State, folder: Path, name: str, news: int) -> None:
    hands: dict[str, Worker] = {}

    def load_model(**_: Any) -> None:
        try:
            hands["worker"] = _child(app, config, state, folder, name)
            os.write(news, f"ready {hands['worker'].model.engine}\n".encode())
        except Exception as error:
            os.write(news, f"failed {type(error).__name__}: {error}\n".replace("\n", " ").encode() + b"\n")
            raise

    signals.worker_process_init.connect(load_model, weak=False)

    @app.task(name=TASK, bind=True, max_retries=None)
    def predict(self: Any, values: dict[str, Any]) -> None:
        """Answer one message."""
        worker, ask = hands["worker"], Ask(**values)
        try:
            worker.take(ask, _redeliveries(self.request, ask, worker))
        except RecordDown as error:  # they are in the record, pending: a web process asks again when it answers
            log.warning("record.down", message=ask.id, error=str(error))


def _redeliveries(request: Any, ask: Ask, worker: Worker) -> int:
    """How often this message came back: RabbitMQ's quorum queues and our folder count, Redis does not."""
    if (counted := getattr(request, "x-delivery-count", None)) is not None:
        return int(counted)
    if not (request.delivery_info or {}).get("redelivered"):
        return 0
    return worker.records.redelivered(f"{ask.id}-{ask.part}")


def _child(app: Celery, config: Config, state: State, folder: Path, name: str) -> Worker:
    digest, revision = state.digest or "", state.revision or 0
    model = models.load(folder, digest)
    known = models.Known(digest, folder)
    publisher = Publisher(config, app)
    return Worker(
        model=model, revision=revision, digest=digest, records=connect(config),
        reply=_replier(config, app), again=lambda ask: publisher.publish(name, ask),
        max_deliveries=config.limits.max_deliveries, observe=metrics.Monitor(model.signature, known.reference, revision),
    )  # fmt: skip


def _replier(config: Config, app: Celery) -> Any:
    return Outbox(config.replies_folder).send


if __name__ == "__main__":
    sys.exit(main())
