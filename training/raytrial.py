"""The actor that runs trials, one after the other, without ever being made anew."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict
from types import FrameType
from typing import Any

import ray
from ray import tune

from training.folds import Fold
from training.measuring import Problem, run, warm
from training.trials import Outcome, Trial

GRACE_SECONDS = 15.0
"""What C code that does not listen may take longer than the limit, before its process is ended."""


class RayTrial(tune.Trainable):
    """One step is one trial: its folds until they are done, or until it is clear that it does not win."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """One core."""
        return tune.PlacementGroupFactory([{"CPU": 1.0}])

    def setup(  # type: ignore[override]  # tune.with_parameters gives the rest
        self, config: dict[str, Any], problem: Problem, folds: Sequence[Fold], seconds: float, hall: Any
    ) -> None:
        """Keep what all trials share. The folds lie in the object store: they are mapped, not copied."""
        warm(problem)
        ray.get(hall.enter.remote())
        self._problem, self._folds, self._seconds, self._hall = problem, folds, seconds, hall

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial."""
        return True

    def step(self) -> dict[str, Any]:
        """Run the trial of the config; where there is none, wait for news."""
        if self.config["trial"] is None:
            ray.get(self._hall.wait.remote(self.config["told"]))
            return {"score": 0.0, "outcome": [], "done": True}
        trial = Trial(**self.config["trial"])
        killer = threading.Timer(self._seconds + GRACE_SECONDS, os._exit, (1,))
        killer.daemon = True
        killer.start()
        try:
            outcome = self._limited(trial)
        finally:
            killer.cancel()
        score = outcome.metrics.get(self._problem.metric, 0.0)
        return {"score": score, "outcome": [asdict(outcome)], "done": True}  # in a list: Tune flattens dicts

    def _limited(self, trial: Trial) -> Outcome:
        def ring(_: int, __: FrameType | None) -> None:
            raise TimeoutError(f"it took longer than {self._seconds:.0f} s (trialTimeoutSeconds)")

        if threading.current_thread() is not threading.main_thread():
            return run(trial, self._problem, self._folds)
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            return run(trial, self._problem, self._folds)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a trial is short, and is run anew if its actor dies."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""
