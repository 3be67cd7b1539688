"""Whether values are what a model takes: each column against its line in the signature, each error with the path of its value.

Checked here, once, before anything is queued. Missing is None afterwards, whatever it was called before.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from math import isnan
from typing import Any, Final

from modelstore.signature import Column, Signature

MAX_ERRORS: Final = 20
MAX_TEXT: Final = 10_000
LARGE: Final = 1e30
"""Numbers beyond this are refused, and those beyond a thousand times what the model has seen if that is more: squared or weighted
they are infinite, and what a model says of infinity is not a prediction."""
MAX_QUOTED: Final = 40
"""So much of a wrong value is repeated in the error."""
_NUMBERS: Final = frozenset({int, float, type(None)})
_TEXTS: Final = frozenset({str, type(None)})
_TRUTHS: Final = frozenset({bool, type(None)})

Path = Callable[[int], str]
"""Where the value of a row stands in the request."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong, and where."""

    path: str
    message: str


class Invalid(Exception):
    """The request does not fit the signature."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = list(errors)[:MAX_ERRORS]
        super().__init__(
            "; ".join(f"{error.path}: {error.message}" if error.path else error.message for error in self.errors[:3])
        )


class Malformed(Invalid):
    """It cannot even be read: no JSON, no CSV, no tensor."""


def wrong(path: str, message: str) -> Invalid:
    """One error."""
    return Invalid([FieldError(path, message)])


def check(column: Column, values: list[Any], path: Path) -> list[Any]:
    """The values, missing ones as None. Raises Invalid with the paths of those that do not fit."""
    kinds = set(map(type, values))
    match column.kind:
        case "numeric":
            most = largest(column)
            if kinds <= _NUMBERS and _within(values, most, kinds) and (int not in kinds or _small(values)):
                return (
                    values if float not in kinds else [None if value is not None and isnan(value) else value for value in values]
                )
            return _each(values, path, lambda value: _number(value, most))
        case "boolean":
            return values if kinds <= _TRUTHS else _each(values, path, _truth)
        case "datetime":
            return _each(values, path, _moment)
        case _:
            return values if kinds <= _TEXTS and _short(values) else _each(values, path, _text)


def largest(column: Column) -> float:
    """The largest magnitude that a numeric input takes."""
    return _largest(column.minimum, column.maximum)


@lru_cache(4096)
def _largest(*bounds: float | str | None) -> float:
    seen = [abs(bound) for bound in bounds if isinstance(bound, (int, float))]
    return max(LARGE, 1000 * max(seen, default=0.0))


def _within(values: list[Any], most: float, kinds: set[type]) -> bool:
    if type(None) not in kinds and -most <= min(values) and max(values) <= most:
        return True  # quick; a NaN among them is passed over, or makes it false
    return all(value is None or -most <= value <= most or isnan(value) for value in values)


def _small(values: list[Any]) -> bool:
    return all(value is None or -(2**63) <= value < 2**64 for value in values)


def _short(values: list[Any]) -> bool:
    return all(value is None or (0 < len(value) <= MAX_TEXT) for value in values)


def _each(values: list[Any], path: Path, read: Callable[[Any], Any]) -> list[Any]:
    found, errors = [], []
    for i, value in enumerate(values):
        try:
            found.append(None if value is None else read(value))
        except ValueError as error:
            errors.append(FieldError(path(i), str(error)))
            if len(errors) >= MAX_ERRORS:
                break
    if errors:
        raise Invalid(errors)
    return found


def _number(value: Any, most: float) -> float | int | None:
    if type(value) is bool or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number, got {_called(value)}")
    if abs(value) > most:
        raise ValueError(f"the number is beyond ±{most:g}; null is a missing value")
    if isnan(value):
        return None
    return float(value) if isinstance(value, int) and not -(2**63) <= value < 2**64 else value


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        if isnan(value):
            return None
        if value in {0, 1}:
            return bool(value)
    raise ValueError(f"expected true or false, got {_called(value)}")


def _moment(value: Any) -> str | None:
    if isinstance(value, float) and isnan(value):
        return None
    if not isinstance(value, str):
        raise ValueError(f"expected a date or time as text (ISO 8601), got {_called(value)}")
    text = value.strip()
    if not text:
        return None
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a date or time such as 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return text


def _text(value: Any) -> str | None:
    if isinstance(value, float) and isnan(value):
        return None
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {_called(value)}")
    if len(value) > MAX_TEXT:
        raise ValueError(f"the text is longer than {MAX_TEXT} characters")
    return value or None


def _called(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "something else"


# --- the same from text: forms and CSV ----------------------------------------------------------------------------------

_MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
_SAID: Final = {
    "true": True,
    "yes": True,
    "1": True,
    "on": True,
    "t": True,
    "y": True,
    "false": False,
    "no": False,
    "0": False,
    "f": False,
    "n": False,
}


def read(column: Column, text: str) -> Any:
    """The value that a person wrote, None if the field is empty or says that it is not known. Raises ValueError."""
    text = text.strip()
    if text.lower() in _MISSING and text not in (column.categories or ()):  # NA may be a country
        return None
    match column.kind:
        case "numeric":
            return _read_number(text, largest(column))
        case "boolean":
            if (said := _SAID.get(text.lower())) is None:
                raise ValueError(f"expected yes or no, got {_quoted(text)}")
            return said
        case "datetime":
            return _moment(text)
        case _:
            return _text(text)


def _read_number(text: str, most: float) -> float | int | None:
    value: float | int
    try:
        value = int(text)
    except ValueError:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"expected a number, got {_quoted(text)}") from None
    return _number(value, most)


def _quoted(text: str) -> str:
    return f'"{text[:MAX_QUOTED]}{"…" if len(text) > MAX_QUOTED else ""}"'


def known(signature: Signature, names: Iterable[str], path: Callable[[str], str]) -> None:
    """Raises Invalid if a name is no input of the model, or if an input is not named."""
    wanted, given = set(signature.names()), list(names)
    errors = []
    for name in given:
        if name not in wanted:
            close = difflib.get_close_matches(name, sorted(wanted), 1)
            errors.append(
                FieldError(
                    path(name), f'the model has no input "{name[:80]}"' + (f': did you mean "{close[0]}"?' if close else "")
                )
            )
    for name in signature.names():
        if name not in set(given):
            errors.append(FieldError(path(name), "this input is missing; null says that its value is not known"))
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise Invalid(errors)
