"""Columns: what people and tables write, in one canonical form."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstore.columns import length_of, moments, numbers, texts, values_of

MISSING = [None, math.nan, "", pd.NA, pd.NaT]


@pytest.mark.parametrize("nothing", MISSING, ids=repr)
@pytest.mark.parametrize("read", [numbers, moments], ids=["numbers", "moments"])
def test_missing_is_nan(read, nothing):
    """None, NaN, the empty text and pandas' NA are missing, alone and among others."""
    assert np.isnan(read([nothing])).all()
    assert np.isnan(read([0, nothing])).tolist() == [False, True]


@pytest.mark.parametrize("nothing", MISSING, ids=repr)
def test_missing_is_the_empty_text(nothing):
    assert texts([nothing, "a"]).tolist() == ["", "a"]


@pytest.mark.parametrize(
    ("value", "number"),
    [(True, 1.0), ("true", 1.0), ("No", 0.0), ("3.5", 3.5), (" 7 ", 7.0), (np.float32(0.5), 0.5), ("NaN", math.nan)],
    ids=repr,
)
def test_numbers_as_they_are_written(value, number):
    """Forms and CSV files write numbers and truths as text; they are understood."""
    assert numbers([value, None])[0] == pytest.approx(number, nan_ok=True)


@pytest.mark.parametrize(
    "value", ["abc", [], {}, object(), 10**400, 1j], ids=["text", "list", "dict", "object", "huge", "complex"]
)
def test_what_is_no_number_is_said_so(value):
    """What cannot be a number is a ValueError that a person can read."""
    with pytest.raises(ValueError, match=r"no number|too large|sequence|inhomogeneous"):
        numbers([value, None, 1])


def test_categories_are_the_same_text_wherever_they_come_from():
    """A column of whole numbers turns to floats when a value is missing: still the same categories."""
    assert texts([1, 1.0, np.int64(1), "1", True, 1.5, b"1"]).tolist() == ["1", "1", "1", "1", "True", "1.5", "1"]


DAY = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "2026-01-01T02:00:00+02:00",
        "2026-01-01 00:00:00",
        date(2026, 1, 1),
        datetime(2026, 1, 1),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        np.datetime64("2026-01-01"),
        pd.Timestamp("2026-01-01"),
        DAY,
    ],
    ids=repr,
)
def test_moments_are_seconds_in_utc(value):
    """However a moment is written, it is the same number."""
    assert moments([value])[0] == DAY


def test_moments_of_pandas():
    """Columns with and without a zone, with gaps."""
    naive = pd.Series(pd.to_datetime(["2026-01-01", None]))
    for series in (naive, naive.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")):
        assert values_of(pd.DataFrame({"at": series}), "at", "datetime").tolist()[0] == DAY
        assert np.isnan(values_of(pd.DataFrame({"at": series}), "at", "datetime")[1])


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", object()], ids=["word", "month", "object"])
def test_what_is_no_moment_is_said_so(value):
    with pytest.raises(ValueError, match=r"cannot read column 'at': .* is no date or time"):
        values_of({"at": [value]}, "at", "datetime")


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False), st.integers(-(2**53), 2**53), st.booleans())))
def test_a_list_and_a_series_read_the_same(values):
    """A dict of lists and a DataFrame of the same values are the same table."""
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    np.testing.assert_array_equal(values_of({"a": values}, "a", "numeric"), values_of(frame, "a", "numeric"))
    assert values_of({"a": values}, "a", "categorical").tolist() == values_of(frame, "a", "categorical").tolist()


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="different lengths"):
        length_of({"a": [1], "b": [1, 2]})
