"""Does the ONNX form answer as the pipeline does? Row by row, also on rows that were changed: nudged, with holes, unseen.

Rows that both were made of prove little: thresholds of trees lie on the table's own values, encoders know its categories.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelstore.columns import MISSING, length_of, values_of
from modelstore.errors import one_line
from modelstore.predictor import Columns, Prediction, Runs

VARIANTS: Final = 5_000
"""Rows of each kind of changed row."""
TOLERANCE: Final = {"double": 1e-9, "single": 1e-5}
"""Largest difference that is taken for rounding: of probabilities absolutely, of numbers relative to their spread."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the comparison found."""

    rows: int
    """Compared."""
    worst: float
    """The largest difference of a probability, or of a number relative to the spread of the numbers."""
    fault: str | None
    """The first kind of row that is answered differently, and how many are; None: they agree."""


def plain(table: Any, kinds: Sequence[tuple[str, str]], rows: Any = None) -> dict[str, list[Any]]:
    """Columns as canonical plain values: None is missing, moments are seconds. rows: indices, None for all."""
    taken = slice(None) if rows is None else rows
    found = {}
    for name, kind in kinds:
        values = values_of(table, name, kind)[taken]
        missing = values == MISSING if kind == "categorical" else ~np.isfinite(values)
        found[name] = [None if gone else value for value, gone in zip(values.tolist(), missing.tolist(), strict=True)]
    return found


def variants(table: Any, kinds: Sequence[tuple[str, str]], seed: int = 0) -> dict[str, dict[str, list[Any]]]:
    """The table itself ("given"), and three that were made of it: "perturbed", "missing", "unseen"."""
    count = length_of(table)
    some = np.linspace(0, count - 1, min(count, VARIANTS)).astype(np.int64) if count else np.zeros(0, dtype=np.int64)
    random = np.random.default_rng(seed)
    made: dict[str, dict[str, list[Any]]] = {"given": plain(table, kinds), "perturbed": {}, "missing": {}, "unseen": {}}
    for (name, kind), values in zip(kinds, plain(table, kinds, some).values(), strict=True):
        holes = random.random(len(some)) < 0.2
        holes[:1] = True  # one row has nothing at all
        made["missing"][name] = [None if hole else value for value, hole in zip(values, holes, strict=True)]
        if kind == "categorical":
            made["perturbed"][name] = random.permutation(np.array(values, dtype=object)).tolist()
            strange = random.random(len(some)) < 0.3
            made["unseen"][name] = [
                f"unseen {i}" if odd else value for i, (value, odd) in enumerate(zip(values, strange, strict=True))
            ]
        elif kind == "boolean":
            made["perturbed"][name] = random.permutation(np.array(values, dtype=object)).tolist()
            made["unseen"][name] = values
        else:
            numbers = np.array([math.nan if value is None else value for value in values])
            spread = float(np.nanstd(numbers)) if np.isfinite(numbers).any() else 1.0
            made["perturbed"][name] = _plain(numbers + random.normal(0.0, 0.01, len(some)) * spread)
            made["unseen"][name] = _plain(numbers + random.normal(0.0, 10.0, len(some)) * spread)
    return made


def compare(reference: Runs, candidate: Runs, tables: dict[str, Columns], tolerance: float) -> Agreement:
    """Ask both, and stop at the first kind of row on which they differ. What the reference itself refuses is left out."""
    rows, worst = 0, 0.0
    for kind, columns in tables.items():
        try:
            want = reference.run(columns)
        except ValueError:
            continue
        try:
            got = candidate.run(columns)
        except Exception as e:  # onnxruntime's errors have no common base
            return Agreement(rows, worst, f"it fails on {kind} rows ({type(e).__name__}: {one_line(e, 120)})")
        different, difference = _differences(want, got, tolerance)
        rows, worst = rows + len(want.labels), max(worst, difference)
        if different:
            return Agreement(
                rows, worst, f"{different} of {len(want.labels)} {kind} rows are answered differently, by up to {difference:.1g}"
            )
    return Agreement(rows, worst, None)


def _differences(want: Prediction, got: Prediction, tolerance: float) -> tuple[int, float]:
    if len(want.labels) != len(got.labels) or (want.probabilities is None) != (got.probabilities is None):
        return len(want.labels), math.inf
    if not want.labels:
        return 0, 0.0
    if want.probabilities is None and isinstance(want.labels[0], float):
        return _numbers(np.array(want.labels), np.array(got.labels), tolerance)
    other = np.array([a != b for a, b in zip(want.labels, got.labels, strict=True)])
    difference = 0.0
    if want.probabilities is not None and got.probabilities is not None:
        apart = np.abs(np.array(want.probabilities) - np.array(got.probabilities)).max(axis=1)
        other |= ~(apart <= tolerance)
        difference = float(np.nan_to_num(apart, nan=1.0).max())
    return int(other.sum()), difference


def _numbers(want: Any, got: Any, tolerance: float) -> tuple[int, float]:
    finite = np.isfinite(want)
    scale = max(float(np.std(want[finite])), float(np.abs(want[finite]).mean()), 1e-12) if finite.any() else 1.0
    apart = np.where(finite, np.abs(want - got) / np.maximum(scale, np.abs(want)), np.where(np.isfinite(got), np.inf, 0.0))
    apart = np.nan_to_num(apart, nan=np.inf, posinf=np.inf)
    return int((apart > tolerance).sum()), float(apart.max())


def _plain(numbers: Any) -> list[float | None]:
    return [None if math.isnan(value) else value for value in numbers.tolist()]
