"""Rows that a signature could have seen, for a model whose training rows nobody has."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from modelstore.columns import moments
from modelstore.signature import Column, Signature

SPAN: Final = ("2000-01-01", "2030-01-01")
"""Of moments of which no minimum and maximum are known."""


def sample(signature: Signature, rows: int, seed: int = 0) -> dict[str, list[Any]]:
    """Rows within the ranges and categories of the signature; the first row is its example."""
    random = np.random.default_rng(seed)
    return {column.name: _with_example(column, _values(column, rows, random)) for column in signature.inputs}


def _with_example(column: Column, values: list[Any]) -> list[Any]:
    return values if column.example is None or not values else [column.example, *values[1:]]


def _values(column: Column, rows: int, random: np.random.Generator) -> list[Any]:
    match column.kind:
        case "boolean":
            return [bool(value) for value in random.integers(0, 2, rows)]
        case "categorical":
            among = column.categories or ["a"]
            return [among[i] for i in random.integers(0, len(among), rows)]
        case "datetime":
            first, last = moments([column.minimum or SPAN[0], column.maximum or SPAN[1]])
            return [str(np.datetime64(round(value), "s")) for value in random.uniform(first, last, rows)]
        case _:
            low, high = column.minimum, column.maximum
            values = random.normal(0.0, 1.0, rows)
            if isinstance(low, float) and isinstance(high, float):
                values = random.uniform(low, high, rows)
            return [int(value) for value in np.rint(values)] if column.datatype == "INT64" else values.tolist()
