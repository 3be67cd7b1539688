"""progress.json: how far a run is, for whoever watches. Written whole, and not more than a few times a second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from training.files import write_json
from training.screening import Row
from training.trials import Outcome, Trial

STAGES = ("Reading", "Features", "Screening", "Tuning", "Refit", "Evaluation", "Packaging")
EVERY_SECONDS = 0.5
FAILURES = 16


class Progress:
    """Gathers what happens, and tells it. Times are Unix times."""

    def __init__(self, path: Path, log: Any, *, metric: str, maximize: bool) -> None:
        self._path, self._log, self._metric, self._sign = path, log, metric, 1.0 if maximize else -1.0
        self._stages: dict[str, dict[str, Any]] = {
            name: {"name": name, "state": "Pending", "started": None, "finished": None, "message": ""} for name in STAGES
        }
        self._stage = STAGES[0]
        self._counts = {"succeeded": 0, "failed": 0, "earlyStopped": 0}
        self._running: dict[int, str] = {}
        self._best: Outcome | None = None
        self._failures: deque[str] = deque(maxlen=FAILURES)
        self.candidates: list[Row] = []
        self.features: list[dict[str, Any]] = []
        self._written = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """What happens inside is this stage. Its message is for the one inside to set."""
        row = self._stages[name]
        self._stage = name
        row.update(state="Running", started=time.time())
        self._log.info("stage.started", stage=name)
        self.write()
        try:
            yield row
        except BaseException as e:
            row.update(state="Failed", finished=time.time(), message=str(e)[:1000] or type(e).__name__)
            self.write()
            raise
        row.update(state="Succeeded", finished=time.time())
        self._log.info("stage.finished", stage=name, seconds=round(row["finished"] - row["started"], 2), message=row["message"])
        self.write()

    def restored(self, outcomes: Sequence[Outcome]) -> None:
        """Trials of earlier attempts."""
        for outcome in outcomes:
            self._count(outcome)

    def screened(self, rows: list[Row]) -> None:
        """How the candidates do."""
        for before, after in zip(self.candidates or rows, rows, strict=False):
            if before.state != after.state and after.state not in ("Pending", "Running"):
                found = {key: value for key, value in asdict(after).items() if value not in (None, "")}
                self._log.info("candidate.screened", **found)
        self.candidates = list(rows)
        self.write(soon=True)

    def begun(self, trial: Trial) -> None:
        """A trial runs."""
        self._running[trial.number] = trial.name
        self._log.info("trial.started", trial=trial.name, number=trial.number, parameters=trial.parameters)
        self.write(soon=True)

    def ended(self, outcome: Outcome) -> None:
        """A trial is over."""
        self._running.pop(outcome.number, None)
        self._count(outcome)
        said = {"message": outcome.message} if outcome.message else {}
        self._log.info(
            "trial.finished", trial=outcome.name, number=outcome.number, state=outcome.state, metrics=outcome.metrics,
            folds=len(outcome.folds), seconds=round(outcome.finished - outcome.started, 3), **said,
        )  # fmt: skip
        self.write(soon=True)

    def _count(self, outcome: Outcome) -> None:
        key = {"Succeeded": "succeeded", "Failed": "failed", "EarlyStopped": "earlyStopped"}[outcome.state]
        self._counts[key] += 1
        if outcome.state == "Failed":
            self._failures.append(f"{outcome.name}: {outcome.message}")
        if outcome.state == "Succeeded" and (self._best is None or self._rank(outcome) > self._rank(self._best)):
            self._best = outcome

    def _rank(self, outcome: Outcome) -> tuple[float, int]:
        return self._sign * outcome.metrics[self._metric], -outcome.number

    def write(self, *, soon: bool = False) -> None:
        """Tell it. soon: not if it was told just now."""
        if soon and time.monotonic() - self._written < EVERY_SECONDS:
            return
        self._written = time.monotonic()
        write_json(self._path, self.state())

    def state(self) -> dict[str, Any]:
        """What progress.json holds."""
        best = self._best
        total = sum(self._counts.values()) + len(self._running)
        return {
            "stage": self._stage,
            "stages": list(self._stages.values()),
            "trials": {"total": total, **self._counts, "running": len(self._running), "names": list(self._running.values())},
            "best": None if best is None else {
                "trial": best.name, "candidate": best.candidate, "parameters": best.parameters, "metrics": best.metrics,
            },
            "candidates": [asdict(row) for row in self.candidates],
            "features": self.features,
            "failures": list(self._failures),
            "time": time.time(),
        }  # fmt: skip


def open_log(path: Path) -> Any:
    """A log with a line per event: time, what happened, and the rest as key=value; `number=7` is trial 7."""
    file = path.open("a", encoding="utf-8", buffering=1)
    processors: list[Any] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
    ]
    return structlog.wrap_logger(structlog.WriteLogger(file), processors=processors)
