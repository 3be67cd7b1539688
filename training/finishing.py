"""From the best trial to a package in the store: refit, judged on held-out rows, with its origins written down."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

import modelstore
from modelstore import inference
from specs.experiment import ExperimentSpec
from training import evaluation, features
from training.data import Data
from training.estimators import build
from training.measuring import Problem
from training.trials import Outcome

GOLDEN_ROWS = 20
COMPARED_ROWS = 4000
"""Rows that ONNX is compared on: all that are held out, and as many training rows, up to this."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the held-out rows say of a model."""

    metrics: dict[str, float]
    errors: dict[str, Any]
    importances: list[dict[str, Any]]


def refit(prepared: Pipeline, best: Outcome, problem: Problem, data: Data) -> Pipeline:
    """The whole pipeline on all training rows. `prepared`: its first two steps, fitted already on the same rows."""
    estimator, fixed = problem.estimators[best.candidate]
    model = build(estimator, {**fixed, **best.parameters}, task=data.task, seed=problem.seed)
    fitted = Pipeline([*prepared.steps, ("model", model)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge shows in the score
        fitted.fit(data.train.inputs, data.train.target)
    return fitted


def judge(pipeline: Pipeline, data: Data, spec: ExperimentSpec) -> Judged:
    """Measure it on the held-out rows."""
    rows, objective = data.held_out, spec.objective
    maximize = objective.type == "maximize"
    return Judged(
        evaluation.metrics_on(pipeline, rows, data.task),
        evaluation.errors_on(pipeline, rows, data),
        evaluation.importances(pipeline, rows, data, metric=objective.objective_metric_name, maximize=maximize, seed=spec.seed),
    )


def package(
    pipeline: Pipeline, best: Outcome, judged: Judged, problem: Problem, data: Data, store: str, lineage: Mapping[str, Any]
) -> tuple[str, str]:
    """Put the model into the store; its digest, and a note on its ONNX form."""
    classes = None if data.classes is None else pipeline.classes_
    signature = inference.infer_signature(data.train.inputs, data.columns, target=data.target, task=data.task, classes=classes)
    metadata = {
        "candidate": best.candidate,
        "estimator": problem.estimators[best.candidate][0],
        "parameters": {**problem.estimators[best.candidate][1], **best.parameters},
        "metrics": judged.metrics,
        "crossValidation": {"metrics": best.metrics, "folds": best.folds},
        "rows": {"training": len(data.train), "heldOut": len(data.held_out), "withoutTarget": data.without_target},
        "features": features.report(pipeline),
        "dropped": features.dropped(pipeline),
        "importances": judged.importances,
        **judged.errors,
        "lineage": dict(lineage),
    }
    compared = pd.concat([data.held_out.inputs.head(COMPARED_ROWS), data.train.inputs.head(COMPARED_ROWS)], ignore_index=True)
    with tempfile.TemporaryDirectory(prefix="anneal-package-") as folder:
        packaged = modelstore.package(
            Path(folder) / "model", pipeline=pipeline, signature=signature, golden_rows=data.held_out.inputs.head(GOLDEN_ROWS),
            reference=modelstore.reference(data.train.inputs, signature, data.train.target), metadata=metadata,
            perturb_rows=compared,
        )  # fmt: skip
        return modelstore.Store(store).put(Path(folder) / "model"), packaged.note
