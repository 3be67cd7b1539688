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
    """Hands out trials in order, `parallel` at once; where the search waits, "wait for news"; FINISHED at its end."""

    def __init__(self, desk: Desk, parallel: int, hall: Any) -> None:
        """hall: where actors wait."""
        super().__init__(metric="score", mode="max")
        self._desk, self._parallel, self._hall = desk, parallel, hall
        self._running: dict[str, tuple[Trial, float]] = {}
        self._waiting: set[str] = set()
        self._told = 0

    def suggest(self, trial_id: str) -> Any:
        """The next trial, as an actor's config."""
        free = len(self._running) + len(self._waiting) < self._parallel
        if free and (trial := self._desk.take()) is not None:
            self._running[trial_id] = (trial, time.time())
            return {"trial": asdict(trial)}
        if self._desk.closed:
            return str(Searcher.FINISHED)
        if free and self._running:
            self._waiting.add(trial_id)
            return {"trial": None, "told": self._told}
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """It is over. (One that failed is told by Failures, which knows why.)"""
        if result is not None and not error and not self._waited(trial_id):
            self._running.pop(trial_id)
            self._desk.hand_in(Outcome(**result["outcome"][0]))
            self._tell()

    def failed(self, trial_id: str, why: str) -> None:
        """Its process died."""
        if not self._waited(trial_id):
            trial, begun = self._running.pop(trial_id)
            self._desk.give_back(trial, why, begun)
            self._tell()

    def _waited(self, trial_id: str) -> bool:
        waited = trial_id in self._waiting
        self._waiting.discard(trial_id)
        return waited

    def _tell(self) -> None:
        self._told += 1
        self._hall.tell.remote(self._told)

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
