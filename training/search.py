"""The search: which configuration is tried next, and when it is over. A function of seed and finished trials, never of the clock.

Trials are asked for in order. Trial j knows the outcomes of all trials up to j - window, whatever finished meanwhile: so the
same seed gives the same trials with one process or with eight, after a kill, and when maxTrialCount was raised. The window is
twice parallelTrialCount, so that one slow trial does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from specs.experiment import ExperimentSpec
from training import racing
from training.spaces import Space, Values, grid
from training.trials import Outcome, Trial

TRIES = 64
"""Draws until a random point counts as none left."""


class Search:
    """The order of asking and telling. No I/O."""

    def __init__(self, spec: ExperimentSpec, spaces: Sequence[Space], finished: Iterable[Outcome] = ()) -> None:
        """spaces: of the finalists. finished: outcomes of an earlier attempt, in any order; they are never asked for again."""
        self._spec, self._spaces = spec, {space.name: space for space in spaces}
        self._seed = spec.seed
        self._metric, self._maximize = spec.objective.objective_metric_name, spec.objective.type == "maximize"
        self._window = 2 * spec.parallel_trial_count
        self._outcomes = {outcome.number: outcome for outcome in finished}
        self._asked: list[Trial] = []
        self._grid = grid(list(spaces)) if spec.algorithm.algorithm_name == "grid" else None
        self._exhausted = False

    def ask(self) -> Trial | None:
        """The next trial to run; None: wait for an outcome, or it is over."""
        while self.over is None:
            if len(self._asked) >= self._window and self._told() <= len(self._asked) - self._window:
                return None
            trial = self._next(len(self._asked) + 1)
            if trial is None:
                self._exhausted = True
                return None
            if (done := self._outcomes.get(trial.number)) is None:
                self._asked.append(trial)
                return trial
            self._asked.append(Trial(done.number, done.candidate, done.parameters))  # as it was, whatever it would be now
        return None

    def tell(self, outcome: Outcome) -> None:
        """A trial is over."""
        self._outcomes[outcome.number] = outcome

    @property
    def over(self) -> str | None:
        """Why nothing more is asked for: GoalReached, MaxFailedTrialsReached, MaxTrialsReached, SpaceExhausted; None: not yet."""
        known = self.known()
        if sum(outcome.state == "Failed" for outcome in known) > self._spec.max_failed_trial_count:
            return "MaxFailedTrialsReached"
        if (best := self.best(known)) is not None and self._reached(best):
            return "GoalReached"
        if len(self._asked) >= self._spec.max_trial_count:
            return "MaxTrialsReached"
        return "SpaceExhausted" if self._exhausted else None

    @property
    def complete(self) -> bool:
        """Whether it is over and no trial that counts is still out."""
        over = self.over
        return over in ("GoalReached", "MaxFailedTrialsReached") or (over is not None and self._told() == len(self._asked))

    def known(self) -> list[Outcome]:
        """Outcomes in the order of asking, up to the first trial that is still out; nothing after one that reached the goal."""
        found = []
        for number in range(1, self._spec.max_trial_count + 1):
            if (outcome := self._outcomes.get(number)) is None:
                break
            found.append(outcome)
            if outcome.state == "Succeeded" and self._reached(outcome):
                break
        return found

    def best(self, outcomes: Iterable[Outcome] | None = None) -> Outcome | None:
        """The best trial that ran all folds; of two alike the earlier."""
        rows = [row for row in (self.known() if outcomes is None else outcomes) if row.state == "Succeeded"]
        if not rows:
            return None
        sign = -1.0 if self._maximize else 1.0
        return min(rows, key=lambda row: (sign * row.metrics[self._metric], row.number))

    def _told(self) -> int:
        """How many of the first trials have all been told."""
        count = 0
        while count + 1 in self._outcomes:
            count += 1
        return count

    def _reached(self, outcome: Outcome) -> bool:
        goal = self._spec.objective.goal
        if goal is None:
            return False
        value = outcome.metrics[self._metric]
        return value >= goal if self._maximize else value <= goal

    def _next(self, number: int) -> Trial | None:
        known = [self._outcomes[i] for i in range(1, number - self._window + 1)]
        point = self._point(number, known)
        if point is None:
            return None
        best = self.best(known) if self._spec.early_stopping.algorithm_name == "racing" else None
        if best is None:
            return Trial(number, *point)
        rival = best.scores(self._metric)
        others = [row.scores(self._metric) for row in known if row.state == "Succeeded" and row.number != best.number]
        return Trial(number, *point, rival, racing.spread(others, rival, maximize=self._maximize))

    def _point(self, number: int, known: list[Outcome]) -> tuple[str, Values] | None:
        if self._grid is not None:
            return next(self._grid, None)
        if self._spec.algorithm.algorithm_name == "tpe":
            from training.tpe import suggest

            point = suggest(number, self._spaces, known, self._asked[len(known) :], self._metric, self._maximize, self._seed)
            if self._new(point):
                return point
        return next((point for point in self._random(number) if self._new(point)), None)

    def _random(self, number: int) -> Iterator[tuple[str, Values]]:
        """Candidates in turn, each drawn from its space."""
        names = list(self._spaces)
        rng = np.random.default_rng([self._seed, number])
        for attempt in range(TRIES):
            name = names[(number - 1 + attempt) % len(names)]
            yield name, self._spaces[name].draw(rng)

    def _new(self, point: tuple[str, dict[str, Any]]) -> bool:
        return all((trial.candidate, trial.parameters) != point for trial in self._asked)
