"""Ray Tune's view of our desk: a searcher that says what comes next, a callback that hears of processes that died."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.search import Searcher

from training.trials import Outcome, Trial
from training.tuning import Desk


class DeskSearcher(Searcher):
    """Hands out trials in order, `parallel` at once; None where the search waits, FINISHED at its end."""

    def __init__(self, desk: Desk, parallel: int) -> None:
        super().__init__(metric="score", mode="max")
        self._desk, self._parallel = desk, parallel
        self._running: dict[str, tuple[Trial, float]] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next trial, as an actor's config."""
        trial = self._desk.take() if len(self._running) < self._parallel else None
        if trial is None:
            return str(Searcher.FINISHED) if self._desk.closed else None
        self._running[trial_id] = (trial, time.time())
        return {"trial": asdict(trial)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """It is over. (One that failed is told by Failures, which knows why.)"""
        if result is not None and not error:
            self._running.pop(trial_id)
            self._desk.hand_in(Outcome(**result["outcome"][0]))

    def failed(self, trial_id: str, why: str) -> None:
        """Its process died."""
        trial, begun = self._running.pop(trial_id)
        self._desk.give_back(trial, why, begun)

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its searcher to disk; from there nothing of ours is ever restored."""
        return (object, ())

    def __deepcopy__(self, memo: dict[int, Any]) -> DeskSearcher:
        """There is one desk."""
        return self

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is what is remembered."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class Failures(Callback):
    """Tells the searcher why a trial's process ended."""

    def __init__(self, searcher: DeskSearcher) -> None:
        self._searcher = searcher

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its actor is gone."""
        try:
            lines = [line.strip() for line in Path(trial.error_file).read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, TypeError):
            lines = []
        why = next((line for line in reversed(lines) if not line.startswith("Failure #")), "no cause was told")
        self._searcher.failed(trial.trial_id, why)
