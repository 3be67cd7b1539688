"""From columns to features: the first two steps of the pipeline, fitted once per fold, and what to tell of them."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from modelstore.transformers import Prepare, Select
from specs.experiment import Features
from training.data import Data
from training.errors import InvalidData


def preparation(data: Data, features: Features, seed: int) -> Pipeline:
    """Raw table → matrix of the chosen features; not fitted yet."""
    prepare = Prepare(data.columns, task=data.task, max_categories=features.high_cardinality - 1, seed=seed)
    selection = features.selection
    select = Select(selection.method, selection.max_features, task=data.task, seed=seed)
    return Pipeline([("prepare", prepare), ("select", select)])


def report(fitted: Pipeline) -> list[dict[str, Any]]:
    """Name, score (None where nothing was scored) and choice of each feature, best first."""
    select, names = fitted["select"], fitted["prepare"].get_feature_names_out()
    chosen = set(select.indices_.tolist())
    scored = select.method != "none"
    rows = [
        {"name": str(name), "score": float(select.scores_[i]) if scored else None, "chosen": i in chosen}
        for i, name in enumerate(names)
    ]
    return sorted(rows, key=lambda row: -(row["score"] or 0.0))


def dropped(fitted: Pipeline) -> dict[str, str]:
    """Columns that were left out, and why: constant, unique, empty."""
    return dict(fitted["prepare"].dropped_)


def fit(pipeline: Pipeline, data: Data) -> None:
    """Fit on all training rows. InvalidData: no column says anything."""
    prepare = pipeline["prepare"]
    matrix = prepare.fit_transform(data.train.inputs, data.train.target)
    if not matrix.shape[1]:
        why = ", ".join(f"{name} is {reason}" for name, reason in dropped(pipeline).items())
        raise InvalidData(f"cannot extract features: no column says anything ({why}); give it other columns")
    pipeline["select"].fit(matrix, data.train.target)
