"""Tables, specs and runs for the tests of training."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from specs.experiment import ExperimentSpec
from training.files import read_json

ROOT = Path(__file__).resolve().parents[2]
PENGUINS = ROOT / "examples" / "quickstart" / "data" / "penguins.csv"
DIAMONDS = ROOT / "examples" / "diamonds" / "data" / "diamonds.csv"

LOGISTIC = {
    "name": "logistic",
    "estimator": "LogisticRegression",
    "parameters": [
        {"name": "C", "parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "100", "distribution": "logUniform"}}
    ],
}
TREE = {
    "name": "tree",
    "estimator": "DecisionTreeClassifier",
    "parameters": [
        {"name": "max_depth", "parameterType": "int", "feasibleSpace": {"min": 1, "max": 12}},
        {"name": "criterion", "parameterType": "categorical", "feasibleSpace": {"list": ["gini", "entropy"]}},
    ],
}


def written(**changes: Any) -> dict[str, Any]:
    """An Experiment's spec as a user writes it: penguins, two quick candidates."""
    base = {
        "datasetRef": {"name": "penguins"},
        "clusterRef": {"name": "penguins"},
        "seed": 42,
        "candidates": [LOGISTIC, TREE],
        "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
        "earlyStopping": {"algorithmName": "racing"},
        "maxTrialCount": 8,
        "evaluation": {"folds": 3},
    }
    return {**base, **changes}


def spec(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate_json(json.dumps(written(**changes)))


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make the folder of a run: spec.json, as the daemon writes it."""

    def make(name: str = "run", ray: Any = None, table: Path = PENGUINS, target: str = "species", **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        request = {
            "experiment": written(**changes),
            "dataset": {"path": str(table), "digest": "sha256:" + "0" * 64, "target": target, "types": {}, "columns": []},
            "ray": ray,
            "store": str(tmp_path / "models"),
            "uid": "u-1",
            "name": "penguins",
        }
        (folder / "spec.json").write_text(json.dumps(request))
        return folder

    return make


def trials(folder: Path) -> list[dict[str, Any]]:
    """The finished trials on disk, without the head."""
    path = folder / "trials.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()[1:]] if path.exists() else []


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(folder / "result.json")
    return found
