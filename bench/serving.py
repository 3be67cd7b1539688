"""Single rows and small tables over HTTP, beside FastAPI and uvicorn on the same model: requests, rows and milliseconds.

Ours goes the whole way of a request: web process, queue, worker, and back; what waits survives the death of a worker. The
baseline predicts in the process that takes the request. Both are up at the same time, and asked in turn by the same load
generator. CPU per request is what counts where other things run: a scheduler that is fair to processes favours who has more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench.baselines.web import LABEL, asgi
from bench.classifiers import Classifier, make
from bench.figure import Figure, Options, medians
from bench.sides import Deployment, Side, ours
from bench.wrk import Load

TIMES = {"logistic": 0.8, "forest": 4.0}
"""The least of ours over the baseline's, in requests a second."""
CONNECTIONS = (16, 64)
P50_MS = 10.0
ROWS, ROWS_A_SECOND = 64, 10_000
SECONDS, WARM_SECONDS, ROUNDS = 6.0, 3.0, 5


async def run(options: Options) -> list[Figure]:
    """Both models in turn. It blocks: nothing else is to happen meanwhile."""
    figures: list[Figure] = []
    for name in TIMES:
        options.say(f"{name}: fits, packages and starts")
        folder = options.folder / name
        folder.mkdir()
        model = make(name, folder, options.folder / "store")
        with (
            ours(folder / "ours", options.folder / "store", model) as (we, made),
            asgi(folder / "asgi", model, options.say) as they,
        ):
            for side in (we, they):
                side.check(model)
            figures += _single(options, model, we, they)
            if name == "logistic":
                figures += _tables(options, model, we, they)
                figures.append(_killed(options, model, we, made))
    return figures


def _single(options: Options, model: Classifier, we: Side, they: Side) -> Iterable[Figure]:
    for connections in CONNECTIONS:
        mine, theirs = _rounds(options, model, (we, they), connections)
        yield replace(
            medians(
                f"serving-{model.name}-{connections}", f"single rows, {connections} at a time, {model.name}", "1/s",
                [load.per_second for load in mine], LABEL, [load.per_second for load in theirs], times_baseline=TIMES[model.name],
            ), more=True,
        )  # fmt: skip
    mine, theirs = _rounds(options, model, (we, they), 1)
    yield medians(
        f"serving-{model.name}-p50", f"single rows, one at a time, {model.name}: median", "ms",
        [load.p50 for load in mine], LABEL, [load.p50 for load in theirs], target=P50_MS,
    )  # fmt: skip


def _tables(options: Options, model: Classifier, we: Side, they: Side) -> Iterable[Figure]:
    mine, theirs = _rounds(options, model, (we, they), CONNECTIONS[0], ROWS)
    yield replace(
        medians(
            "serving-rows", f"rows, {ROWS} a request, {CONNECTIONS[0]} at a time", "1/s",
            [ROWS * load.per_second for load in mine], LABEL, [ROWS * load.per_second for load in theirs], target=ROWS_A_SECOND,
        ), more=True,
    )  # fmt: skip


def _rounds(options: Options, model: Classifier, sides: tuple[Side, Side], connections: int, rows: int = 1) -> list[list[Load]]:
    """In turn, so that what else the machine does meets both. The first round warms up, and does not count."""
    found: list[list[Load]] = [[], []]
    for turn in range(1 + (2 if options.quick else ROUNDS)):
        for side, loads in zip(sides, found, strict=True):
            load = side.load(model, connections, SECONDS if turn and not options.quick else WARM_SECONDS, rows)
            if load.failed:
                raise RuntimeError(f"{side.name}: {load.failed} of {load.requests} requests failed; see {side.folder}")
            options.say(
                f"{model.name}, {connections} at a time, {rows} rows: {side.name} {load.per_second:,.0f}/s, "
                f"p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms, {load.cpu:.2f} ms of CPU each"
            )
            if turn:
                loads.append(load)
    return found


def _killed(options: Options, model: Classifier, we: Side, made: Deployment) -> Figure:
    """kill -9 of one of the two workers and its child in the middle of the load."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(we.load, model, CONNECTIONS[0], SECONDS)
        time.sleep(SECONDS / 3)
        made.kill("worker-r1-0")
        load = running.result()
    options.say(f"a worker killed: {load.per_second:,.0f}/s, {load.failed} of {load.requests} failed, p99 {load.p99:.1f} ms")
    return Figure("serving-killed", "failed requests while a worker was killed (kill -9)", load.failed, "", 0.0)
