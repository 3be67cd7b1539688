"""Prepare and Select: from a raw table to features."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from modelstore import transformers
from modelstore.transformers import Prepare, Select

KINDS = [("n", "numeric"), ("b", "boolean"), ("c", "categorical"), ("d", "datetime")]


def table(rows: int = 60, seed: int = 0):
    random = np.random.default_rng(seed)
    return {
        "n": [None if i % 7 == 3 else float(x) for i, x in enumerate(random.normal(10, 5, rows))],
        "b": [None if i % 11 == 5 else bool(x) for i, x in enumerate(random.integers(0, 2, rows))],
        "c": [None if i % 9 == 1 else str(x) for i, x in enumerate(random.choice(["x", "y", "z"], rows))],
        "d": [str(np.datetime64("2020-01-01") + int(x)) for x in random.integers(0, 2000, rows)],
    }


def target(rows: int = 60):
    return np.arange(rows) % 2


def test_everything_public_is_listed():
    assert set(transformers.__all__) == {"Prepare", "Select"}


def test_features_have_the_names_of_what_they_are():
    """A reader can tell from a feature's name which column it comes from and what it says."""
    prepare = Prepare(KINDS).fit(table(), target())
    names = prepare.get_feature_names_out().tolist()
    assert names == [
        "n", "b", "d days", "d sine of year", "d cosine of year", "d sine of week", "d cosine of week", "d sine of day",
        "d cosine of day", "missingindicator_n", "missingindicator_b", "c=<missing>", "c=x", "c=y", "c=z",
    ]  # fmt: skip
    assert prepare.transform(table()).shape == (60, len(names))
    assert prepare.sources_[:3] == ["n", "b", "d"]
    assert len(prepare.sources_) == len(names)


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        ("numeric", [4.0] * 40, "constant"),
        ("numeric", [None] * 40, "empty"),
        ("numeric", list(range(7, 47)), "unique"),
        ("categorical", ["same"] * 40, "constant"),
        ("categorical", [f"id-{i}" for i in range(40)], "unique"),
        ("categorical", [None] * 40, "empty"),
        ("datetime", ["2026-01-01"] * 40, "constant"),
    ],
    ids=["constant number", "no number", "counts up", "constant text", "differs in every row", "no text", "one moment"],
)
def test_columns_that_say_nothing_are_dropped(kind, values, why):
    """Constant, empty and identifying columns are left out, and it is said why."""
    rows = {"useless": values, "n": [float(i % 5) for i in range(40)]}
    prepare = Prepare([("useless", kind), ("n", "numeric")]).fit(rows, target(40))
    assert prepare.dropped_ == {"useless": why}
    assert prepare.features_ == ["n"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("numeric", [math.sqrt(i) for i in range(40)]),
        ("numeric", [4.0, None] * 20),
        ("categorical", ["same", None] * 20),
        ("categorical", [f"group {i % 12}" for i in range(40)]),
    ],
    ids=["measured numbers all differ", "there or not", "named or not", "categories"],
)
def test_columns_that_say_something_stay(kind, values):
    prepare = Prepare([("useful", kind)]).fit({"useful": values}, target(40))
    assert prepare.dropped_ == {}


def test_a_dict_of_columns_and_a_frame_are_the_same_table():
    """Whoever predicts need not have pandas."""
    rows, frame = table(), pd.DataFrame(table())
    prepare = Prepare(KINDS).fit(frame, target())
    np.testing.assert_array_equal(prepare.transform(rows), prepare.transform(frame))
    np.testing.assert_array_equal(Prepare(KINDS).fit(rows, target()).transform(rows), prepare.transform(rows))


def test_rare_and_unseen_categories_share_a_column():
    """What was rare in training and what was never seen are answered alike; with nothing rare, the unseen is no category."""
    rows = {"c": ["a"] * 500 + ["b"] * 500 + ["rare"]}
    prepare = Prepare([("c", "categorical")]).fit(rows, target(1001))
    assert prepare.features_ == ["c=a", "c=b", "c=<other>"]
    assert prepare.transform({"c": ["rare", "never seen"]}).tolist() == [[0, 0, 1], [0, 0, 1]]
    few = Prepare([("c", "categorical")]).fit({"c": ["a", "b"] * 20}, target(40))
    assert few.transform({"c": ["never seen", None]}).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("classes", [2, 3], ids=["binary", "multiclass"])
def test_many_categories_become_means_of_the_target(classes):
    """Above max_categories a category is the mean of the target there; that of a training row does not know its own target."""
    cities = [f"city {i % 30}" for i in range(300)]
    y = np.array([(i % 30 + i // 250) % classes for i in range(300)])
    prepare = Prepare([("city", "categorical")], max_categories=20)
    trained = prepare.fit_transform({"city": cities}, y)
    assert prepare.features_ == (["city:mean"] if classes == 2 else [f"city:mean of {i}" for i in range(3)])
    later = prepare.transform({"city": cities})
    assert not np.array_equal(trained, later)
    assert later[0, 0] != later[1, 0]
    assert np.isfinite(prepare.transform({"city": ["nowhere", None]})).all()


def test_many_categories_of_a_regression():
    """The same for numbers, and twice the same for the same seed."""
    cities, y = [f"city {i % 30}" for i in range(300)], np.arange(300.0) % 30
    one, two = (
        Prepare([("city", "categorical")], task="regression", seed=3).fit_transform({"city": cities}, y) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    assert np.corrcoef(one[:, 0], y)[0, 1] > 0.99


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(width=64), st.integers(-10, 10)), min_size=1, max_size=5),
    st.lists(st.one_of(st.none(), st.text(max_size=8)), min_size=1, max_size=5),
)
def test_whatever_comes_features_are_finite(numbers, words):
    """No value of a column, however strange, becomes NaN or changes the number of features."""
    prepare = Prepare([("n", "numeric"), ("c", "categorical")]).fit(table(), target())
    rows = min(len(numbers), len(words))
    with np.errstate(over="ignore"):
        found = prepare.transform({"n": numbers[:rows], "c": words[:rows]})
    assert found.shape == (rows, len(prepare.features_))
    assert not np.isnan(found).any()


def test_an_empty_table_is_said_so():
    with pytest.raises(ValueError, match="it has no rows"):
        Prepare([("n", "numeric")]).fit({"n": []}, [])


def test_both_can_be_cloned():
    """As scikit-learn's searches do."""
    assert clone(Prepare(KINDS, task="regression")).get_params()["columns"] == KINDS
    assert clone(Select("fTest", 3)).get_params()["max_features"] == 3


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("method", ["mutualInformation", "fTest", "modelBased"])
def test_the_feature_that_says_all_is_chosen(method, task):
    """Among noise, the one that decides the target scores best, for the same seed always the same."""
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 6))
    y = (X[:, 4] > 0).astype(int) if task == "classification" else 3 * X[:, 4]
    select = Select(method, 1, task=task, seed=1).fit(X, y)
    assert select.indices_.tolist() == [4]
    assert int(np.argmax(select.scores_)) == 4
    np.testing.assert_array_equal(select.scores_, Select(method, 1, task=task, seed=1).fit(X, y).scores_)
    assert select.get_feature_names_out(list("abcdef")).tolist() == ["e"]


def test_constant_features_score_nothing_and_one_always_stays():
    X = np.ones((50, 2))
    select = Select("fTest").fit(X, np.arange(50) % 2)
    assert select.scores_.tolist() == [0.0, 0.0]
    assert select.transform(X).shape == (50, 1)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="mutualInformation, fTest, modelBased, none"):
        Select("magic").fit(np.ones((2, 1)), [0, 1])
