"""Estimators, metrics, trials: what is measured, and what is said when it cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.pipeline import Pipeline

from specs.parameters import Candidate
from tests.training.conftest import PENGUINS, spec
from training import evaluation, features, folds, metrics
from training.data import Rows, load
from training.errors import InvalidData, InvalidSpec
from training.estimators import allowed, automatic, build, check, plain
from training.measuring import Problem, run
from training.trials import Trial


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_automatic_candidates_are_allowed(task: str) -> None:
    """`candidates: auto` names estimators and parameters that there are, for either task."""
    found = automatic(task)
    assert len({candidate.name for candidate in found}) == len(found) >= 4
    for candidate in found:
        check(candidate, task)


@pytest.mark.filterwarnings("ignore:Class PassiveAggressive:FutureWarning")
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_allow_list_holds_what_stands_alone(task: str) -> None:
    """Estimators of the task that can be made by name; none that wants another estimator, and nothing of the other task."""
    names = allowed(task)
    assert not {"StackingClassifier", "VotingRegressor", "ClassifierChain", "Pipeline", "FunctionTransformer"} & names.keys()
    assert ("Ridge" in names) == (task == "regression")
    for name in names:
        made = build(name, {}, task=task, seed=7)
        assert made.get_params().get("random_state", 7) == 7
        assert made.get_params().get("n_jobs") in (None, 1)


@pytest.mark.parametrize("path", ["sklearn.svm.SVC", "os.system", "sklearn.svm:SVC", "__import__", "../SVC", "SVC()", ""])
def test_an_import_path_is_no_name(path: str) -> None:
    """It does not even pass as a spec: nothing is ever imported because somebody wrote it there."""
    with pytest.raises(ValidationError, match="estimator"):
        Candidate.model_validate({"name": "x", "estimator": path})


@pytest.mark.parametrize(("name", "task"), [("LGBMClassifier", "classification"), ("LGBMRegressor", "regression")])
def test_lightgbm_is_on_the_list_where_it_is_installed(name: str, task: str) -> None:
    """By the name of its class, with one thread, the seed of the run, and no chatter."""
    made = build(name, {"num_leaves": 7}, task=task, seed=5)
    assert type(made).__module__ == "lightgbm.sklearn"
    found = made.get_params()
    assert (found["n_jobs"], found["random_state"], found["verbose"], found["num_leaves"]) == (1, 5, -1, 7)
    assert name not in allowed("regression" if task == "classification" else "classification")


@pytest.mark.parametrize("name", ["random_state", "n_jobs"])
def test_what_is_ours_to_set_cannot_be_searched(name: str) -> None:
    """The seed and the threads are the run's."""
    row = {"name": "f", "estimator": "RandomForestClassifier", "fixed": [{"name": name, "value": 1}]}
    with pytest.raises(InvalidSpec, match="set by anneal"):
        check(Candidate.model_validate(row), "classification")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("3", 3), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("False", False), ("None", None), ("sqrt", "sqrt"), (2, 2)],
)  # fmt: skip
def test_katib_writes_everything_as_text(written: object, meant: object) -> None:
    """What an estimator gets is what was meant."""
    found = plain(written)
    assert found == meant
    assert type(found) is type(meant)


def test_metrics_are_scikit_learn_s() -> None:
    """By the names that specs use; what cannot be had is left out."""
    y, chances = np.array([0, 1, 2, 1]), np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.5, 0.4], [0.0, 0.9, 0.1]])
    found = metrics.measure(metrics.METRICS["classification"], y, chances.argmax(axis=1), chances, np.arange(3))
    assert found.keys() == set(metrics.METRICS["classification"])
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx(2 / 3)
    without = metrics.measure(metrics.METRICS["classification"], y, chances.argmax(axis=1), None, np.arange(3))
    assert without.keys() == {"accuracy", "balanced_accuracy", "f1_macro"}
    one_class = metrics.measure(["roc_auc", "log_loss"], y[:1], chances.argmax(axis=1)[:1], chances[:1], np.arange(3))
    assert one_class.keys() == {"log_loss"}
    numbers = metrics.measure(metrics.METRICS["regression"], np.array([1.0, 3.0]), np.array([2.0, 3.0]), None)
    assert (numbers["mae"], numbers["rmse"], numbers["mape"]) == (0.5, pytest.approx(0.5**0.5), 0.5)


@pytest.mark.parametrize(
    ("estimator", "parameters", "words"),
    [
        ("SVC", {"C": -1.0}, "'C' parameter"),
        ("RidgeClassifier", {}, "log_loss cannot be measured"),
        ("MultinomialNB", {}, "Negative values"),
    ],
)
def test_a_trial_that_fails_says_why(estimator: str, parameters: dict[str, float], words: str) -> None:
    """Whatever an estimator raises is a failed trial, in the estimator's words."""
    data = load(PENGUINS, target="species")
    problem = Problem("classification", "log_loss", False, (), 0, 3, {"one": (estimator, {})})
    outcome = run(Trial(1, "one", parameters), problem, folds.make(data, spec()))
    assert outcome.state == "Failed"
    assert words in outcome.message
    assert outcome.folds == []


def test_folds_learn_nothing_from_the_rows_that_judge() -> None:
    """Each fold is prepared from its own training rows: a value that stands in a judging row alone leaves no trace."""
    data = load(PENGUINS, target="species")
    prepared = folds.make(data, spec())
    inputs = data.train.inputs.copy()
    assert len(prepared) == 3
    assert sum(len(fold.test_y) for fold in prepared) == len(inputs)
    for fold in prepared:
        assert fold.train_X.shape[1] == fold.test_X.shape[1]
        assert len(fold.train_y) + len(fold.test_y) == len(inputs)
        assert np.allclose(fold.train_X.mean(axis=0)[:4], 0, atol=1e-9)
        assert not np.allclose(fold.test_X.mean(axis=0)[:4], 0, atol=1e-9)


def test_a_class_that_training_never_saw_is_no_crash() -> None:
    """It counts as wrong; metrics that need its probability are left out."""
    data = load(PENGUINS, target="species")
    prepared = features.preparation(data, spec().features, 0)
    model = Pipeline([*prepared.steps, ("model", build("LogisticRegression", {}, task="classification", seed=0))])
    known = data.train.target != "Chinstrap"
    model.fit(data.train.inputs[known], data.train.target[known])
    found = evaluation.metrics_on(model, Rows(data.held_out.inputs, data.held_out.target), "classification")
    assert 0 < found["accuracy"] < 1
    assert "log_loss" not in found


def test_what_cannot_be_learned_from_is_refused() -> None:
    """A target of one class, a table of a few rows."""
    with pytest.raises(InvalidSpec, match="classification"):
        load(PENGUINS, target="species", task="regression")
    with pytest.raises(InvalidData, match="20 is the least"):
        load(PENGUINS.parent / "penguins.csv", target="species", types={"species": "integer"})
