"""A CSV file → an Arrow table. What is wrong with it is said by line, row and column: Arrow's words may repeat the content."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from training.errors import InvalidData
from training.problem import MAX_NAMED, Problem

NULLS = ["", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>"]
DELIMITERS = ",;\t|"
MAX_COLUMNS = 2000
"""As many as a Dataset's status holds."""
MAX_ROW = 16 << 20
"""Bytes of one row: what is longer is no row but a quote that was never closed, or another kind of file."""
HEAD = 1 << 20
STRANGERS = (
    (b"\x1f\x8b", "it is compressed (gzip)", "unpack it"),
    (b"PK\x03\x04", "it is a zip archive, as spreadsheets are", "save it as CSV (UTF-8)"),
    (b"PAR1", "it is a Parquet file", "set spec.format to parquet"),
    (b"\xff\xfe", "it is written in UTF-16", "save it as CSV (UTF-8)"),
    (b"\xfe\xff", "it is written in UTF-16", "save it as CSV (UTF-8)"),
    (b"<!doctype", "it is a web page", "check the URI: it should lead to the file itself"),
    (b"<html", "it is a web page", "check the URI: it should lead to the file itself"),
)


def read_csv(path: Path, texts: Collection[str] = ()) -> tuple[pa.Table, list[Problem]]:
    """Read it; types are inferred, but for the columns `texts`. Rows of another length are left out and are a problem.

    The delimiter is the one of , ; tab | that stands most often in the header line. InvalidData: it is no table.
    """
    delimiter = _look_at(path)
    wrong: list[int] = []
    expected = 0

    def uneven(row: Any) -> str:
        nonlocal expected
        expected = row.expected_columns
        wrong.append((row.number or 2) - 1)
        return "skip"

    try:
        table = pa.csv.read_csv(
            path,
            pa.csv.ReadOptions(use_threads=False, block_size=MAX_ROW),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=uneven),
            pa.csv.ConvertOptions(
                null_values=NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False,
                column_types=dict.fromkeys(texts, pa.binary()),  # made text below, where what is none can be named
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as e:
        raise InvalidData(_why(path, e)) from None
    problems = []
    if wrong:
        problems.append(
            Problem(None, wrong[:MAX_NAMED], f"{len(wrong)} row(s) have not the {expected} fields of the header line")
        )
    table = _as_text(table)
    return table, [*problems, *_never_closed(path, table)]


def _look_at(path: Path) -> str:
    """The delimiter. InvalidData: the first bytes are of no CSV file."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    for magic, what, remedy in STRANGERS:
        if head.lower().startswith(magic) or head.startswith(magic):
            raise InvalidData(f"cannot read the table as csv: {what}; {remedy}")
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        raise InvalidData("cannot read the table as csv: it is empty; give it a header line, and a line for each row")
    line = head.lstrip(b"\r\n").partition(b"\n")[0]
    try:
        header = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        if len(line) < HEAD:
            raise InvalidData("cannot read the table as csv: the header line is no UTF-8; save it as CSV (UTF-8)") from None
        header = line.decode("utf-8", "replace")
    bare = "".join(header.split('"')[::2])
    delimiter = max(DELIMITERS, key=bare.count)
    check_width(bare.count(delimiter) + 1)
    return delimiter


def check_width(columns: int) -> None:
    """InvalidData: so many columns are too many."""
    if columns > MAX_COLUMNS:
        raise InvalidData(f"cannot read the table: it has {columns:,} columns, {MAX_COLUMNS:,} is the most; leave some out")


def _why(path: Path, error: Exception) -> str:
    text = str(error)
    if "Empty CSV" in text:
        return "cannot read the table as csv: it has nothing but a header line; give it a line for each row"
    if "straddling" in text or "truncated" in text:
        line = _longest(path)
        return f"cannot read the table as csv: line {line} is longer than {MAX_ROW >> 20} MiB; close its quotes, or shorten it"
    return f"cannot read the table as csv: {text.partition(':')[0][:120]}; check the file, or spec.format"


def _longest(path: Path) -> int:
    """The number of the first line that is longer than a row may be, or of the last one."""
    number, length = 1, 0
    with path.open("rb") as file:
        while part := file.readline(1 << 20):
            length += len(part)
            if length > MAX_ROW:
                break
            if part.endswith(b"\n"):
                number, length = number + 1, 0
    return number


def _as_text(table: pa.Table) -> pa.Table:
    """Bytes as text. InvalidData names the first row that is no UTF-8."""
    for index, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if not pa.types.is_binary(column.type):
            continue
        try:
            table = table.set_column(index, name, column.cast(pa.string()))
        except pa.ArrowInvalid:
            row = next(row for row, value in enumerate(column, 1) if not _is_text(value.as_py()))
            raise InvalidData(
                f"cannot read the table as csv: column {name!r}, row {row} is no UTF-8; save it as CSV (UTF-8)"
            ) from None
    return table


def _is_text(value: bytes | None) -> bool:
    try:
        return value is None or bool(value.decode()) or True
    except UnicodeDecodeError:
        return False


def _never_closed(path: Path, table: pa.Table) -> list[Problem]:
    """A quote that nobody closes swallows the rest of the file, silently: the last row ends with many lines in one cell."""
    if not table.num_rows:
        return []
    last = table.slice(table.num_rows - 1).to_pylist()[0]
    for name, value in last.items():
        if isinstance(value, str) and "\n" in value and _quotes(path) % 2:
            lines = value.count("\n") + 1
            return [
                Problem(name, [table.num_rows], f"a quote is opened and never closed: the {lines} lines to the end are one value")
            ]
    return []


def _quotes(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b'"') for chunk in iter(lambda: file.read(HEAD), b""))
