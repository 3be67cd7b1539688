"""What runs in a candidate's own process: take the limits, measure, tell. The fork server loads it once for all."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from modelstore import memory
from training import folds
from training.estimators import allowed
from training.measuring import Problem, run
from training.trials import Trial

__all__ = ["work"]

with contextlib.suppress(Exception):  # the list is the same for all; a broken library is told where it matters
    allowed("classification")
    allowed("regression")


def work(
    tell: Connection, alive: Connection, trial: dict[str, Any], problem: Problem, folder: str, count: int, limits: dict[str, Any]
) -> None:
    """Measure one candidate and send what became of it: state, score, message, oom, memory (bytes)."""
    threading.Thread(target=_end_with_the_job, args=(alive,), daemon=True).start()
    os.sched_setaffinity(0, limits["cores"])
    memory.limit(limits["memory"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = _peak()
    outcome = run(Trial(**trial), problem, folds.load(Path(folder), count))
    tell.send(
        {
            "state": outcome.state,
            "score": outcome.metrics.get(problem.metric),
            "message": outcome.message,
            "oom": outcome.state == "Failed" and outcome.message == "it ran out of memory",
            "memory": _peak() - before,
        }
    )


def _end_with_the_job(alive: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        alive.recv_bytes()
    os._exit(1)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
