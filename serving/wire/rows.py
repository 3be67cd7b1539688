"""Plain JSON rows: {"rows": [{"bill_length_mm": 39.1, …}, …]}, or one row as it is. The answer has a prediction for each row."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import orjson

from modelstore.signature import Signature
from serving.message import Columns
from serving.wire.columns import FieldError, Invalid, Malformed, check, known, wrong


def parse_json(body: bytes) -> Any:
    """JSON, NaN allowed as Python writes it. Raises Invalid."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body:
            return _with_nan(body)
        raise _no_json(f"the body is no JSON: {error.msg} at line {error.lineno} column {error.colno}") from None


def _with_nan(body: bytes) -> Any:
    import json

    def constant(name: str) -> float:
        if name == "NaN":
            return math.nan
        raise ValueError(name)

    try:
        return json.loads(body, parse_constant=constant)
    except (ValueError, RecursionError):
        raise _no_json("the body is no JSON") from None


def _no_json(message: str) -> Malformed:
    return Malformed([FieldError("", message)])


def decode(signature: Signature, body: Any, max_rows: int) -> tuple[Columns, int]:
    """Columns and number of rows. Raises Invalid with paths such as rows[3].island."""
    if not isinstance(body, dict):
        raise wrong("", 'expected an object: one row, or {"rows": [row, …]}')
    many = list(body) == ["rows"] and isinstance(body["rows"], list)
    rows = body["rows"] if many else [body]
    if not rows:
        raise wrong("rows", "expected at least one row")
    if len(rows) > max_rows:
        raise wrong("rows", f"{len(rows)} rows are too many: {max_rows} at most")
    names = signature.names()
    keys = set(names)
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise wrong(f"rows[{i}]", "expected an object with a value for each input")
        if row.keys() != keys:
            known(signature, row, partial(_path, many, i))
    errors: list[FieldError] = []
    columns: Columns = {}  # in the signature's order: messages are merged column by column
    for column in signature.inputs:
        name = column.name
        try:
            columns[name] = check(column, [row[name] for row in rows], partial(_path, many, name=name))
        except Invalid as error:
            errors += error.errors
    if errors:
        raise Invalid(errors)
    return columns, len(rows)


def _path(many: bool, i: int, name: str) -> str:
    return f"rows[{i}].{name}" if many else name


def encode(signature: Signature, labels: list[Any], probabilities: list[list[float]] | None, about: dict[str, Any]) -> bytes:
    """The answer: a prediction for each row, with the probability of each class where the model has such."""
    classes = [str(one) for one in signature.target.classes or ()]
    found: list[dict[str, Any]] = [{"prediction": label} for label in labels]
    if probabilities is not None:
        for row, shares in zip(found, probabilities, strict=True):
            row["probabilities"] = dict(zip(classes, shares, strict=False))
    return orjson.dumps({"predictions": found, **about})
