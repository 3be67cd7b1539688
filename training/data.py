"""The rows to learn from and the rows to be judged by: a table, its target, its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from training.errors import InvalidData, InvalidSpec
from training.metrics import METRICS
from training.split import held_out
from training.table import KINDS, read, type_of

Task = Literal["classification", "regression"]
FEW = 10
"""A whole number with at most so many different values is taken for a class."""
MIN_ROWS = 20


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs as they stand in the table, and the target: labels, or float64."""

    inputs: pd.DataFrame
    target: NDArray[Any]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True, slots=True)
class Data:
    """What a run learns from."""

    task: Task
    target: str
    columns: tuple[tuple[str, str], ...]
    """Name and kind (numeric, categorical, boolean, datetime) of each input."""
    train: Rows
    held_out: Rows
    classes: NDArray[Any] | None
    """The labels, sorted: those that training rows have. None for a regression."""
    without_target: int
    """Rows that were left out because their target is missing."""


def load(
    path: Path,
    *,
    target: str,
    types: dict[str, str] | None = None,
    task: str = "auto",
    metric: str = "",
    exclude: Sequence[str] = (),
    share: float = 0.2,
) -> Data:
    """Read and split a table. `types`: of columns, as its Dataset found them. InvalidData, InvalidSpec."""
    table = read(path, types).table
    if target not in table.column_names:
        raise InvalidSpec(f"cannot train: the table has no column {target!r} to be the target; set spec.target of the Dataset")
    known = table.column(target).is_valid()
    table, missing = table.filter(known), table.num_rows - sum(known.to_pylist())
    names = [name for name in table.column_names if name != target and name not in exclude]
    if not names:
        raise InvalidSpec("cannot train: no column is left to learn from; shorten features.exclude")
    if table.num_rows < MIN_ROWS:
        raise InvalidData(f"cannot train: {table.num_rows} rows have a target, {MIN_ROWS} is the least; give it more data")
    kind = _task(table.column(target), task, metric)
    values = _target(table.column(target), kind)
    aside = held_out(table, target=target, share=share)
    inputs = frame(table.select(names))
    train = Rows(inputs[~aside].reset_index(drop=True), values[~aside])
    judge = Rows(inputs[aside].reset_index(drop=True), values[aside])
    if not len(judge):
        raise InvalidData("cannot train: no row is held out to judge by; give it more data, or raise evaluation.heldOutShare")
    classes = np.unique(train.target) if kind == "classification" else None
    if classes is not None and len(classes) < 2:
        raise InvalidData(f"cannot train: {target!r} has one class in the training rows; give it rows of another")
    columns = tuple((name, KINDS[type_of(table.column(name).type)]) for name in names)
    return Data(kind, target, columns, train, judge, classes, missing)


def frame(table: pa.Table) -> pd.DataFrame:
    """A table as pandas: float64 and int64, texts and truth values as objects (None is missing), datetime64."""
    return pd.DataFrame({name: _values(table.column(name)) for name in table.column_names})


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    match type_of(column.type):
        case "integer" if not column.null_count:
            return np.asarray(column.to_numpy(), dtype=np.int64)
        case "integer" | "number":
            return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
        case "datetime":
            return np.asarray(column.to_numpy(), dtype="datetime64[us]")
        case _:
            return np.array(column.to_pylist(), dtype=object)


def _task(column: pa.ChunkedArray, asked: str, metric: str) -> Task:
    """As asked; else as the metric says; else by the target: texts, truth values and few whole numbers are classes."""
    found = type_of(column.type)
    by_metric = next((task for task, names in METRICS.items() if metric in names), None)
    if metric and by_metric is None:
        raise InvalidSpec(f"cannot measure {metric!r}: no such metric; there are {', '.join(sum(METRICS.values(), ()))}")
    few = found == "integer" and len(column.unique()) <= FEW
    task = (
        asked if asked != "auto" else by_metric or ("classification" if found in ("string", "boolean") or few else "regression")
    )
    if by_metric not in (None, task):
        raise InvalidSpec(f"cannot measure {metric} of a {task}: use one of {', '.join(METRICS[task])}")
    if task == "regression" and found not in ("integer", "number"):
        raise InvalidSpec(
            f"cannot train a regression: the target is of type {found}; use task: classification and a metric of it"
        )
    return "classification" if task == "classification" else "regression"


def _target(column: pa.ChunkedArray, task: Task) -> NDArray[Any]:
    if task == "regression":
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    match type_of(column.type):
        case "string" | "datetime":
            return np.array([str(value) for value in column.to_pylist()])
        case "number":
            return np.array([f"{value:.12g}" for value in column.to_pylist()])
        case _:
            return np.asarray(column.to_numpy())
