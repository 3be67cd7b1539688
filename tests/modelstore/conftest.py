from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from modelstore import Packaged, Signature, infer_signature, package, reference
from modelstore.inference import kind_of
from modelstore.transformers import Prepare, Select

PENGUINS = Path(__file__).parents[2] / "examples" / "quickstart" / "data" / "penguins.csv"
DIAMONDS = Path(__file__).parents[2] / "examples" / "diamonds" / "data" / "diamonds.csv"

Table = dict[str, list[Any]]


def read(path: Path, rows: int | None = None) -> Table:
    """A CSV file as a dict of columns: numbers as floats, None for what is missing."""
    with path.open(newline="") as file:
        records = list(csv.DictReader(file))
    if rows is not None:
        records = [records[i] for i in np.random.default_rng(0).permutation(len(records))[:rows]]
    return {name: [_value(record[name]) for record in records] for name in records[0]}


def _value(text: str) -> Any:
    if text in ("", "NA"):
        return None
    try:
        return float(text)
    except ValueError:
        return text


def split(table: Table, target: str) -> tuple[Table, list[Any]]:
    """Inputs, and the target."""
    return {name: values for name, values in table.items() if name != target}, table[target]


def kinds(table: Table) -> list[tuple[str, str]]:
    return [(name, kind_of(np.array(values, dtype=object))) for name, values in table.items()]


class Made:
    """A fitted pipeline with all that a package needs."""

    def __init__(self, estimator: Any, table: Table, target: str, task: str = "classification", selection: str = "none") -> None:
        self.rows, self.target = split(table, target)
        self.kinds = kinds(self.rows)
        steps = [("prepare", Prepare(self.kinds, task=task)), ("select", Select(selection, task=task)), ("model", estimator)]
        self.pipeline = Pipeline(steps).fit(self.rows, np.array(self.target))
        classes = self.pipeline.classes_ if task == "classification" else None
        self.signature: Signature = infer_signature(self.rows, self.kinds, target=target, task=task, classes=classes)

    def package(self, folder: Path, **changed: Any) -> Packaged:
        rest: dict[str, Any] = {
            "pipeline": self.pipeline,
            "signature": self.signature,
            "golden_rows": {name: values[:20] for name, values in self.rows.items()},
            "reference": reference(self.rows, self.signature, self.target),
            "metadata": {"metrics": {"accuracy": 0.9}},
            "perturb_rows": self.rows,
        }
        return package(folder, **(rest | changed))


@pytest.fixture(scope="session")
def penguins() -> Table:
    return read(PENGUINS)


@pytest.fixture(scope="session")
def diamonds() -> Table:
    return read(DIAMONDS, 800)


@pytest.fixture(scope="session")
def logistic(penguins: Table) -> Made:
    return Made(LogisticRegression(max_iter=1000), penguins, "species")


@pytest.fixture(scope="session")
def packaged(logistic: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a logistic regression on the penguins. Look only."""
    folder = tmp_path_factory.mktemp("packages") / "logistic"
    assert logistic.package(folder).onnx
    return folder
