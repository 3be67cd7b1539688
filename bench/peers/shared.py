"""What the peers have in common: the model of $MODEL, and the answer to some rows. Runs in their environments, not in ours."""

import os
from typing import Any

import pandas as pd
import skops.io


def load() -> Any:
    """The scikit-learn pipeline of the skops file $MODEL."""
    return skops.io.load(os.environ["MODEL"], trusted=skops.io.get_untrusted_types(file=os.environ["MODEL"]))


def answer(model: Any, rows: list[dict[str, float]]) -> dict[str, Any]:
    """A label and the probability of each class, for each row."""
    shares = model.predict_proba(pd.DataFrame(rows, columns=model.feature_names_in_))
    labels = model.classes_[shares.argmax(axis=1)].tolist()
    return {
        "predictions": [{"prediction": one, "probabilities": share} for one, share in zip(labels, shares.tolist(), strict=True)]
    }
