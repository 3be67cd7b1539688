"""Golden rows: a few inputs and what the model answered when it was packaged. Preflight asks for them before traffic comes."""

from __future__ import annotations

import math
from typing import Any, Final

from modelstore.predictor import Columns, Prediction

DIGITS: Final = 6
"""Of probabilities and numbers as they are kept: the last bits differ between machines, and the digest must not."""
TOLERANCE: Final = 1e-4
"""Of probabilities, absolutely; of numbers, relatively."""


def golden(columns: Columns, answers: Prediction) -> dict[str, Any]:
    """What golden.json holds."""
    chances = answers.probabilities
    return {
        "inputs": {name: list(values) for name, values in columns.items()},
        "outputs": {
            "labels": [_rounded(label) for label in answers.labels],
            "probabilities": None if chances is None else [[round(chance, DIGITS) for chance in row] for row in chances],
        },
    }


def wrong(recorded: dict[str, Any], answers: Prediction) -> list[int]:
    """Indices of the rows that are answered otherwise than recorded."""
    labels, chances = recorded["outputs"]["labels"], recorded["outputs"]["probabilities"]
    bad = {i for i, (want, got) in enumerate(zip(labels, answers.labels, strict=True)) if not _same(want, got)}
    if (chances is None) != (answers.probabilities is None):
        return list(range(len(labels)))
    for i, (want, got) in enumerate(zip(chances or (), answers.probabilities or (), strict=True)):
        if len(want) != len(got) or any(not math.isclose(a, b, abs_tol=TOLERANCE) for a, b in zip(want, got, strict=True)):
            bad.add(i)
    return sorted(bad)


def _rounded(label: Any) -> Any:
    return float(f"{label:.{DIGITS}g}") if isinstance(label, float) else label


def _same(want: Any, got: Any) -> bool:
    if isinstance(want, float) or (isinstance(got, float) and not isinstance(want, (str, bool))):
        return isinstance(got, (int, float)) and math.isclose(want, got, rel_tol=TOLERANCE, abs_tol=1e-9)
    return type(want) is type(got) and want == got
