"""The values that parameters may have: Katib's feasible spaces, drawn from by chance, walked as a grid, given to Optuna."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from specs.parameters import Candidate, Parameter
from training.estimators import plain

if TYPE_CHECKING:
    import optuna

GRID_POINTS = 5
"""Points of a range without steps, which only the candidates have that `auto` stands for."""
Values = dict[str, Any]
"""Values of parameters, by name."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from low to high, both included."""

    low: float
    high: float
    step: float | None
    whole: bool
    log: bool

    def draw(self, rng: np.random.Generator) -> float | int:
        """One of them: evenly, or evenly in the logarithm."""
        if self.step is not None and not self.log:
            return self._clean(self.low + self.step * int(rng.integers(self._steps() + 1)))
        if self.log:
            low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
            value = math.exp(rng.uniform(math.log(max(low, 1e-300)), math.log(high)))
        elif self.whole:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        else:
            value = rng.uniform(self.low, self.high)
        return self._clean(min(max(value, self.low), self.high))

    def grid(self) -> list[float | int]:
        """All of them, `step` apart (1 for whole numbers). Of a range without steps a few, evenly, or evenly in the logarithm."""
        if self.step is None and not self.whole:
            space = np.geomspace if self.log else np.linspace
            return [self._clean(value) for value in space(self.low, self.high, GRID_POINTS).tolist()]
        step = self.step or 1.0
        return [self._clean(self.low + step * i) for i in range(int((self.high - self.low) / step + 1e-9) + 1)]

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """In Optuna's words."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            step = 1 if self.log else int(self.step or 1)
            return IntDistribution(int(self.low), int(self.low) + (int(self.high) - int(self.low)) // step * step, self.log, step)
        step_ = None if self.log else self.step
        return FloatDistribution(self.low, self._clean(self.low + self._steps() * step_) if step_ else self.high, self.log, step_)

    def suggest(self, trial: optuna.Trial, name: str) -> float | int:
        """What Optuna says."""
        found: Any = self.distribution()
        ask = trial.suggest_int if self.whole else trial.suggest_float
        return self._clean(ask(name, found.low, found.high, step=found.step, log=found.log))

    def _steps(self) -> int:
        return int((self.high - self.low) / (self.step or 1.0) + 1e-9)

    def _clean(self, value: float) -> float | int:
        return round(value) if self.whole else float(f"{value:.12g}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """One of them, evenly."""
        return self.values[int(rng.integers(len(self.values)))]

    def grid(self) -> list[Any]:
        """All of them."""
        return list(self.values)

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """In Optuna's words."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """What Optuna says."""
        return trial.suggest_categorical(name, self.values)


Dimension = Range | Choice


def dimension(parameter: Parameter) -> Dimension:
    """A parameter's space. Numbers written as text are numbers."""
    space = parameter.feasible_space
    if space.list is not None:
        return Choice(tuple(dict.fromkeys(plain(value) for value in space.list)))
    whole = parameter.parameter_type == "int"
    low, high = float(space.min or 0), float(space.max or 0)
    if whole:
        low, high = math.ceil(low), math.floor(high)
    return Range(low, high, None if space.step is None else float(space.step), whole, space.distribution == "logUniform")


@dataclass(frozen=True, slots=True)
class Space:
    """A candidate's dimensions; none: there is one point, its defaults."""

    name: str
    dimensions: dict[str, Dimension]

    @classmethod
    def of(cls, candidate: Candidate) -> Space:
        """The space that a candidate's parameters span."""
        return cls(candidate.name, {row.name: dimension(row) for row in candidate.parameters})

    def draw(self, rng: np.random.Generator) -> Values:
        """One point by chance."""
        return {name: dimension.draw(rng) for name, dimension in self.dimensions.items()}

    def grid(self) -> Iterator[Values]:
        """All points, the last parameter changing fastest."""
        names = list(self.dimensions)
        for values in product(*(self.dimensions[name].grid() for name in names)):
            yield dict(zip(names, values, strict=True))


def grid(spaces: Sequence[Space]) -> Iterator[tuple[str, Values]]:
    """The points of all candidates in turn, so that a short search sees each of them."""
    walks = {space.name: space.grid() for space in spaces}
    while walks:
        for name in list(walks):
            if (point := next(walks[name], None)) is None:
                del walks[name]
            else:
                yield name, point
