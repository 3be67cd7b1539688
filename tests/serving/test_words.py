"""How the pages write things."""

from __future__ import annotations

import pytest

from serving.app import words
from serving.app.result import standing

THIN = "\u202f"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bill_length_mm", "Bill length (mm)"),
        ("price_usd", "Price (usd)"),
        ("island", "Island"),
        ("g", "G"),
        ("_", ""),
        ("a__b", "A  b"),
    ],
)
def test_a_columns_name_becomes_words(name: str, text: str) -> None:
    """Words with a capital, and a unit at the end in parentheses."""
    assert words.label(name) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "not known"), (True, "Yes"), (7, "7"), (1234567, f"1{THIN}234{THIN}567"), (2.0, "2"), (0.012346, "0.01235"),
     (2431.4, "2431"), (12345.6, f"12{THIN}346"), (-0.5, "-0.5"), ("<b>", "<b>")],
)  # fmt: skip
def test_a_value_is_written_for_people(value: object, text: str) -> None:
    """Four digits that matter, thousands apart."""
    assert words.shown(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.895, "89.5 %"), (0.09, "9.0 %"), (0.0001, "< 0.1 %"), (0.9999, "> 99.9 %")],
)
def test_certainty_is_not_overstated(share: float, text: str) -> None:
    """100 % is said of certainty alone, 0 % of impossibility."""
    assert words.percent(share) == text.replace(" ", THIN)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "among the lowest 25%"),
        (15.0, "25% to 50% had a lower value"),
        (25.0, "50% to 75%"),
        (99.0, "among the highest 25%"),
    ],
)
def test_a_number_is_placed_among_those_of_the_training_data(value: float, text: str) -> None:
    """By the quantiles that the model's package keeps."""
    assert text in standing({"edges": [10.0, 20.0, 30.0], "shares": [0.25, 0.25, 0.25, 0.25]}, value)
    assert standing({}, value) == ""
