"""Candidates and their parameter spaces, in Katib's words. Katib writes numbers as text; both are taken."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from specs.meta import Model

PRESERVED = "x-kubernetes-preserve-unknown-fields"
"""What a structural schema says of a value of several types: the model alone checks it."""

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?$")]


def _scalar(value: Any) -> Any:
    if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 255):
        return value
    raise ValueError("expected a number, a text of at most 255 characters, or true or false")


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("expected a number")
    float(value)
    return value


Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({PRESERVED: True})]
"""A number, a text, true or false; kept as it was written."""
NumberOrText = Annotated[Any, BeforeValidator(_number), WithJsonSchema({PRESERVED: True})]
"""A number, or a number written as text."""
Values = Annotated[list[Scalar], Field(min_length=1, max_length=1000)]


class FeasibleSpace(Model):
    """The values that a parameter may have."""

    min: NumberOrText | None = None
    """The least value (double, int)."""
    max: NumberOrText | None = None
    """The largest value (double, int)."""
    step: NumberOrText | None = None
    """The distance between two values; required for a double in a grid."""
    list: Values | None = None
    """The values (discrete, categorical)."""
    distribution: Literal["uniform", "logUniform"] = "uniform"
    """How values between min and max are drawn."""


class Parameter(Model):
    """One dimension of the search."""

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The estimator's parameter, as scikit-learn calls it."""
    parameter_type: Literal["double", "int", "discrete", "categorical"]
    """What its values are."""
    feasible_space: FeasibleSpace
    """The values it may have."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        space, ranged = self.feasible_space, self.parameter_type in ("double", "int")
        if ranged and (space.min is None or space.max is None or space.list is not None):
            raise ValueError(f"feasibleSpace: {self.parameter_type} needs min and max, and no list")
        if not ranged and (space.list is None or space.min is not None or space.max is not None or space.step is not None):
            raise ValueError(f"feasibleSpace: {self.parameter_type} needs a list, and nothing else")
        if ranged and space.step is not None and float(space.step) <= 0:
            raise ValueError("feasibleSpace: step must be larger than 0")
        if space.min is not None and space.max is not None:
            low, high = float(space.min), float(space.max)
            if low > high:
                raise ValueError("feasibleSpace: min is larger than max")
            if space.distribution == "logUniform" and low <= 0:
                raise ValueError("feasibleSpace: logUniform needs a min larger than 0")
        return self


class FixedParameter(Model):
    """A parameter that is set and not searched."""

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The estimator's parameter."""
    value: Scalar
    """Its value."""


class Candidate(Model):
    """One estimator, and the space in which its parameters are searched."""

    name: Name
    """How trials and reports call it; unique."""
    estimator: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
    """Name of a class on the allow-list: scikit-learn's estimators of the task, xgboost's and lightgbm's where installed."""
    parameters: Annotated[list[Parameter], Field(max_length=64)] = []
    """What is searched; nothing: its defaults are tried once."""
    fixed: Annotated[list[FixedParameter], Field(max_length=64)] = []
    """What is set."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [row.name for row in self.parameters] + [row.name for row in self.fixed]
        if len(set(names)) != len(names):
            raise ValueError("parameters: a parameter's name stands twice; remove one")
        return self


def _auto(value: Any) -> Any:
    if value == []:
        raise ValueError('expected "auto" or at least one candidate')
    return [] if value == "auto" else value


def _written(rows: list[Candidate]) -> Any:
    return [row.model_dump(exclude_none=True) for row in rows] or "auto"


Candidates = Annotated[
    list[Candidate],
    Field(max_length=64),
    BeforeValidator(_auto),
    PlainSerializer(_written),
    WithJsonSchema({PRESERVED: True}),
]
"""`auto`, which reads as an empty list, or the candidates."""
