"""One measured figure, beside its target and its baseline."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Verdict = Literal["ok", "miss", ""]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, the most that it may be, and what the baseline took. Less is better, but where `more` is."""

    name: str
    what: str
    value: float
    unit: str
    target: float | None = None
    """What was promised, in the same unit; None: told, not promised."""
    baseline: str = ""
    """What the baseline is."""
    baseline_value: float | None = None
    times_baseline: float | None = None
    """What was promised, as a multiple of the baseline."""
    samples: Sequence[float] = ()
    baseline_samples: Sequence[float] = ()
    more: bool = False
    """More is better: what was promised is the least that it may be."""

    @property
    def ratio(self) -> float | None:
        """The value over the baseline's."""
        return self.value / self.baseline_value if self.baseline_value else None

    @property
    def limit(self) -> float | None:
        """What was promised, as a number."""
        if self.times_baseline is not None and self.baseline_value is not None:
            return self.times_baseline * self.baseline_value
        return self.target

    @property
    def verdict(self) -> Verdict:
        """Whether the promise is kept."""
        if self.limit is None:
            return ""
        return "ok" if (self.value >= self.limit if self.more else self.value <= self.limit) else "miss"


@dataclass(frozen=True, slots=True)
class Options:
    """How a benchmark is to run."""

    folder: Path
    """For its files; empty, and its own."""
    quick: bool = False
    """A tenth of the objects and of the repeats: for trying the benchmark out, not for its figures."""
    say: Callable[[str], None] = field(default=lambda text: None)
    """Tells whoever waits how far it is."""

    def scaled(self, number: int, least: int = 1) -> int:
        """The number, or a tenth of it."""
        return max(least, number // 10) if self.quick else number


Benchmark = Callable[[Options], Awaitable[list[Figure]]]


def medians(
    name: str, what: str, unit: str, samples: Sequence[float], baseline: str, baseline_samples: Sequence[float], **promise: float
) -> Figure:
    """A figure of two series: the median of each."""
    return Figure(
        name, what, statistics.median(samples), unit, promise.get("target"), baseline, statistics.median(baseline_samples),
        promise.get("times_baseline"), tuple(samples), tuple(baseline_samples),
    )  # fmt: skip
