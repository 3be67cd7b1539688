"""Held-out rows: known by what they hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import PENGUINS
from training.data import load
from training.split import held_out
from training.table import read

ROWS = st.lists(st.tuples(st.integers(-5, 5), st.floats(allow_nan=False), st.text(max_size=3)), min_size=1, max_size=40)


def as_table(rows: list[tuple[int, float, str]], **more: pa.Array) -> pa.Table:
    a, b, c = zip(*rows, strict=True)
    return pa.table({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.float64()), "c": pa.array(c, pa.string()), **more})


@given(ROWS, ROWS, st.floats(0.01, 0.5))
@settings(max_examples=50)
def test_a_row_stays_where_it_is_when_the_table_grows(rows: list, more: list, share: float) -> None:
    """Neither other rows, nor their order, nor the order of columns decide."""
    alone = held_out(as_table(rows), target="-", share=share)
    grown = as_table(more + rows)
    assert held_out(grown, target="-", share=share)[len(more) :].tolist() == alone.tolist()
    turned = grown.select(["c", "a", "b"])
    assert held_out(turned, target="-", share=share).tolist() == held_out(grown, target="-", share=share).tolist()


@given(ROWS)
@settings(max_examples=50)
def test_the_target_does_not_decide(rows: list) -> None:
    """A corrected label does not move its row."""
    labels = pa.array([str(i) for i in range(len(rows))])
    other = pa.array(["x"] * len(rows))
    one, two = (held_out(as_table(rows, y=values), target="y", share=0.3) for values in (labels, other))
    assert one.tolist() == two.tolist()


def test_a_number_is_the_same_with_and_without_a_point() -> None:
    """A column of whole numbers that gets its first fraction is read as another type: the rows stay where they are."""
    whole, point = pa.table({"a": pa.array([1, 2, None])}), pa.table({"a": pa.array([1.0, 2.0, None])})
    assert held_out(whole, target="-", share=0.5).tolist() == held_out(point, target="-", share=0.5).tolist()


def test_the_share_is_about_right() -> None:
    """A fifth of many rows is a fifth."""
    table = pa.table({"a": np.arange(20_000)})
    assert abs(held_out(table, target="-", share=0.2).mean() - 0.2) < 0.01


def test_all_rows_with_a_target_are_used_once() -> None:
    """Training and held-out rows are the table."""
    data = load(PENGUINS, target="sex")
    known = sum(value is not None for value in read(PENGUINS).table.column("sex").to_pylist())
    assert len(data.train) + len(data.held_out) == known
    assert data.without_target == 344 - known
