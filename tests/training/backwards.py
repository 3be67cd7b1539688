"""A job whose trials end in another order than they began: `python -m tests.training.backwards DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from training.folds import Fold
from training.measuring import Problem, run
from training.run import Run
from training.tuning import Desk, Runner


class Backwards(Run):
    """Takes all trials that it may, and runs the last one first."""

    def _runner(self, problem: Problem, prepared: Sequence[Fold]) -> Runner:
        def go(desk: Desk) -> None:
            while not desk.closed:
                taken = []
                while (trial := desk.take()) is not None:
                    taken.append(trial)
                for trial in reversed(taken):
                    desk.hand_in(run(trial, problem, prepared))

        return go


if __name__ == "__main__":
    sys.exit(Backwards(Path(sys.argv[1])).go())
