"""Estimators by name, from an allow-list, never an import path; and the set that `candidates: auto` stands for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from sklearn.utils import all_estimators

from specs.parameters import Candidate
from specs.suggest import did_you_mean
from training.errors import InvalidSpec

OTHERS = {
    "classification": {"XGBClassifier": "xgboost", "XGBRFClassifier": "xgboost", "LGBMClassifier": "lightgbm"},
    "regression": {"XGBRegressor": "xgboost", "XGBRFRegressor": "xgboost", "LGBMRegressor": "lightgbm"},
}
"""Named classes of other libraries, used where those are installed."""
_FIXED: dict[str, dict[str, Any]] = {
    "LogisticRegression": {"max_iter": 1000},
    "LGBMClassifier": {"verbose": -1},
    "LGBMRegressor": {"verbose": -1},
}
"""Settings that differ from the library's defaults, for good reason: enough steps to converge; no chatter."""
_OURS = ("random_state", "n_jobs", "verbose")


@cache
def allowed(task: str) -> dict[str, type]:
    """Name → class, for a task. Those that cannot be made without another estimator are not among them."""
    found = {
        name: cls for name, cls in all_estimators("classifier" if task == "classification" else "regressor") if _stands_alone(cls)
    }
    for name, library in OTHERS[task].items():
        try:
            found[name] = getattr(importlib.import_module(library), name)
        except (ImportError, OSError):  # not installed; or installed, and a system library that it needs is not
            continue
    return found


def _stands_alone(cls: type) -> bool:
    parameters = list(inspect.signature(cls).parameters.values())
    return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def check(candidate: Candidate, task: str) -> None:
    """InvalidSpec: there is no such estimator for the task, or it has no such parameter."""
    if candidate.estimator not in allowed(task):
        library = OTHERS[task].get(candidate.estimator)
        hint = f"; install {library}" if library else did_you_mean(candidate.estimator, allowed(task))
        raise InvalidSpec(f"cannot try candidate {candidate.name}: there is no estimator {candidate.estimator} for {task}{hint}")
    known = build(candidate.estimator, {}, task=task, seed=0).get_params()
    for name in [*(row.name for row in candidate.parameters), *(row.name for row in candidate.fixed)]:
        if name not in known or name in _OURS:
            why = "is set by anneal" if name in _OURS else f"is no parameter of {candidate.estimator}"
            hint = did_you_mean(name, known) if name not in known else ""
            raise InvalidSpec(f"cannot try candidate {candidate.name}: {name} {why}{hint or '; remove it'}")


def build(estimator: str, parameters: Mapping[str, Any], *, task: str, seed: int) -> Any:
    """The estimator with these parameters, one thread, and the seed where it takes one. InvalidSpec: it does not take them."""
    made = allowed(task)[estimator](**_FIXED.get(estimator, {}))
    known = made.get_params()
    ours: dict[str, Any] = {"random_state": seed} if "random_state" in known else {}
    if estimator in OTHERS[task]:  # None is one thread in scikit-learn, and all there are in these
        ours["n_jobs"] = 1
    if "warm_start" in known:
        ours["warm_start"] = False
    try:
        return made.set_params(**ours, **parameters)
    except (TypeError, ValueError) as e:
        raise InvalidSpec(f"cannot make {estimator}: {e}") from e


def fixed(candidate: Candidate) -> dict[str, Any]:
    """The parameters that a candidate sets and does not search."""
    return {row.name: plain(row.value) for row in candidate.fixed}


_WORDS = {"true": True, "false": False, "none": None, "null": None}


def plain(value: Any) -> Any:
    """What a scalar of a spec means to an estimator: Katib writes numbers and truth values as text."""
    if not isinstance(value, str):
        return value
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def automatic(task: str) -> list[Candidate]:
    """What `candidates: auto` stands for: a linear model, neighbours, forests and boosting."""
    classes = task == "classification"
    kind = "Classifier" if classes else "Regressor"
    leaves = _range("min_samples_leaf", "int", 1, 8)
    share = _range("max_features", "double", 0.3, 1.0)
    linear = (
        ("logistic", "LogisticRegression", _log("C", 0.01, 100)) if classes else ("ridge", "Ridge", _log("alpha", 0.001, 1000))
    )
    rows = [
        (linear[0], linear[1], [linear[2]]),
        ("neighbors", f"KNeighbors{kind}", [_range("n_neighbors", "int", 3, 25), _choice("weights", "uniform", "distance")]),
        ("forest", f"RandomForest{kind}", [share, leaves]),
        ("trees", f"ExtraTrees{kind}", [share, leaves]),
        (
            "boosting",
            f"HistGradientBoosting{kind}",
            [_log("learning_rate", 0.02, 0.3), _range("max_leaf_nodes", "int", 8, 64), _range("max_iter", "int", 50, 250)],
        ),
    ]
    return [Candidate.model_validate({"name": a, "estimator": b, "parameters": c}) for a, b, c in rows]


def _range(name: str, kind: str, low: float, high: float, distribution: str = "uniform") -> dict[str, Any]:
    space = {"min": low, "max": high, "distribution": distribution}
    return {"name": name, "parameterType": kind, "feasibleSpace": space}


def _log(name: str, low: float, high: float) -> dict[str, Any]:
    return _range(name, "double", low, high, "logUniform")


def _choice(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "parameterType": "categorical", "feasibleSpace": {"list": list(values)}}
