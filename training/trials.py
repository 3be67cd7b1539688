"""One trial: what it tries, and what came of it. Their journal is what a run remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.errors import RestoreUnavailable
from training.files import append_line, read_lines

State = Literal["Succeeded", "EarlyStopped", "Failed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration to be measured."""

    number: int
    """From 1, in the order of asking."""
    candidate: str
    parameters: dict[str, Any]
    rival: tuple[float, ...] | None = None
    """Scores per fold of the best trial known when this one was asked for: what it races against."""
    spread: float | None = None
    """How much differences between two configurations vary from fold to fold (standard deviation); None: not known yet."""

    @property
    def name(self) -> str:
        """Such as forest-7."""
        return f"{self.candidate}-{self.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial that is over: one line of trials.jsonl."""

    number: int
    name: str
    candidate: str
    parameters: dict[str, Any]
    state: State
    metrics: dict[str, float] = field(default_factory=dict)
    """Means over the folds that it ran."""
    folds: list[dict[str, float]] = field(default_factory=list)
    """Metrics of each fold that it ran."""
    message: str = ""
    """Why it failed or ended early."""
    started: float = 0.0
    """Unix time."""
    finished: float = 0.0

    def scores(self, metric: str) -> tuple[float, ...]:
        """The metric per fold."""
        return tuple(fold[metric] for fold in self.folds)


class Journal:
    """trials.jsonl: a head that says whose it is, then a line per finished trial, each on disk before anything builds upon it."""

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        """Open it, or begin it. RestoreUnavailable: it is broken, or another run's."""
        self._path = path
        try:
            lines = read_lines(path)
            self.outcomes = [Outcome(**line) for line in lines[1:]]
        except (ValueError, TypeError) as e:
            raise RestoreUnavailable(f"cannot go on with the run: trials.jsonl: {e}; change the seed for a fresh run") from e
        if lines and lines[0] != head:
            raise RestoreUnavailable(
                "cannot go on with the run: trials.jsonl belongs to another run; change the seed for a fresh run"
            )
        if len({outcome.number for outcome in self.outcomes}) != len(self.outcomes):
            raise RestoreUnavailable(
                "cannot go on with the run: trials.jsonl holds a trial twice; change the seed for a fresh run"
            )
        if not lines:
            append_line(path, head)

    def add(self, outcome: Outcome) -> None:
        """Keep it for good."""
        append_line(self._path, asdict(outcome))
        self.outcomes.append(outcome)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)
