"""Racing over folds: a trial that the folds it has run show to be worse than the best is not run to the end.

Two configurations are compared on the same folds, so what all find hard counts for neither. After k of n folds the mean
difference is known but for an error of about spread/√k · √(1 - k/n); who is behind by more than twice that goes (F-race:
Birattari et al. 2002). Nothing here looks at a clock: the same scores end the same trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median, stdev

WIDTH = 2.0
"""Standard errors that a trial may be behind."""


def beaten(scores: Sequence[float], rival: Sequence[float], spread: float, *, maximize: bool) -> bool:
    """Whether a trial with these scores on the first folds will not beat `rival`, which ran all folds."""
    k, n = len(scores), len(rival)
    behind = sum(_behind(scores, rival, maximize)) / k
    return behind > WIDTH * spread / math.sqrt(k) * math.sqrt(1 - k / n)


def spread(others: Sequence[Sequence[float]], rival: Sequence[float], *, maximize: bool) -> float | None:
    """The usual deviation, from fold to fold, of a configuration's distance from `rival`; None: there is no other to compare."""
    found = [stdev(_behind(scores, rival, maximize)) for scores in others if len(scores) == len(rival) > 1]
    return median(found) if found else None


def _behind(scores: Sequence[float], rival: Sequence[float], maximize: bool) -> list[float]:
    sign = 1.0 if maximize else -1.0
    return [sign * (best - score) for score, best in zip(scores, rival, strict=False)]
