"""Every candidate once, with its defaults, each in a process of its own with limits: one that dies is a row.

Processes are forked from a server that has scikit-learn loaded, so each costs milliseconds and nobody shares memory with the
job. The memory limit is kept twice: the kernel refuses private memory beyond it, and who gets there in other ways is seen and
ended.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from training.measuring import Problem
from training.trials import Trial

LOOK_SECONDS = 0.05
"""How often the memory of a candidate is looked at."""
FOLDS = 3
"""Folds that a candidate runs, at most: enough to tell the good from the bad."""


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate as it did in the screening."""

    name: str
    estimator: str
    state: str
    """Pending, Running, Succeeded, Failed, OutOfMemory, TimedOut."""
    score: float | None = None
    """The objective's metric, the mean over the folds."""
    message: str = ""
    seconds: float | None = None
    memory: int | None = None
    """Bytes of its own at the most, beyond what the libraries take."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one candidate may take."""

    cpu: float
    """Cores."""
    memory: float
    """Bytes."""
    seconds: float


def screen(problem: Problem, folder: Path, count: int, limits: Limits, report: Callable[[list[Row]], None]) -> list[Row]:
    """Try every candidate of `problem` on the first `count` of the folds in `folder`; a row each, in the problem's order.

    As many run at once as there are cores for. `report` gets all rows whenever one changes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.screened"])
    rows = {name: Row(name, estimator, "Pending") for name, (estimator, _) in problem.estimators.items()}
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, round(limits.cpu))
    slots = [cores[i : i + share] for i in range(0, len(cores) - share + 1, share)] or [cores]
    waiting, running = list(rows), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < len(slots):
                name = waiting.pop(0)
                free = next(slot for slot in slots if all(one.cores is not slot for one in running))
                running.append(_Running(context, Trial(0, name, {}), problem, folder, count, limits, free))
                rows[name] = replace(rows[name], state="Running")
                report(list(rows.values()))
            wait([one.told for one in running], LOOK_SECONDS)
            for one in [one for one in running if one.over()]:
                running.remove(one)
                rows[one.name] = one.row(rows[one.name])
                report(list(rows.values()))
    finally:
        for one in running:
            one.end()
    return list(rows.values())


class _Running:
    """One candidate's process, from the job's side."""

    def __init__(
        self, context: Any, trial: Trial, problem: Problem, folder: Path, count: int, limits: Limits, cores: Sequence[int]
    ) -> None:
        from training.screened import work

        self.name, self.cores, self._limits = trial.candidate, cores, limits
        self.told, tell = context.Pipe(duplex=False)
        held, self._alive = context.Pipe(duplex=False)  # the process ends when the job does: this end closes with it
        asked = {"cores": list(cores), "memory": int(limits.memory)}
        self._process = context.Process(
            target=work, args=(tell, held, asdict(trial), problem, str(folder), count, asked), daemon=True
        )
        self._process.start()
        tell.close()
        held.close()
        self._begun, self._peak, self._verdict = time.monotonic(), 0, ("", "")
        self._said: dict[str, Any] | None = None

    def over(self) -> bool:
        """Whether it has ended, by itself or by us."""
        if self.told.poll():
            self._said = _receive(self.told)
            self.end()
            return True
        self._look()
        return not self._process.is_alive() and not self.told.poll()

    def _look(self) -> None:
        if time.monotonic() - self._begun > self._limits.seconds:
            self._verdict = ("TimedOut", f"it took longer than {self._limits.seconds:.0f} s (screening.timeoutSeconds)")
            return self.end()
        try:
            memory = psutil.Process(self._process.pid).memory_full_info().uss
        except (psutil.Error, OSError):
            return None
        self._peak = max(self._peak, memory)
        if memory > self._limits.memory:
            self._verdict = ("OutOfMemory", f"it took more memory than {_size(self._limits.memory)} (screening.resources.limits)")
            self.end()
        return None

    def end(self) -> None:
        """Kill it, and wait for it."""
        self._process.kill()
        self._process.join()

    def row(self, row: Row) -> Row:
        """What became of it."""
        self.told.close()
        self._alive.close()
        seconds = round(time.monotonic() - self._begun, 3)
        said = self._said
        if said is not None:
            memory = max(self._peak, said["memory"])
            state = "OutOfMemory" if said["oom"] else said["state"]
            message = (
                f"it took more memory than {_size(self._limits.memory)} (screening.resources.limits)"
                if said["oom"]
                else said["message"]
            )
            return replace(row, state=state, score=said["score"], message=message, seconds=seconds, memory=memory)
        state, message = self._verdict
        if not state:
            signal = -(self._process.exitcode or 0)
            state, message = "Failed", f"its process ended with {'signal' if signal > 0 else 'code'} {abs(signal)}"
            if signal == 9:
                state, message = "OutOfMemory", "its process was killed: the machine ran out of memory, most likely"
        return replace(row, state=state, message=message, seconds=seconds, memory=self._peak or None)


def _receive(told: Connection) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = told.recv()
        return found
    except (EOFError, OSError):
        return None


def _size(memory: float) -> str:
    return f"{memory / 2**20:.0f} MiB"
