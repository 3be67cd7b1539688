"""The form of a signature: one field for each input, of the right type, with the training data's range as a hint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from modelstore.signature import Column, Signature
from serving.app.words import label, shown
from serving.message import Columns
from serving.records import Job
from serving.wire.columns import FieldError, Invalid, read

FEW = 12
"""So many categories are a list to choose from; more are suggestions while one types."""
Widget = Literal["number", "select", "suggest", "text", "date", "datetime-local"]


@dataclass(slots=True)
class Field:
    """One input of the form."""

    column: Column
    text: str = ""
    """What stands in it."""
    value: Any = None
    """What it means; None: not known."""
    error: str = ""

    @property
    def name(self) -> str:
        """The input's name."""
        return self.column.name

    @property
    def id(self) -> str:
        """For label and hint."""
        return "f-" + "".join(letter if letter.isalnum() else f"_{ord(letter):x}_" for letter in self.column.name)

    @property
    def title(self) -> str:
        """The name as words: bill_length_mm → Bill length (mm)."""
        return label(self.column.name)

    @property
    def widget(self) -> Widget:
        """How it is asked."""
        match self.column.kind:
            case "numeric":
                return "number"
            case "boolean":
                return "select"
            case "datetime":
                return "datetime-local" if "T" in f"{self.column.minimum}{self.column.maximum}{self.column.example}" else "date"
        if self.column.categories is None:
            return "text"
        return "select" if len(self.column.categories) <= FEW else "suggest"

    @property
    def options(self) -> list[tuple[str, str]]:
        """What can be chosen: value and label."""
        if self.column.kind == "boolean":
            return [("true", "Yes"), ("false", "No")]
        known = [(one, one) for one in self.column.categories or ()]
        return known if not self.text or self.text in dict(known) else [*known, (self.text, self.text)]

    @property
    def hint(self) -> str:
        """What the training data held."""
        low, high = self.column.minimum, self.column.maximum
        if low is not None and high is not None:
            return f"{shown(low)} to {shown(high)} in the training data"
        return f"{len(self.column.categories or ())} values are known; they are suggested" if self.widget == "suggest" else ""

    @property
    def unusual(self) -> str:
        """Why a value is to be taken with care; empty if it is like those of the training data."""
        low, high, value = self.column.minimum, self.column.maximum, self.value
        if value is None:
            return ""
        if self.column.kind == "numeric" and isinstance(low, (int, float)) and isinstance(high, (int, float)):
            return "outside of what the training data held" if not low <= value <= high else ""
        if self.column.kind == "categorical" and self.column.categories is not None and value not in self.column.categories:
            return "not in the training data"
        return ""


def example(signature: Signature) -> list[Field]:
    """The form with a typical row filled in."""
    return [Field(column, _text(column, column.example), column.example) for column in signature.inputs]


def blank(signature: Signature) -> list[Field]:
    """The form with nothing in it."""
    return [Field(column) for column in signature.inputs]


def read_form(signature: Signature, given: dict[str, str]) -> list[Field]:
    """What was filled in, with the errors at their fields."""
    fields = []
    for column in signature.inputs:
        field = Field(column, given.get(column.name, "")[:1000])
        try:
            field.value = read(column, field.text)
        except ValueError as error:
            field.error = str(error)
        fields.append(field)
    return fields


def columns(fields: list[Field]) -> Columns:
    """One row. Raises Invalid."""
    if wrong := [FieldError(field.name, field.error) for field in fields if field.error]:
        raise Invalid(wrong)
    return {field.name: [field.value] for field in fields}


def fields_of(signature: Signature, job: Job) -> list[Field]:
    """What a request of one row asked."""
    if job.columns is None or job.rows != 1:
        return []
    return [
        Field(column, _text(column, job.columns[column.name][0]), job.columns[column.name][0])
        for column in signature.inputs
        if column.name in job.columns
    ]


def _text(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
