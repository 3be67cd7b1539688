"""The trials of a run: asked for by the search, run, written down, told. Where is one function; here: this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from training.errors import MaxFailedTrialsReached, NoCandidateSucceeded
from training.folds import Fold
from training.measuring import Problem, run
from training.search import Search
from training.trials import Journal, Outcome, Trial

RETRIES = 2
"""How often a trial whose process died is run again."""


class Watcher(Protocol):
    """Who wants to know how it goes."""

    def begun(self, trial: Trial) -> None:
        """A trial starts to run."""

    def ended(self, outcome: Outcome) -> None:
        """A trial is over, and written down."""


Runner = Callable[["Desk"], None]
"""Takes trials from a desk, runs them, hands their outcomes in, until there are none."""


class Desk:
    """Where runners get trials and hand outcomes in. An outcome is on disk before the search hears of it."""

    def __init__(self, search: Search, journal: Journal, watcher: Watcher) -> None:
        self._search, self._journal, self._watcher = search, journal, watcher
        self._out: dict[int, Trial] = {}
        self._returned: list[Trial] = []
        self._died: Counter[int] = Counter()

    def take(self) -> Trial | None:
        """The next trial to run; None: none now."""
        trial = self._returned.pop(0) if self._returned else self._search.ask()
        if trial is not None:
            self._out[trial.number] = trial
            self._watcher.begun(trial)
        return trial

    def give_back(self, trial: Trial, why: str, begun: float) -> None:
        """Its process died: it is run again, RETRIES times; then it has failed. begun: Unix time."""
        self._died[trial.number] += 1
        if self._died[trial.number] <= RETRIES:
            self._returned.append(self._out.pop(trial.number))
            return
        message = f"its process died, and again when it was tried anew ({self._died[trial.number]} times): {why}"[:1000]
        failed = Outcome(
            trial.number, trial.name, trial.candidate, trial.parameters, "Failed", {}, [], message, begun, time.time()
        )
        self.hand_in(failed)

    def hand_in(self, outcome: Outcome) -> None:
        """A trial is over."""
        del self._out[outcome.number]
        self._journal.add(outcome)
        self._search.tell(outcome)
        self._watcher.ended(outcome)

    @property
    def out(self) -> list[Trial]:
        """Trials that were taken and not handed in."""
        return list(self._out.values())

    @property
    def closed(self) -> bool:
        """Whether no trial will come any more: those that are out, if any, count for nothing."""
        return self._search.complete and not self._returned


def in_process(problem: Problem, folds: Sequence[Fold]) -> Runner:
    """One trial after the other, in this process."""

    def go(desk: Desk) -> None:
        while not desk.closed and (trial := desk.take()) is not None:
            desk.hand_in(run(trial, problem, folds))

    return go


def tune(search: Search, journal: Journal, runner: Runner, watcher: Watcher) -> Outcome:
    """Run the search to its end; the best trial. MaxFailedTrialsReached, NoCandidateSucceeded."""
    desk = Desk(search, journal, watcher)
    runner(desk)
    if search.over == "MaxFailedTrialsReached":
        failed = [outcome for outcome in search.known() if outcome.state == "Failed"]
        raise MaxFailedTrialsReached(
            f"cannot go on tuning: {len(failed)} trials failed, more than maxFailedTrialCount permits; "
            f"the last, {failed[-1].name}: {failed[-1].message}"
        )
    if (best := search.best()) is None:
        raise NoCandidateSucceeded("cannot tune: no trial succeeded; see `anneal get trials`")
    return best
