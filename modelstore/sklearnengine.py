"""A model in scikit-learn: where there is no ONNX form of it, or none that agrees."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelstore.columns import READERS
from modelstore.predictor import Columns, Prediction, plain_labels
from modelstore.signature import Signature


class SklearnModel:
    """Runs a fitted estimator: one of ours (it takes the raw columns), or anybody's (it takes a table or a matrix)."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self.estimator = estimator
        self._kinds = signature.kinds()
        self._classes = signature.target.classes
        self._probabilities = self._classes is not None and hasattr(estimator, "predict_proba")
        self._named = getattr(estimator, "feature_names_in_", None) is not None
        steps = getattr(estimator, "steps", [("", None)])
        self._ours = type(steps[0][1]).__name__ == "Prepare"

    def run(self, columns: Columns) -> Prediction:
        """Predict."""
        rows = len(next(iter(columns.values()), []))
        for name, _ in self._kinds:
            if name not in columns:
                raise ValueError(f"cannot predict: column {name!r} is missing")
            if len(columns[name]) != rows:
                raise ValueError(f"cannot predict: column {name!r} is not a list of {rows} values, as the first column is")
        if rows == 0:
            return Prediction([], [] if self._probabilities else None)
        table = columns if self._ours else self._table(columns)
        labels = np.asarray(self.estimator.predict(table)).ravel().tolist()
        chances = self.estimator.predict_proba(table).tolist() if self._probabilities else None
        return Prediction(plain_labels(labels, self._classes), chances)

    def _table(self, columns: Columns) -> Any:
        read = {name: READERS[kind](columns[name]) for name, kind in self._kinds}
        if self._named:
            import pandas as pd

            return pd.DataFrame(read)
        return np.column_stack(list(read.values()))
