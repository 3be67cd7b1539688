"""How good predictions are: scikit-learn's metrics by the names that specs use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

METRICS: Final[dict[str, tuple[str, ...]]] = {
    "classification": ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss"),
    "regression": ("rmse", "mae", "r2", "mape"),
}
NEED_PROBABILITIES: Final = frozenset({"roc_auc", "log_loss"})

_PLAIN: Final[dict[str, Callable[[Any, Any], float]]] = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": lambda y, p: float(np.mean(sk.recall_score(y, p, average=None, labels=np.unique(y), zero_division=0))),
    "f1_macro": lambda y, p: sk.f1_score(y, p, average="macro", zero_division=0),
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "mape": sk.mean_absolute_percentage_error,
}


def measure(
    names: Collection[str],
    y: NDArray[Any],
    predicted: NDArray[Any],
    probabilities: NDArray[np.float64] | None,
    classes: Any = None,
) -> dict[str, float]:
    """The metrics of `names` that can be had, by name; finite numbers only.

    y, predicted: labels or numbers, one per row. probabilities: rows × classes in the order of `classes`, or None where the
    model has none: then roc_auc and log_loss are left out. So is roc_auc where a class is missing from y.
    """
    found = {}
    for name in names:
        value = _probable(name, y, probabilities, classes) if name in NEED_PROBABILITIES else float(_PLAIN[name](y, predicted))
        if value is not None and np.isfinite(value):
            found[name] = value
    return found


def _probable(name: str, y: NDArray[Any], probabilities: NDArray[np.float64] | None, classes: Any) -> float | None:
    if probabilities is None:
        return None
    if name == "log_loss":
        return float(sk.log_loss(y, probabilities, labels=classes))
    if len(np.unique(y)) < len(classes):
        return None
    if len(classes) == 2:
        return float(sk.roc_auc_score(y, probabilities[:, 1]))
    return float(sk.roc_auc_score(y, probabilities, multi_class="ovr", average="macro", labels=classes))


def mean(folds: list[Mapping[str, float]]) -> dict[str, float]:
    """Means over folds, of the metrics that every fold has."""
    if not folds:
        return {}
    names = [name for name in folds[0] if all(name in fold for fold in folds)]
    return {name: float(np.mean([fold[name] for fold in folds])) for name in names}
