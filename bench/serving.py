"""Single rows and small tables over HTTP, beside FastAPI and uvicorn on the same model: requests, rows and milliseconds.

Ours goes the whole way of a request: web process, queue, worker, and back; what waits survives the death of a worker. The
baseline predicts in the process that takes the request. All are up at the same time, and asked in turn by the same load
generator. CPU per request is what counts where other things run: a scheduler that is fair to processes favours who has more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench.baselines.web import LABEL, LEAN, asgi
from bench.classifiers import Classifier, make
from bench.figure import Figure, Options, medians
from bench.sides import Deployment, Side, ours
from bench.wrk import Load

TIMES = {"logistic": 0.8, "forest": 4.0}
"""The least of ours over the baseline's, in requests a second."""
CONNECTIONS = (16, 64)
P50_MS = 10.0
ROWS, ROWS_A_SECOND = 64, 10_000
SECONDS, WARM_SECONDS, ROUNDS = 5.0, 3.0, 3


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
            asgi(folder / "lean", model, options.say, lean=True) as lean,
        ):
            sides = (we, they, lean)
            for side in sides:
                side.check(model)
            figures += _single(options, model, sides)
            if name == "logistic":
                figures += _tables(options, model, sides)
                figures.append(_killed(options, model, we, made))
    return figures


def _single(options: Options, model: Classifier, sides: tuple[Side, ...]) -> Iterable[Figure]:
    for connections in CONNECTIONS:
        name, what = f"serving-{model.name}-{connections}", f"single rows, {connections} at a time, {model.name}"
        mine, theirs, lean = _rounds(options, model, sides, connections)
        speeds = [[load.per_second for load in loads] for loads in (mine, theirs, lean)]
        yield replace(medians(name, what, "1/s", speeds[0], LABEL, speeds[1], times_baseline=TIMES[model.name]), more=True)
        yield replace(medians(name, what, "1/s", speeds[0], LEAN, speeds[2]), more=True)
        cpu = [[load.cpu for load in loads] for loads in (mine, theirs, lean)]
        yield medians(f"{name}-cpu", f"{what}: CPU for each", "ms", cpu[0], LABEL, cpu[1])
        yield medians(f"{name}-cpu", f"{what}: CPU for each", "ms", cpu[0], LEAN, cpu[2])
    mine, theirs, _ = _rounds(options, model, sides, 1)
    yield medians(
        f"serving-{model.name}-p50", f"single rows, one at a time, {model.name}: median", "ms",
        [load.p50 for load in mine], LABEL, [load.p50 for load in theirs], target=P50_MS,
    )  # fmt: skip


def _tables(options: Options, model: Classifier, sides: tuple[Side, ...]) -> Iterable[Figure]:
    what = f"rows, {ROWS} a request, {CONNECTIONS[0]} at a time"
    mine, theirs, _ = (
        [ROWS * load.per_second for load in loads] for loads in _rounds(options, model, sides, CONNECTIONS[0], ROWS)
    )
    yield replace(medians("serving-rows", what, "1/s", mine, LABEL, theirs, target=ROWS_A_SECOND), more=True)


def _rounds(options: Options, model: Classifier, sides: tuple[Side, ...], connections: int, rows: int = 1) -> list[list[Load]]:
    """In turn, so that what else the machine does meets all. The first round warms up, and does not count."""
    found: list[list[Load]] = [[] for _ in sides]
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
