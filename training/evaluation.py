"""How good the model is on rows that no training saw: metrics, where it errs, and what it looks at."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance
from sklearn.metrics import confusion_matrix

from training.data import Data, Rows
from training.metrics import METRICS, measure

MAX_CLASSES = 100
"""A confusion matrix of more classes says nothing to a person."""
MAX_POINTS = 500
IMPORTANCE_ROWS, IMPORTANCE_REPEATS = 1000, 5
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def metrics_on(pipeline: Any, rows: Rows, task: str) -> dict[str, float]:
    """All metrics of the task that the model allows."""
    classes = getattr(pipeline, "classes_", None)
    known = rows.target if classes is None else rows.target[np.isin(rows.target, classes)]
    probabilities = pipeline.predict_proba(rows.inputs) if classes is not None and hasattr(pipeline, "predict_proba") else None
    if probabilities is not None and len(known) < len(rows):
        probabilities = None  # a class that training never saw has no probability to be measured
    return measure(METRICS[task], rows.target, pipeline.predict(rows.inputs), probabilities, classes)


def errors_on(pipeline: Any, rows: Rows, data: Data) -> dict[str, Any]:
    """A classification's confusionMatrix {labels, matrix: rows are the truth}; a regression's residuals.

    residuals: quantiles of truth minus prediction, and up to 500 pairs of the two, evenly over the rows.
    """
    predicted = pipeline.predict(rows.inputs)
    if data.classes is not None:
        if len(data.classes) > MAX_CLASSES:
            return {}
        labels = data.classes.tolist()
        return {
            "confusionMatrix": {
                "labels": labels,
                "matrix": confusion_matrix(rows.target, predicted, labels=data.classes).tolist(),
            }
        }
    off: NDArray[np.float64] = rows.target - predicted
    some = np.linspace(0, len(rows) - 1, min(len(rows), MAX_POINTS)).astype(np.int64)
    quantiles = {f"{share:.2f}": float(value) for share, value in zip(QUANTILES, np.quantile(off, QUANTILES), strict=True)}
    return {"residuals": {"quantiles": quantiles, "actual": rows.target[some].tolist(), "predicted": predicted[some].tolist()}}


def importances(pipeline: Any, rows: Rows, data: Data, *, metric: str, maximize: bool, seed: int) -> list[dict[str, Any]]:
    """What the objective's metric loses when a column's values are shuffled: name, mean, std; the most important first."""
    some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:IMPORTANCE_ROWS])
    inputs, target = rows.inputs.iloc[some], rows.target[some]

    def score(model: Any, X: Any, y: Any) -> float:
        found = metrics_on(model, Rows(X, y), data.task)
        return found.get(metric, 0.0) * (1.0 if maximize else -1.0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = permutation_importance(pipeline, inputs, target, scoring=score, n_repeats=IMPORTANCE_REPEATS, random_state=seed)
    rows_ = zip(inputs.columns, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    return sorted(({"name": str(a), "mean": b, "std": c} for a, b, c in rows_), key=lambda row: -row["mean"])
