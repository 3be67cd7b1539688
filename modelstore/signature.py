"""Signature: what a model takes and what it answers. The web form, the API's checks and the tensors' names are made from it.

Datatypes are those of the Open Inference Protocol v2.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Datatype = Literal["FP64", "INT64", "BOOL", "BYTES"]
Kind = Literal["numeric", "categorical", "boolean", "datetime"]
Task = Literal["classification", "regression"]
Label = bool | int | float | str
Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]

MAX_COLUMNS = 4096
MAX_CATEGORIES = 256


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Column(_Part):
    """One input."""

    name: Name
    """As in the table; the name of the input tensor."""
    datatype: Datatype
    """Of the values: FP64, INT64, BOOL or BYTES (text)."""
    kind: Kind
    """What the values mean. A datetime is BYTES: ISO 8601."""
    nullable: bool = True
    """Whether values were missing in training. The model answers in any case."""
    minimum: float | str | None = None
    """Smallest value seen in training: a hint, no limit. A text for datetimes."""
    maximum: float | str | None = None
    """Largest value seen in training."""
    categories: Annotated[list[str], Field(max_length=MAX_CATEGORIES)] | None = None
    """Values seen in training, the most frequent first; None: too many to list. Others are answered as unknown."""
    example: Label | None = None
    """A value that is typical."""


class Target(_Part):
    """The output."""

    name: Name
    """As in the table."""
    task: Task
    """What is predicted: one of `classes`, or a number."""
    classes: Annotated[list[Label], Field(min_length=1, max_length=65536)] | None = None
    """The labels, in the order of the probabilities; None for a regression."""

    @model_validator(mode="after")
    def _classes_go_with_classification(self) -> Self:
        if (self.classes is None) != (self.task == "regression"):
            raise ValueError("a classification has classes, a regression has none")
        return self


class Signature(_Part):
    """Inputs and target of a model."""

    inputs: Annotated[list[Column], Field(min_length=1, max_length=MAX_COLUMNS)]
    """The columns, in the table's order."""
    target: Target
    """What is predicted."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [column.name for column in self.inputs]
        if len(set(names)) != len(names):
            raise ValueError("two inputs have the same name")
        return self

    def names(self) -> list[str]:
        """Names of the inputs, in order."""
        return [column.name for column in self.inputs]

    def kinds(self) -> list[tuple[str, Kind]]:
        """Name and kind of each input: what `modelstore.transformers.Prepare` takes as `columns`."""
        return [(column.name, column.kind) for column in self.inputs]

    def example(self) -> dict[str, Label | None]:
        """One typical row."""
        return {column.name: column.example for column in self.inputs}
