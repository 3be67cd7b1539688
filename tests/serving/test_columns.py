"""What a numeric input takes, by a law."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelstore.signature import Column
from serving.wire.columns import MAX_ERRORS, Invalid, check, largest

SEEN = some.none() | some.floats(-1e40, 1e40)
VALUES = some.lists(some.none() | some.floats() | some.integers() | some.integers(-(10**45), 10**45), min_size=1)


@given(bound=SEEN, values=VALUES)
def test_numbers_are_taken_as_they_are_or_refused_where_they_are(bound: float | None, values: list[Any]) -> None:
    """NaN is missing, what fits is unchanged, and exactly what is beyond measure is named."""
    column = Column(name="x", datatype="FP64", kind="numeric", nullable=True, minimum=bound, maximum=bound, example=1.0)
    beyond = [str(i) for i, value in enumerate(values) if value is not None and abs(value) > largest(column)]
    if beyond:
        with pytest.raises(Invalid) as caught:
            check(column, list(values), str)
        assert [one.path for one in caught.value.errors] == beyond[:MAX_ERRORS]
        return
    found = check(column, list(values), str)
    assert found == [None if value is None or math.isnan(value) else value for value in values]
    assert all(not isinstance(value, int) or -(2**63) <= value < 2**64 for value in found)
