"""One configuration on the folds: fit, predict, measure. The inner loop of screening and tuning."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training import metrics, racing
from training.estimators import build
from training.folds import Fold
from training.trials import Outcome, Trial


@dataclass(frozen=True, slots=True)
class Problem:
    """What all trials of a run have in common. Small: it goes to every worker."""

    task: str
    metric: str
    """The objective's."""
    maximize: bool
    also: tuple[str, ...]
    """Other metrics to measure."""
    seed: int
    classes: int
    """How many; 0 for a regression."""
    estimators: dict[str, tuple[str, dict[str, Any]]]
    """For each candidate its estimator and what it sets."""


def run(trial: Trial, problem: Problem, folds: Sequence[Fold]) -> Outcome:
    """Measure a trial fold by fold. Never raises for what the estimator does wrong: that is a failed trial, with its words."""
    begun = time.time()
    done: list[dict[str, float]] = []
    state, message = "Succeeded", ""
    try:
        for fold in folds:
            done.append(one(trial, problem, fold))
            if len(done) < len(folds) and _hopeless(trial, problem, done):
                state, message = "EarlyStopped", f"behind the best after {len(done)} of {len(folds)} folds"
                break
    except MemoryError:
        state, message, done = "Failed", "it ran out of memory", []
    except Exception as e:  # whatever an estimator may raise
        where = traceback.extract_tb(e.__traceback__)[-1]
        state, done = "Failed", []
        message = f"{type(e).__name__}: {e} ({where.filename.rpartition('/')[2]}:{where.lineno})"[:1000]
    return Outcome(
        trial.number, trial.name, trial.candidate, trial.parameters, state, metrics.mean(done), done, message, begun, time.time()  # type: ignore[arg-type]
    )  # fmt: skip


def warm(problem: Problem) -> None:
    """Import what the candidates need, before anything is timed."""
    for estimator, fixed in problem.estimators.values():
        build(estimator, fixed, task=problem.task, seed=problem.seed)


def one(trial: Trial, problem: Problem, fold: Fold) -> dict[str, float]:
    """The metrics of one fold. ValueError: the objective's metric cannot be measured."""
    estimator, fixed = problem.estimators[trial.candidate]
    model = build(estimator, {**fixed, **trial.parameters}, task=problem.task, seed=problem.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge shows in its score
        model.fit(fold.train_X, fold.train_y)
        wanted = (problem.metric, *problem.also)
        probabilities = _probabilities(model, problem, fold, wanted)
        found = metrics.measure(wanted, fold.test_y, model.predict(fold.test_X), probabilities, np.arange(problem.classes))
    if problem.metric not in found:
        raise ValueError(f"{problem.metric} cannot be measured of {estimator}: it gives no probabilities, or no finite number")
    return found


def _probabilities(model: Any, problem: Problem, fold: Fold, wanted: Sequence[str]) -> Any:
    """Rows × classes; columns of 0 for classes that this fold's training rows do not have."""
    if not metrics.NEED_PROBABILITIES.intersection(wanted) or not hasattr(model, "predict_proba"):
        return None
    full = np.zeros((len(fold.test_y), problem.classes))
    full[:, np.asarray(model.classes_, dtype=np.int64)] = model.predict_proba(fold.test_X)
    return full


def _hopeless(trial: Trial, problem: Problem, done: list[dict[str, float]]) -> bool:
    if trial.rival is None or trial.spread is None:
        return False
    scores = [fold[problem.metric] for fold in done]
    return racing.beaten(scores, trial.rival, trial.spread, maximize=problem.maximize)
