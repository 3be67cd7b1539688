"""Reference distributions: what the training rows looked like, so that serving can say when requests look otherwise.

    {"rows": 344, "columns": {
        "bill_length_mm": {"kind": "numeric", "missing": 0.006, "mean": …, "std": …, "edges": [e1 … e9], "shares": [s0 … s9]},
        "island": {"kind": "categorical", "missing": 0.0, "categories": ["Biscoe", …], "shares": […, share of all others]}},
     "target": {…, the same}}

Numbers fall into the bins between `edges` (bin i holds e_i < x ≤ e_i+1; the first and the last are open). Shares are of what is
not missing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from modelstore.columns import MISSING, length_of, texts, values_of
from modelstore.signature import Signature

BINS: Final = 10
CATEGORIES: Final = 30


def reference(table: Any, signature: Signature, target: Any = None) -> dict[str, Any]:
    """Describe the training rows: a pandas DataFrame or a dict of columns; target: the values of the target, if known."""
    found: dict[str, Any] = {
        "rows": length_of(table),
        "columns": {name: _describe(values_of(table, name, kind), kind) for name, kind in signature.kinds()},
    }
    if target is not None:
        numeric = signature.target.task == "regression"
        values = np.asarray(target, dtype=np.float64) if numeric else texts([str(value) for value in np.asarray(target).tolist()])
        found["target"] = _describe(values, "numeric" if numeric else "categorical")
    return found


def _describe(values: Any, kind: str) -> dict[str, Any]:
    return _categories(values) if kind == "categorical" else _numbers(values, kind)


def _categories(values: Any) -> dict[str, Any]:
    known = values[values != MISSING]
    found, counts = np.unique(known, return_counts=True)
    first = np.argsort(-counts, kind="stable")[:CATEGORIES]
    others = len(known) - int(counts[first].sum())
    return {
        "kind": "categorical",
        "missing": _share(len(values) - len(known), len(values)),
        "categories": [str(found[i]) for i in first],
        "shares": [_share(count, len(known)) for count in (*counts[first], others)],
    }


def _numbers(values: Any, kind: str) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    missing = _share(len(values) - len(known), len(values))
    if not len(known):
        return {"kind": kind, "missing": missing, "mean": None, "std": None, "edges": [], "shares": [0.0]}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return {
        "kind": kind,
        "missing": missing,
        "mean": float(known.mean()),
        "std": float(known.std()),
        "edges": edges.tolist(),
        "shares": [_share(count, len(known)) for count in counts],
    }


def _share(part: int, whole: int) -> float:
    return round(float(part) / whole, 6) if whole else 0.0
