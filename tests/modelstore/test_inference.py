"""The signature that a table gives: what a form and an API ask for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from modelstore import Column, Signature, Target, infer_signature, reference
from modelstore.inference import kind_of
from modelstore.sampling import sample


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.5, None], "numeric"),
        ([1, 2], "numeric"),
        (["a", None], "categorical"),
        ([True, None], "boolean"),
        (["true", "False", ""], "boolean"),
        (["2026-01-01", "2026-02-01T10:00:00"], "datetime"),
        (["2026-01-01", "soon"], "categorical"),
        ([None, None], "categorical"),
        (pd.Series(pd.to_datetime(["2026-01-01"])), "datetime"),
        (pd.Series([True, False]), "boolean"),
        (pd.Series(["a", "b"], dtype="category"), "categorical"),
    ],
    ids=repr,
)
def test_the_kind_of_a_column_is_seen_in_its_values(values, kind):
    assert kind_of(values) == kind


def test_the_penguins(logistic):
    """Ranges, categories (the most frequent first), gaps and a typical value: a form can be made of it."""
    inputs = {column.name: column for column in logistic.signature.inputs}
    assert inputs["island"] == Column(
        name="island",
        datatype="BYTES",
        kind="categorical",
        nullable=False,
        categories=["Biscoe", "Dream", "Torgersen"],
        example="Biscoe",
    )
    assert inputs["bill_length_mm"].model_dump(exclude={"categories"}) == {
        "name": "bill_length_mm", "datatype": "FP64", "kind": "numeric", "nullable": True, "minimum": 32.1, "maximum": 59.6,
        "example": 44.5,
    }  # fmt: skip
    assert (inputs["year"].datatype, inputs["year"].example) == ("INT64", 2008)
    assert logistic.signature.target.classes == ["Adelie", "Chinstrap", "Gentoo"]


def test_moments_and_truths_have_examples():
    table = {"at": ["2026-01-01", "2026-01-03T12:30:00", None, "2026-01-02"], "ok": [True, True, None, False]}
    signature = infer_signature(table, [("at", "datetime"), ("ok", "boolean")], target="y", task="regression")
    at, ok = signature.inputs
    assert (at.minimum, at.example, at.maximum) == ("2026-01-01", "2026-01-02", "2026-01-03T12:30:00")
    assert (ok.datatype, ok.example, ok.nullable) == ("BOOL", True, True)


def test_a_signature_reads_back_as_it_was_written(logistic):
    """Labels keep their types: True is not 1, "1" is not 1."""
    signature = logistic.signature
    assert Signature.model_validate_json(signature.model_dump_json()) == signature
    for classes in ([False, True], [1, 2], ["1", "2"], [0.5, 1.5]):
        target = Target(name="y", task="classification", classes=classes)
        again = Target.model_validate_json(target.model_dump_json()).classes
        assert again == classes
        assert [type(label) for label in again] == [type(label) for label in classes]


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": [], "target": {"name": "y", "task": "regression"}},
        {"inputs": [{"name": "a", "datatype": "FP64", "kind": "numeric"}] * 2, "target": {"name": "y", "task": "regression"}},
        {"inputs": [{"name": "a", "datatype": "FP64", "kind": "numeric"}], "target": {"name": "y", "task": "classification"}},
        {"inputs": [{"name": "a\n", "datatype": "FP64", "kind": "numeric"}], "target": {"name": "y", "task": "regression"}},
        {"inputs": [{"name": "a", "datatype": "FP64", "kind": "numeric", "x": 1}], "target": {"name": "y", "task": "regression"}},
    ],
    ids=["no inputs", "one name twice", "classification without classes", "a newline in a name", "an unknown field"],
)
def test_signatures_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        Signature.model_validate(wrong)


def test_made_up_rows_look_like_the_signature(logistic):
    """Rows for a model whose training rows nobody has lie in its ranges and categories; the first is the example."""
    found = sample(logistic.signature, 50)
    assert {name: values[0] for name, values in found.items()} == logistic.signature.example()
    assert all(32.1 <= value <= 59.6 for value in found["bill_length_mm"])
    assert set(found["sex"]) == {"male", "female"}
    assert all(type(value) is int for value in found["year"])


def test_reference_distributions_of_odd_columns():
    """Columns that are empty, constant or of countless categories have distributions too."""
    table = {"none": [None] * 40, "one": [3.0] * 40, "many": [f"c{i}" for i in range(40)], "at": ["2026-01-01"] * 40}
    columns = [("none", "numeric"), ("one", "numeric"), ("many", "categorical"), ("at", "datetime")]
    found = reference(table, infer_signature(table, columns, target="y", task="regression"), np.arange(40.0))
    assert found["columns"]["none"]["missing"] == 1.0
    assert found["columns"]["one"]["shares"] == [1.0, 0.0]
    assert len(found["columns"]["many"]["categories"]) == 30
    assert found["columns"]["many"]["shares"][-1] == pytest.approx(0.25)
    assert len(found["target"]["edges"]) == 9
