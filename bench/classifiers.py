"""Two classifiers of scikit-learn's breast cancer table (569 rows, 30 numbers): a logistic pipeline and a forest of 100 trees.

Each is fitted once and written twice: as a package, as an Experiment's job writes it, and as a plain scikit-learn pipeline in a
skops file for those that anneal is compared with. Both are the same fitted estimator behind the same standardisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("logistic", "forest")


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model in both forms, and what to ask it."""

    name: str
    digest: str
    """Of the package in the store."""
    plain: Path
    """The skops file, fitted on a table with names, as one does."""
    lean: Path
    """The same, fitted on a matrix without."""
    columns: list[str]
    rows: list[dict[str, float]]
    """Rows to ask for."""
    answers: list[Any]
    """What the plain pipeline says of them: probabilities by class."""


def make(name: str, folder: Path, store: Path) -> Classifier:
    """Fit it, and write both forms."""
    import skops.io
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler

    from modelstore import Store, infer_signature, package, reference
    from modelstore.transformers import Prepare

    data = load_breast_cancer(as_frame=True)
    table, target = data.data, data.target_names[data.target].astype(object)
    kinds = [(column, "numeric") for column in table.columns]
    estimator = LogisticRegression(max_iter=1000) if name == "logistic" else RandomForestClassifier(100, random_state=0)
    pipeline = Pipeline([("prepare", Prepare(kinds)), ("model", estimator)]).fit(table, target)
    plain = make_pipeline(StandardScaler().fit(table), estimator)
    lean = make_pipeline(StandardScaler().fit(table.to_numpy()), estimator)

    signature = infer_signature(table, kinds, target="diagnosis", task="classification", classes=pipeline.classes_)
    packaged = package(
        folder / name, pipeline=pipeline, signature=signature, golden_rows=table, reference=reference(table, signature, target),
        metadata={}, perturb_rows=table,
    )  # fmt: skip
    if not packaged.onnx:
        raise RuntimeError(f"cannot compare: {packaged.note}")
    Store(store).put(folder / name)
    skops.io.dump(plain, folder / f"{name}.skops")
    skops.io.dump(lean, folder / f"{name}-lean.skops")
    chosen = table.iloc[:: len(table) // 64].head(64)
    return Classifier(
        name, packaged.digest, folder / f"{name}.skops", folder / f"{name}-lean.skops", list(table.columns),
        chosen.to_dict("records"), plain.predict_proba(chosen).tolist(),
    )  # fmt: skip


def agree(model: Classifier, answers: list[list[float]]) -> None:
    """Raise if a server answers otherwise than scikit-learn does here."""
    if not np.allclose(answers, model.answers[: len(answers)], atol=1e-6):
        raise RuntimeError(f"cannot compare: the servers of {model.name} answer differently")
