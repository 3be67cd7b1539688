"""CSV and Parquet → one Arrow table with five types of columns: integer, number, boolean, string, datetime.

Dates of YAML's kind, `NA` of R's and pandas' NaN are missing values; a quoted "NA" is a text. The same bytes and the same types
give the same table, whatever the machine: one thread, no locale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from training.errors import InvalidData

ARROW: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "datetime": pa.timestamp("us"),
}
KINDS = {"integer": "numeric", "number": "numeric", "boolean": "boolean", "string": "categorical", "datetime": "datetime"}
"""What a column's type means to features and to a signature."""
NULLS = ["", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>"]
DELIMITERS = ",;\t|"
MAX_NAMED = 20
"""Rows that a problem names."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the table: which column (None: the table), which rows (the first row of data is 1), and what."""

    column: str | None
    rows: list[int]
    message: str


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
        table = _parquet(path) if path.suffix == ".parquet" else _csv(path, wanted, problems)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read the table as {path.suffix[1:]}: {_cause(e)}; check the file, or spec.format") from e
    names = table.column_names
    if "" in names:
        problems.append(Problem(None, [], f"column {names.index('') + 1} has no name; name it in the header line"))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidData(f"cannot read the table: the column {twice[0]!r} stands twice; rename one")
    columns = {}
    for name, column in zip(names, table.columns, strict=True):
        columns[name], bad, kind = convert(column, wanted.get(name))
        if bad:
            problems.append(Problem(name, bad[:MAX_NAMED], f"{len(bad)} value(s) are no {kind}"))
    return Read(pa.table(columns), problems)


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
        raise InvalidData(
            f"cannot read a column of type {column.type}: only numbers, truth values, texts and moments; leave it out of the file"
        )
    kind = kind or type_of(column.type)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(pa.timestamp("us", tz="UTC"), safe=False)
    try:
        cast = column if column.type == ARROW[kind] else column.cast(ARROW[kind], safe=kind != "datetime")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return *_one_by_one(column, ARROW[kind]), kind
    if kind == "number":  # NaN is one way to say nothing; there shall be one way
        cast = pc.if_else(pc.is_nan(cast), pa.scalar(None, pa.float64()), cast)
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


def _parquet(path: Path) -> pa.Table:
    return pa.parquet.read_table(path, use_threads=False)


def _csv(path: Path, types: Mapping[str, str], problems: list[Problem]) -> pa.Table:
    wrong: list[int] = []
    expected = 0

    def uneven(row: Any) -> str:
        nonlocal expected
        expected = row.expected_columns
        wrong.append((row.number or 2) - 1)
        return "skip"

    table = pa.csv.read_csv(
        path,
        pa.csv.ReadOptions(use_threads=False),
        pa.csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True, invalid_row_handler=uneven),
        pa.csv.ConvertOptions(
            null_values=NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False,
            column_types={name: pa.string() for name, kind in types.items() if kind == "string"},
        ),
    )  # fmt: skip
    if wrong:
        problems.append(
            Problem(None, wrong[:MAX_NAMED], f"{len(wrong)} row(s) have not the {expected} fields of the header line")
        )
    return table


def _delimiter(path: Path) -> str:
    """The one of , ; tab | that stands most often in the header line, outside quotes."""
    with path.open("rb") as file:
        header = file.readline(1 << 20).decode("utf-8", "replace")
    bare = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=bare.count)


def _cause(error: Exception) -> str:
    """The first words of Arrow's message: the rest may repeat the table."""
    return str(error).partition(":")[0][:120] or type(error).__name__
