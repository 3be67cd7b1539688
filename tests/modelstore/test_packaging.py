"""Packages: what is written answers as the pipeline does, in both engines, or says why not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modelstore import ModelError, infer_signature, load, manifest, package
from modelstore.agreement import compare, variants
from modelstore.predictor import Prediction
from modelstore.sklearnengine import SklearnModel
from tests.modelstore.conftest import Made

CLASSIFIERS = [
    LogisticRegression(max_iter=1000),
    RidgeClassifier(),
    LinearSVC(),
    SVC(),
    KNeighborsClassifier(),
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(30, min_samples_leaf=2, random_state=0),
    ExtraTreesClassifier(30, random_state=0),
    GradientBoostingClassifier(n_estimators=10, random_state=0),
    HistGradientBoostingClassifier(max_iter=20, random_state=0),
]
REGRESSORS = [
    LinearRegression(),
    SVR(),
    DecisionTreeRegressor(random_state=0),
    RandomForestRegressor(10, random_state=0),
    ExtraTreesRegressor(10, random_state=0),
    GradientBoostingRegressor(n_estimators=20, random_state=0),
    HistGradientBoostingRegressor(max_iter=20, random_state=0),
    HistGradientBoostingRegressor(loss="poisson", max_iter=20, random_state=0),
]


def same(got: Prediction, made: Made, table) -> None:
    want = SklearnModel(made.pipeline, made.signature).run(table)
    if made.signature.target.task == "regression":
        np.testing.assert_allclose(got.labels, want.labels, rtol=1e-5)
        return
    assert got.labels == want.labels
    assert (got.probabilities is None) == (want.probabilities is None)
    if got.probabilities is not None:
        np.testing.assert_allclose(got.probabilities, want.probabilities, atol=1e-9)


def both(made: Made, folder) -> None:
    """Both engines answer every kind of row as the pipeline itself does."""
    for engine in ("onnx", "sklearn"):
        predictor = load(folder, engine=engine)
        assert predictor.engine == engine
        assert predictor.check_golden() == (20, [])
        for table in variants(made.rows, made.kinds, seed=99).values():
            same(predictor.predict(table), made, table)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_classifiers_are_fast_and_the_same(estimator, penguins, tmp_path):
    """The usual classifiers have an ONNX form that gives their labels and probabilities, on rows nobody trained on too."""
    made = Made(estimator, penguins, "species")
    packaged = made.package(tmp_path)
    assert packaged.onnx, packaged.note
    both(made, tmp_path)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda one: f"{type(one).__name__}-{getattr(one, 'loss', '')}")
def test_regressors_are_fast_and_the_same(estimator, diamonds, tmp_path):
    """The usual regressors have an ONNX form that gives their numbers."""
    made = Made(estimator, diamonds, "price", task="regression")
    packaged = made.package(tmp_path)
    assert packaged.onnx, packaged.note
    both(made, tmp_path)


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=5),
        GradientBoostingClassifier(n_estimators=5),
        RandomForestClassifier(5),
        LogisticRegression(),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("labels", ["bool", "int", "text"])
def test_two_classes_in_the_targets_own_labels(estimator, labels, penguins, tmp_path):
    """False and True come back as False and True, numbers as numbers, texts as texts."""
    as_label = {"bool": lambda x: x == "male", "int": lambda x: 10 if x == "male" else 3, "text": lambda x: str(x)}[labels]
    rows = [i for i, sex in enumerate(penguins["sex"]) if sex]
    table = {name: [values[i] for i in rows] for name, values in penguins.items()}
    table["sex"] = [as_label(value) for value in table["sex"]]
    made = Made(estimator, table, "sex")
    packaged = made.package(tmp_path)
    assert packaged.onnx, packaged.note
    both(made, tmp_path)
    answers = load(tmp_path).predict({name: values[:50] for name, values in made.rows.items()}).labels
    assert {type(answer) for answer in answers} == {type(table["sex"][0])}
    assert set(answers) == set(table["sex"])


def test_what_does_not_convert_is_served_by_scikit_learn(penguins, tmp_path):
    """No converter: no ONNX, a note that says so, and the same answers."""
    made = Made(NearestCentroid(), penguins, "species")
    packaged = made.package(tmp_path)
    assert not packaged.onnx
    assert "there is no converter for NearestCentroid" in packaged.note
    predictor = load(tmp_path)
    assert (predictor.engine, predictor.check_golden()) == ("sklearn", (20, []))
    assert predictor.metadata["formats"] == ["skops"]


def test_what_converts_wrongly_is_not_served(penguins, tmp_path):
    """A converter that is wrong (this one turns two scores into probabilities by another formula) is found out, and not used."""
    rows = [i for i, sex in enumerate(penguins["sex"]) if sex]
    table = {name: [values[i] for i in rows] for name, values in penguins.items()}
    made = Made(LinearDiscriminantAnalysis(), table, "sex")
    packaged = made.package(tmp_path)
    for rows_ in variants(made.rows, made.kinds).values():
        same(load(tmp_path).predict(rows_), made, rows_)
    assert packaged.onnx or "answered differently" in packaged.note


class Shifted:
    """Answers as the pipeline does, but for one kind of row."""

    def __init__(self, model: SklearnModel, wrong) -> None:
        self._model, self._wrong = model, wrong

    def run(self, columns) -> Prediction:
        found = self._model.run(columns)
        labels = ["Gentoo" if self._wrong(row) else label for row, label in zip(_rows(columns), found.labels, strict=True)]
        return Prediction(labels, found.probabilities)


def _rows(columns):
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("missing", lambda row: row["sex"] is None and row["island"] is None),
        ("unseen", lambda row: str(row["island"]).startswith("unseen")),
        ("perturbed", lambda row: row["body_mass_g"] is not None and row["body_mass_g"] % 1 != 0),
        ("given", lambda row: row["island"] == "Torgersen"),
    ],
    ids=["missing", "unseen", "perturbed", "given"],
)
def test_each_kind_of_row_is_compared(kind, wrong, logistic):
    """A difference that shows on one kind of row only is found: values missing, never seen, or moved off the training rows."""
    model = SklearnModel(logistic.pipeline, logistic.signature)
    found = compare(model, Shifted(model, wrong), variants(logistic.rows, logistic.kinds), 1e-9)
    assert found.fault is not None
    assert f"{kind} rows are answered differently" in found.fault


def test_a_signature_of_other_classes_is_refused(logistic, tmp_path):
    """Classes in another order than the probabilities' would give every client the wrong ones."""
    target = logistic.signature.target.model_copy(update={"classes": ["Gentoo", "Adelie", "Chinstrap"]})
    with pytest.raises(ModelError, match="its classes are"):
        logistic.package(tmp_path, signature=logistic.signature.model_copy(update={"target": target}))


def test_a_function_of_ones_own_cannot_be_packaged(logistic, tmp_path):
    """What could not be loaded elsewhere is refused when it is packaged, not when it is served."""
    first, *rest = logistic.pipeline.steps
    pipeline = Pipeline([first, ("own", FunctionTransformer(lambda X: X)), *rest])
    with pytest.raises(ModelError, match=r"cannot (save|load)"):
        logistic.package(tmp_path, pipeline=pipeline)
    assert not (tmp_path / manifest.MANIFEST).exists()


NAMES = ["label", "probabilities", "variable", "prepared", "größe (mm)", "a b", "x/y", "concat", "1", "constant"]


def test_columns_may_be_called_anything(tmp_path):
    """Names that the graph uses itself, spaces, slashes, umlauts: the tensors still have the columns' names."""
    random = np.random.default_rng(0)
    table = {name: random.normal(size=60).tolist() for name in NAMES}
    table["kind"] = random.choice(["a", "b"], 60).tolist()
    made = Made(LogisticRegression(), table, "kind")
    assert made.package(tmp_path).onnx
    both(made, tmp_path)


def test_dropped_columns_are_still_taken(tmp_path):
    """A column that says nothing is in the signature, since it is in the table; the model answers whatever it holds."""
    random = np.random.default_rng(0)
    table = {"always": ["same"] * 60, "id": [f"id {i}" for i in range(60)], "x": random.normal(size=60).tolist()}
    table["y"] = [x > 0 for x in table["x"]]
    made = Made(LogisticRegression(), table, "y")
    assert made.package(tmp_path).onnx
    both(made, tmp_path)
    assert load(tmp_path).predict({"always": ["other"], "id": [None], "x": [2.0]}).labels == [True]


@pytest.mark.parametrize("only", ["categorical", "datetime", "boolean"])
def test_tables_of_one_kind_of_column(only, tmp_path):
    """A table of nothing but categories, moments or truths is a table."""
    random = np.random.default_rng(0)
    draw = {
        "categorical": lambda: random.choice(["a", "b", None], 90).tolist(),
        "boolean": lambda: random.choice(np.array([True, False, None], dtype=object), 90).tolist(),
        "datetime": lambda: [None if i % 9 == 0 else f"20{i % 30:02}-0{1 + i % 9}-1{i % 10}T0{i % 10}:00:00" for i in range(90)],
    }[only]
    made = Made(Ridge(), {"p": draw(), "q": draw(), "y": random.normal(size=90).tolist()}, "y", task="regression")
    assert [kind for _, kind in made.kinds] == [only] * 2
    assert made.package(tmp_path).onnx
    both(made, tmp_path)


def test_infinite_is_missing(packaged, logistic):
    """An infinite number is answered as a missing one, in both engines."""
    row = {name: [value] for name, value in logistic.signature.example().items()}
    for engine in ("onnx", "sklearn"):
        predictor = load(packaged, engine=engine)
        answers = [
            predictor.predict(row | {"body_mass_g": [value]}).probabilities for value in (math.inf, -math.inf, None, math.nan)
        ]
        np.testing.assert_allclose(answers, [answers[0]] * 4, atol=1e-12)


def test_what_is_written_beside_the_model(packaged, logistic):
    """Metadata is JSON that anybody reads: NaN is null, numpy's numbers are numbers; reference shares add up to one."""
    metadata = json.loads((packaged / manifest.METADATA).read_bytes())
    assert metadata["metrics"] == {"accuracy": 0.9}
    assert metadata["formats"] == ["skops", "onnx"]
    assert metadata["note"].startswith("ONNX agrees on 1376 rows")
    reference = json.loads((packaged / manifest.REFERENCE).read_bytes())
    assert reference["rows"] == 344
    for column in [*reference["columns"].values(), reference["target"]]:
        assert sum(column["shares"]) == pytest.approx(1, abs=1e-4)
        assert len(column["shares"]) == len(column.get("edges", column.get("categories"))) + 1
    assert reference["columns"]["sex"]["missing"] == pytest.approx(11 / 344, abs=1e-6)


def test_odd_metadata_is_json_too(logistic, tmp_path):
    logistic.package(tmp_path, metadata={"a": math.nan, "b": np.float32(0.5), "c": {"d": np.arange(2)}, 3: (1, {"x"})})
    found = json.loads((tmp_path / manifest.METADATA).read_bytes())
    assert (found["a"], found["b"], found["c"], found["3"]) == (None, 0.5, {"d": [0, 1]}, [1, ["x"]])


def test_a_pipeline_that_takes_a_matrix_has_onnx_too(tmp_path):
    """Somebody's own scikit-learn pipeline, without our preparation: its inputs are called as the columns are."""
    rng = np.random.default_rng(0)
    table = {name: rng.normal(size=60).tolist() for name in ("width", "height")}
    matrix = np.column_stack(list(table.values()))
    kinds = [(name, "numeric") for name in table]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, np.where(matrix[:, 0] > 0, "wide", "narrow"))
    signature = infer_signature(table, kinds, target="shape", task="classification", classes=pipeline.classes_)
    packaged = package(
        tmp_path, pipeline=pipeline, signature=signature, golden_rows=table, reference={}, metadata={}, perturb_rows=table
    )
    assert packaged.onnx, packaged.note
    assert load(tmp_path).predict(table).labels == pipeline.predict(matrix).tolist()
