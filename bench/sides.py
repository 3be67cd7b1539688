"""Servers of one model, started beside each other and asked the same: ours, and those that it is compared with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import psutil
import requests

from bench.classifiers import Classifier, agree
from bench.wrk import Load, bodies, wrk
from tests.support.serving import Deployment, free_port

WORKERS = 2
"""Processes that predict, on every side."""
START_SECONDS = 180.0
Rows = list[dict[str, float]]


@dataclass(slots=True)
class Side:
    """A server that answers."""

    name: str
    url: str
    """Where rows are POSTed."""
    folder: Path
    pids: Callable[[], list[int]]
    """Its processes without their children."""
    body: Callable[[Rows], dict[str, Any]] = lambda rows: {"rows": rows}
    read: Callable[[Any], list[list[float]]] = lambda answer: [
        list(one["probabilities"].values()) for one in answer["predictions"]
    ]
    """The probabilities in its answer, by class."""
    start_seconds: float = 0.0

    def ask(self, rows: Rows) -> list[list[float]]:
        """One request."""
        answer = requests.post(self.url, json=self.body(rows), timeout=60)
        answer.raise_for_status()
        return self.read(answer.json())

    def check(self, model: Classifier) -> None:
        """Raise unless it answers as scikit-learn does."""
        agree(model, self.ask(model.rows))

    def load(self, model: Classifier, connections: int, seconds: float, rows: int = 1) -> Load:
        """So many clients that ask for so many rows a time, for some seconds."""
        asked = [self.body((model.rows * 2)[i : i + rows]) for i in range(0, len(model.rows), rows)]
        before = self.cpu()
        found = wrk(self.url, bodies(self.folder / f"bodies-{rows}", asked), connections, seconds)
        return replace(found, cpu=1e3 * (self.cpu() - before) / max(1, found.requests))

    def cpu(self) -> float:
        """CPU seconds of its processes that are alive."""
        found = 0.0
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += sum(process.cpu_times()[:2])
        return found

    def memory(self) -> float:
        """Resident megabytes (10^6) of its processes, less what they share (PSS)."""
        found = 0
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += process.memory_full_info().pss
        return found / 1e6

    def _processes(self) -> list[psutil.Process]:
        roots = [psutil.Process(pid) for pid in self.pids()]
        return [process for root in roots for process in (root, *root.children(recursive=True))]


@contextlib.contextmanager
def ours(folder: Path, store: Path, model: Classifier, **options: Any) -> Iterator[tuple[Side, Deployment]]:
    """A ModelDeployment's processes, as the daemon starts them: the web app, two workers, the embedded broker."""
    made = Deployment(folder, store, options={"web": {"workers": WORKERS}, **options})
    begun = time.monotonic()
    try:
        made.route((1, model.digest, 100))
        made.web()
        for index in range(WORKERS):
            made.worker(1, model.digest, index)
        side = Side("anneal", f"{made.url}/predict", folder, lambda: [process.pid for process in made.processes.values()])
        side.start_seconds = time.monotonic() - begun
        yield side, made
    finally:
        made.stop()


@contextlib.contextmanager
def server(side: Side, command: list[str], model: Classifier, *, cwd: Path, **env: str) -> Iterator[Side]:
    """Anybody's server as a process of its own, up once it answers. It ends with everything that it started."""
    side.folder.mkdir(parents=True, exist_ok=True)
    log = side.folder / "log"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **env}
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=out, stderr=out, start_new_session=True)
    side.pids = lambda: [process.pid]
    try:
        while True:
            if process.poll() is not None or time.monotonic() > begun + START_SECONDS:
                raise RuntimeError(f"cannot start {side.name}: exit {process.poll()}: {log.read_text(errors='replace')[-1500:]}")
            with contextlib.suppress(requests.RequestException, orjson.JSONDecodeError):
                side.ask(model.rows[:1])
                break
            time.sleep(0.1)
        side.start_seconds = time.monotonic() - begun
        yield side
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for how, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            break
    for left in psutil.wait_procs(family, timeout=10)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()


__all__ = ["WORKERS", "Deployment", "Side", "free_port", "ours", "server"]
