"""Scores of features: how much each says about the target."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.feature_selection import f_classif, f_regression, mutual_info_classif, mutual_info_regression

from modelstore.columns import Floats

METHODS = ("mutualInformation", "fTest", "modelBased", "none")


def scores(X: Floats, y: Any, method: str, task: str, seed: int) -> Floats:
    """One score per column, higher says more; zeros for "none". Constant columns score 0."""
    classes = task == "classification"
    match method:
        case "none":
            found = np.zeros(X.shape[1])
        case "mutualInformation":
            yes_or_no = np.array([bool(np.isin(column, (0.0, 1.0)).all()) for column in X.T])
            found = (mutual_info_classif if classes else mutual_info_regression)(
                X, y, discrete_features=yes_or_no, random_state=seed
            )
        case "fTest":
            varying = np.ptp(X, axis=0) > 0
            found = np.zeros(X.shape[1])
            if varying.any():
                found[varying] = (f_classif if classes else f_regression)(X[:, varying], y)[0]
        case "modelBased":
            model = (ExtraTreesClassifier if classes else ExtraTreesRegressor)(
                n_estimators=100, min_samples_leaf=2, random_state=seed
            )
            found = model.fit(X, y).feature_importances_
        case _:
            raise ValueError(f"cannot select features by {method!r}: unknown method; use one of {', '.join(METHODS)}")
    return np.nan_to_num(np.asarray(found, dtype=np.float64), nan=0.0, posinf=np.finfo(np.float64).max)
