"""From the values of one column, as people and tables write them, to what models compute with. Plain numpy, no pandas.

The same three functions stand before training, before scikit-learn and before ONNX Runtime, so that all three see the same thing.
Missing is None, NaN, NaT, pandas' NA and the empty text.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = NDArray[np.object_]

MISSING: Final = ""
"""What a missing text becomes."""
NOTHING: Final = frozenset({"", "na", "nan", "none", "null", "n/a", "<na>", "nat"})
"""Texts that mean a missing number, moment or truth; for categories only the empty text does."""
_TRUTH: Final = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0}


def is_missing(value: Any) -> bool:
    """Whether a single value stands for nothing."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, str):
        return value == MISSING
    if isinstance(value, np.generic):
        return bool(value != value)  # noqa: PLR0124 - NaN and NaT are what differs from itself
    return type(value).__name__ in {"NAType", "NaTType"}


def numbers(values: Any) -> Floats:
    """Numbers and truth values as float64; NaN is missing. ValueError names the first value that is none."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.fromiter((_number(value) for value in values), dtype=np.float64, count=len(values))


def _number(value: Any) -> float:
    if is_missing(value):
        return math.nan
    if isinstance(value, str):
        text = value.strip().lower()
        if text in NOTHING:
            return math.nan
        if text in _TRUTH:
            return _TRUTH[text]
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a whole number is too large") from None
    except (TypeError, ValueError):
        raise ValueError(f"{str(value)[:40]!r} is no number") from None


def texts(values: Any) -> Texts:
    """Categories as texts; the empty text is missing. Whole numbers lose a ".0" that a missing neighbour gave them."""
    return np.array([value if type(value) is str else _text(value) for value in _plain(values)], dtype=object)


def _text(value: Any) -> str:
    if is_missing(value):
        return MISSING
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _plain(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values


def moments(values: Any) -> Floats:
    """ISO 8601 texts, dates and datetimes as seconds since 1970 in UTC; NaN is missing. What names no zone is UTC."""
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.dtype.kind == "M":
        seconds = array.astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(array), np.nan, seconds)
    return np.fromiter((_moment(value) for value in values), dtype=np.float64, count=len(values))


def _moment(value: Any) -> float:
    if is_missing(value):
        return math.nan
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, np.datetime64):
        return float(moments(np.array([value]))[0])
    if isinstance(value, str):
        if value.strip().lower() in NOTHING:
            return math.nan
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{value[:40]!r} is no date or time such as 2026-01-31 or 2026-01-31T12:00:00Z") from None
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise ValueError(f"{str(value)[:40]!r} is no date or time")
        value = datetime(value.year, value.month, value.day)
    since = value.replace(tzinfo=None) - datetime(1970, 1, 1) - (value.utcoffset() or _NO_OFFSET)
    return float(since.total_seconds())


_NO_OFFSET: Final = datetime(1970, 1, 1) - datetime(1970, 1, 1)

READERS: Final = {"numeric": numbers, "boolean": numbers, "datetime": moments, "categorical": texts}
"""How a column is read, by its kind."""


def values_of(table: Any, name: str, kind: str) -> NDArray[Any]:
    """One column of a table (a dict of columns, or a pandas DataFrame) in canonical form. KeyError: there is no such column."""
    values = table[name]
    if hasattr(values, "to_numpy"):  # a pandas Series: extension types turn into plain numpy, its NA into NaN
        if kind == "datetime" and getattr(values.dtype, "tz", None) is not None:
            values = values.dt.tz_convert("UTC").dt.tz_localize(None)
        values = values.to_numpy()
    try:
        read: NDArray[Any] = READERS[kind](values)
    except ValueError as e:
        raise ValueError(f"cannot read column {name!r}: {e}") from None
    if read.ndim != 1:
        raise ValueError(f"cannot read column {name!r}: it is not a list of single values")
    return read


def length_of(table: Any) -> int:
    """Rows of a table. ValueError: its columns are of different lengths."""
    if hasattr(table, "shape"):
        return int(table.shape[0])
    lengths = {len(values) for values in table.values()}
    if len(lengths) != 1:
        raise ValueError(f"cannot read the table: {'its columns are of different lengths' if lengths else 'it has no columns'}")
    return int(lengths.pop())
