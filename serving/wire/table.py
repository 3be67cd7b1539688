"""CSV: a header with the model's inputs, in any order and among others, and a row for each prediction."""

from __future__ import annotations

import csv
import io
from typing import Any

from modelstore.signature import Signature
from serving.message import Columns
from serving.wire.columns import MAX_ERRORS, FieldError, Invalid, read, wrong

MAX_FIELD = 64 * 1024
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that starts so is taken for a formula by spreadsheets."""


def decode(signature: Signature, body: bytes, max_rows: int) -> tuple[Columns, int]:
    """Columns and number of rows. Other columns are passed over. Raises Invalid with paths such as row 3, island."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise wrong(f"byte {error.start}", "the table is not UTF-8; save it as CSV UTF-8") from None
    csv.field_size_limit(MAX_FIELD)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        _check_header(signature, header)
        places = [(column, header.index(column.name)) for column in signature.inputs]
        columns: Columns = {column.name: [] for column, _ in places}  # in the signature's order, as everywhere
        errors: list[FieldError] = []
        rows = 0
        for line in lines:
            if not line:
                continue
            rows += 1
            if rows > max_rows:
                raise wrong(f"row {rows}", f"more than {max_rows} rows; split the table")
            if len(line) != len(header):
                raise wrong(f"row {rows}", f"{len(line)} fields, but the header has {len(header)}")
            for column, place in places:
                try:
                    columns[column.name].append(read(column, line[place]))
                except ValueError as error:
                    errors.append(FieldError(f"row {rows}, {column.name}", str(error)))
            if len(errors) >= MAX_ERRORS:
                break
    except csv.Error as error:
        raise wrong(f"line {lines.line_num}", f"this is no CSV: {error}") from None
    if errors:
        raise Invalid(errors)
    if not rows:
        raise wrong("row 1", "the table has no rows")
    return columns, rows


def _delimiter(text: str) -> str:
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def _check_header(signature: Signature, header: list[str]) -> None:
    if missing := [name for name in signature.names() if name not in header]:
        raise Invalid(FieldError(f"column {name}", "the header does not name it") for name in missing)
    if twice := [name for name in signature.names() if header.count(name) > 1]:
        raise Invalid(FieldError(f"column {name}", "the header names it twice") for name in twice)


def encode(signature: Signature, columns: Columns | None, labels: list[Any], probabilities: list[list[float]] | None) -> bytes:
    """The rows as they came, with the prediction and, of a classification, the probabilities."""
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\r\n")
    given = columns or {}
    classes = signature.target.classes or ()
    names = [*given, f"predicted_{signature.target.name}", *(f"probability_{one}" for one in classes if probabilities)]
    table.writerow([_safe(name) for name in names])
    for i, label in enumerate(labels):
        shares = probabilities[i] if probabilities else ()
        table.writerow([*(_safe(values[i]) for values in given.values()), _safe(label), *(f"{share:.6g}" for share in shares)])
    return out.getvalue().encode()


def _safe(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
