"""The signature of a table: what a form and an API should ask for, from the rows that a model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelstore.columns import MISSING, moments, values_of
from modelstore.signature import MAX_CATEGORIES, Column, Datatype, Kind, Label, Signature, Target, Task


def infer_signature(
    table: Any, columns: Sequence[tuple[str, str]], *, target: str, task: Task, classes: Sequence[Any] | None = None
) -> Signature:
    """Describe each of `columns` (name, kind) of a table: a pandas DataFrame or a dict of columns.

    classes: the labels in the order of the probabilities (`pipeline.classes_`); None for a regression.
    """
    inputs = [_column(name, kind, values_of(table, name, kind)) for name, kind in columns]
    labels = None if classes is None else [label(one) for one in classes]
    return Signature(inputs=inputs, target=Target(name=target, task=task, classes=labels))


def kind_of(values: Any) -> Kind:
    """What the values of a raw column mean, from how they look: a pandas Series or a sequence."""
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if array.dtype.kind in "iuf":
        return "numeric"
    if array.dtype.kind in "bM":
        return "boolean" if array.dtype.kind == "b" else "datetime"
    known = [value for value in array.tolist() if value is not None and value == value and value != ""]  # noqa: PLR0124
    if known and all(isinstance(value, (bool, np.bool_)) or str(value).lower() in {"true", "false"} for value in known):
        return "boolean"
    if known and all(isinstance(value, (int, float)) for value in known):
        return "numeric"
    try:
        return "datetime" if known and np.isfinite(moments([str(value) for value in known])).all() else "categorical"
    except ValueError:
        return "categorical"


def label(value: Any) -> Label:
    """A label as plain Python: what JSON can say."""
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, (bool, int, float, str)) else str(plain)


def _column(name: str, kind: str, values: Any) -> Column:
    match kind:
        case "categorical":
            return _categorical(name, values)
        case "boolean":
            return _boolean(name, values)
        case "datetime":
            return _datetime(name, values)
        case _:
            return _numeric(name, values)


def _categorical(name: str, values: Any) -> Column:
    found, counts = np.unique(values[values != MISSING], return_counts=True)
    frequent = [str(found[i]) for i in np.argsort(-counts, kind="stable")]
    return Column(
        name=name, datatype="BYTES", kind="categorical", nullable=bool((values == MISSING).any()),
        categories=frequent if len(frequent) <= MAX_CATEGORIES else None, example=frequent[0] if frequent else None,
    )  # fmt: skip


def _boolean(name: str, values: Any) -> Column:
    known = values[np.isfinite(values)]
    return Column(
        name=name,
        datatype="BOOL",
        kind="boolean",
        nullable=len(known) < len(values),
        example=bool(known.size and np.median(known) >= 0.5),
    )


def _numeric(name: str, values: Any) -> Column:
    known = np.sort(values[np.isfinite(values)])
    if not known.size:
        return Column(name=name, datatype="FP64", kind="numeric")
    whole = bool((known == np.floor(known)).all()) and float(np.abs(known).max()) < 2**53
    datatype: Datatype = "INT64" if whole else "FP64"
    typical = float(known[len(known) // 2])
    return Column(
        name=name, datatype=datatype, kind="numeric", nullable=len(known) < len(values),
        minimum=float(known[0]), maximum=float(known[-1]), example=int(typical) if whole else typical,
    )  # fmt: skip


def _datetime(name: str, values: Any) -> Column:
    known = np.sort(values[np.isfinite(values)])
    if not known.size:
        return Column(name=name, datatype="BYTES", kind="datetime")
    first, typical, last = (_iso(known[i]) for i in (0, len(known) // 2, -1))
    return Column(
        name=name,
        datatype="BYTES",
        kind="datetime",
        nullable=len(known) < len(values),
        minimum=first,
        maximum=last,
        example=typical,
    )


def _iso(seconds: float) -> str:
    text = np.datetime_as_string(np.datetime64(round(seconds), "s"))
    return str(text).removesuffix("T00:00:00")
