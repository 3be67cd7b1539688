"""CSV and Parquet → one Arrow table with five types of columns: integer, number, boolean, string, datetime.

Dates of YAML's kind, `NA` of R's and pandas' NaN are missing values; a quoted "NA" is a text. The same bytes and the same types
give the same table, whatever the machine: one thread, no locale.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from training.csvfile import check_width, read_csv
from training.errors import InvalidData
from training.problem import MAX_NAMED, Problem

ARROW: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "datetime": pa.timestamp("us"),
}
KINDS = {"integer": "numeric", "number": "numeric", "boolean": "boolean", "string": "categorical", "datetime": "datetime"}
"""What a column's type means to features and to a signature."""
MAX_NAME = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(slots=True)
class Read:
    """A table, and what was wrong when it was read."""

    table: pa.Table
    problems: list[Problem] = field(default_factory=list)


def read(path: Path, types: Mapping[str, str] | None = None) -> Read:
    """Read a .csv or .parquet file.

    types: columns that must have a type; the others' is inferred. A value that has no such type becomes missing, and a problem
    names its row. InvalidData: it is no table.
    """
    wanted = {name: kind for name, kind in (types or {}).items() if kind in ARROW}
    problems: list[Problem] = []
    try:
        if path.suffix == ".parquet":
            table = pa.parquet.read_table(path, use_threads=False)
        else:
            table, problems = read_csv(path, [name for name, kind in wanted.items() if kind == "string"])
        names = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read the table as {path.suffix[1:]}: {_cause(e)}; check the file, or spec.format") from e
    problems += _check_names(names)
    columns = {}
    for name, column in zip(names, table.columns, strict=True):
        try:
            columns[name], bad, kind = convert(column, wanted.get(name))
        except InvalidData as e:
            raise InvalidData(f"cannot read column {name!r}: {e}") from e
        if bad:
            problems.append(Problem(name, bad[:MAX_NAMED], f"{len(bad)} value(s) are no {kind}"))
    return Read(pa.table(columns), problems)


def _check_names(names: list[str]) -> list[Problem]:
    check_width(len(names))
    if twice := sorted(name for name, times in Counter(names).items() if times > 1):
        where = [number for number, name in enumerate(names, 1) if name == twice[0]]
        raise InvalidData(f"cannot read the table: columns {where[0]} and {where[1]} are both called {twice[0]!r}; rename one")
    problems = []
    for number, name in enumerate(names, 1):
        if not name:
            problems.append(Problem(None, [], f"column {number} has no name; name it in the header line"))
        elif len(name) > MAX_NAME or _CONTROL.search(name):
            odd = f"is longer than {MAX_NAME} letters" if len(name) > MAX_NAME else "holds a control character"
            problems.append(Problem(None, [], f"the name of column {number} {odd}; change it in the header line"))
    return problems


def type_of(arrow: pa.DataType) -> str:
    """Our word for an Arrow type; what has none is read as text."""
    if pa.types.is_boolean(arrow):
        return "boolean"
    if pa.types.is_integer(arrow):
        return "integer"
    if pa.types.is_floating(arrow) or pa.types.is_decimal(arrow):
        return "number"
    if pa.types.is_timestamp(arrow) or pa.types.is_date(arrow):
        return "datetime"
    return "string"


def convert(column: pa.ChunkedArray, kind: str | None) -> tuple[pa.ChunkedArray, list[int], str]:
    """A column in one of our types; the rows whose value is none of it; the type."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise InvalidData(f"it is of type {column.type}; only numbers, truth values, texts and moments can be read; leave it out")
    kind = kind or type_of(column.type)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(pa.timestamp("us", tz="UTC"), safe=False)
    try:
        cast = column if column.type == ARROW[kind] else column.cast(ARROW[kind], safe=kind != "datetime")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return *_one_by_one(column, ARROW[kind]), kind
    if kind == "number":  # NaN and infinity are ways to say nothing; there shall be one way
        cast = pc.if_else(pc.is_finite(cast), cast, pa.scalar(None, pa.float64()))
    return cast, [], kind


def _one_by_one(column: pa.ChunkedArray, arrow: pa.DataType) -> tuple[pa.ChunkedArray, list[int]]:
    values: list[Any] = []
    bad = []
    for row, value in enumerate(column, 1):
        try:
            values.append(value.cast(arrow).as_py())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values.append(None)
            bad.append(row)
    return pa.chunked_array([pa.array(values, arrow)]), bad


def _cause(error: Exception) -> str:
    """The first words of Arrow's message: the rest may repeat the table."""
    return str(error).partition(":")[0][:120] or type(error).__name__
