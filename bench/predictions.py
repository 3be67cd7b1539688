"""Queued single rows through RabbitMQ: a quorum queue, publisher confirms, answers by Redis, as a deployment on a Swarm has them.

Beside it, asked in turn by the same load generator: one Celery task for each row with the same broker, queue type and
confirms; and FastAPI on uvicorn, which queues nothing. All on this machine's loopback, since it is the way of a request that
is measured and not the network between nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import orjson

from bench.baselines.web import LABEL, LEAN, asgi
from bench.classifiers import Classifier, make
from bench.figure import Figure, Options, medians
from bench.processes import ROOT
from bench.sides import WORKERS, Side, free_port, ours, server
from bench.wrk import Load
from tests.support.brokers import rabbitmq, redis

CELERY = f"one Celery task per row, {WORKERS} workers, the same queue and confirms"
CONNECTIONS = (16, 64)
TIMES_CELERY, TIMES_ASGI, P50_MS = 4.0, 1.0, 6.0
SECONDS, WARM_SECONDS, ROUNDS = 5.0, 3.0, 3


async def run(options: Options) -> list[Figure]:
    """The logistic pipeline on all sides. It blocks: nothing else is to happen meanwhile."""
    options.say("fits, packages, starts RabbitMQ and Redis")
    store = options.folder / "store"
    (options.folder / "model").mkdir()
    model = make("logistic", options.folder / "model", store)
    with ExitStack() as stack:
        queue = stack.enter_context(rabbitmq(options.folder / "rabbitmq"))
        record = stack.enter_context(redis(options.folder / "redis"))
        we, _ = stack.enter_context(ours(options.folder / "ours", store, model, broker=queue.url, results=record.url))
        tasks = stack.enter_context(celery(options.folder / "celery", model, queue.url, f"{record.url[:-1]}1"))
        they = stack.enter_context(asgi(options.folder / "asgi", model, options.say))
        lean = stack.enter_context(asgi(options.folder / "lean", model, options.say, lean=True))
        sides = (we, tasks, they, lean)
        for side in sides:
            side.check(model)
        return list(_figures(options, model, sides))


def _figures(options: Options, model: Classifier, sides: tuple[Side, ...]) -> Iterator[Figure]:
    for connections in CONNECTIONS:
        name, what = f"swarm-predictions-{connections}", f"queued single rows, {connections} at a time"
        speeds = [[load.per_second for load in loads] for loads in _rounds(options, model, sides, connections)]
        promises = ((CELERY, speeds[1], TIMES_CELERY), (LABEL, speeds[2], TIMES_ASGI))
        for label, theirs, times in promises:
            yield replace(medians(name, what, "1/s", speeds[0], label, theirs, times_baseline=times), more=True)
        yield replace(medians(name, what, "1/s", speeds[0], LEAN, speeds[3]), more=True)
    alone = [[load.p50 for load in loads] for loads in _rounds(options, model, sides, 1)]
    what = "queued single rows, one at a time: median"
    yield medians("swarm-predictions-p50", what, "ms", alone[0], CELERY, alone[1], target=P50_MS)


def _rounds(options: Options, model: Classifier, sides: tuple[Side, ...], connections: int) -> list[list[Load]]:
    """In turn, so that what else the machine does meets all. The first round warms up, and does not count."""
    found: list[list[Load]] = [[] for _ in sides]
    for turn in range(1 + (2 if options.quick else ROUNDS)):
        for side, loads in zip(sides, found, strict=True):
            load = side.load(model, connections, SECONDS if turn and not options.quick else WARM_SECONDS)
            if load.failed:
                raise RuntimeError(f"{side.name}: {load.failed} of {load.requests} requests failed; see {side.folder}")
            options.say(
                f"{connections} at a time: {side.name} {load.per_second:,.0f}/s, p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms"
            )
            if turn:
                loads.append(load)
    return found


@contextmanager
def celery(folder: Path, model: Classifier, broker: str, results: str) -> Iterator[Side]:
    """Celery's workers, and gunicorn before them, up until the block ends."""
    port, python = free_port(), sys.executable
    env = {"MODEL": str(model.lean), "COLUMNS": orjson.dumps(model.columns).decode(), "BROKER": broker, "RESULTS": results}
    work = [
        python, "-m", "celery", "-A", "bench.baselines.celeryrows", "worker",
        "--concurrency", str(WORKERS), "--loglevel", "WARNING",
    ]  # fmt: skip
    take = [
        python, "-m", "gunicorn", "bench.baselines.celeryrows:web", "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS),
        "--worker-class", "gthread", "--threads", "64", "--log-level", "warning",
    ]  # fmt: skip
    side = Side(
        "celery", f"http://127.0.0.1:{port}/predict", folder / "web", list,
        read=lambda answer: [one["probabilities"] for one in answer["predictions"]],
    )  # fmt: skip
    # the shell starts the workers, then becomes the web server
    both = ["sh", "-c", f"{' '.join(work)} & exec {' '.join(take)}"]
    with server(side, both, model, cwd=ROOT, **env) as up:
        yield up
