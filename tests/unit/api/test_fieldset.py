"""Trees of field paths are sets of paths."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.fieldset import difference, intersection, paths, union

SETS = st.recursive(
    st.just({}), lambda inner: st.dictionaries(st.sampled_from(["f:a", "f:b", 'v:"x"', "."]), inner, max_size=3), max_leaves=8
).map(lambda tree: _tidy(tree))


def _tidy(tree: dict[str, Any]) -> dict[str, Any]:
    """`.` holds nothing, and is not alone."""
    children = {key: _tidy(child) for key, child in tree.items() if key != "."}
    return {**children, ".": {}} if children and "." in tree else children


def members(tree: dict[str, Any] | None) -> set[str]:
    return set(paths(tree, "^")) if tree is not None else set()


@given(SETS, SETS)
def test_field_sets_are_sets(left, right):
    """Union, difference and intersection of trees are those of the paths they stand for."""
    assert members(union(left, right)) == members(left) | members(right)
    assert members(difference(left, right)) == members(left) - members(right)
    assert members(intersection(left, right)) == members(left) & members(right)
