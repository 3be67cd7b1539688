"""Whatever estimator an experiment may choose: it is saved, loaded, and answers the same; with ONNX only where that agrees."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.utils import all_estimators

from modelstore import load
from modelstore.agreement import variants
from modelstore.sklearnengine import SklearnModel
from tests.modelstore.conftest import Made

NEEDS_OTHERS = {
    "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "MultiOutputRegressor", "OneVsOneClassifier",
    "OneVsRestClassifier", "OutputCodeClassifier", "RegressorChain", "SelfTrainingClassifier", "StackingClassifier",
    "StackingRegressor", "TunedThresholdClassifierCV", "VotingClassifier", "VotingRegressor",
}  # fmt: skip
OTHER_DATA = {
    "CCA", "CategoricalNB", "ComplementNB", "IsotonicRegression", "MultiTaskElasticNet", "MultiTaskElasticNetCV",
    "MultiTaskLasso", "MultiTaskLassoCV", "MultinomialNB", "PLSCanonical",
}  # fmt: skip
WITH_ONNX = {"classifier": 24, "regressor": 36}
"""How many of them have an ONNX form at least. A new version of a library that loses some is noticed here."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_every_estimator_answers_the_same_from_its_package(kind, penguins, diamonds, tmp_path):
    """scikit-learn's own prediction, on rows as given, perturbed, with gaps and with the unseen, is what the package answers."""
    task, table, target = ("classification", penguins, "species") if kind == "classifier" else ("regression", diamonds, "price")
    onnx = set()
    for name, estimator in all_estimators(type_filter=kind):
        if name in NEEDS_OTHERS | OTHER_DATA:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence, of collinear features, of what will be deprecated
            model = estimator()
            if "random_state" in model.get_params():
                model.set_params(random_state=0)
            try:
                made = Made(model, table, target, task=task)
            except np.linalg.LinAlgError:  # QuadraticDiscriminantAnalysis: a class has too few rows for its covariance
                continue
            packaged = made.package(tmp_path / name)
            predictor = load(tmp_path / name)
            assert predictor.engine == ("onnx" if packaged.onnx else "sklearn")
            assert packaged.onnx or packaged.note.startswith("no ONNX: ")
            onnx |= {name} if packaged.onnx else set()
            reference = SklearnModel(made.pipeline, made.signature)
            for rows in variants(made.rows, made.kinds, seed=7).values():
                try:
                    want = reference.run(rows)
                except ValueError:  # RadiusNeighbors: a row has no neighbours
                    continue
                got = predictor.predict(rows)
                if task == "regression":
                    np.testing.assert_allclose(got.labels, want.labels, rtol=1e-4, atol=1e-4 * np.std(want.labels), err_msg=name)
                else:
                    assert got.labels == want.labels, name
                    if want.probabilities is not None:
                        np.testing.assert_allclose(got.probabilities, want.probabilities, atol=1e-4, err_msg=name)
    assert len(onnx) >= WITH_ONNX[kind], sorted(onnx)
