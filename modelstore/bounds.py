"""Trees that point within themselves.

scikit-learn's compiled code follows a tree's indices without looking: one that points outside reads foreign memory or crashes the
process. skops checks types, not contents, so this looks at the contents of what was constructed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors._kd_tree import KDTree
from sklearn.tree._classes import BaseDecisionTree
from sklearn.tree._tree import Tree


def check(model: Any) -> None:
    """ValueError: a tree within `model` points outside itself, in a circle, or at a feature that its estimator does not take."""
    for part in _parts(model):
        match part:  # templates of an ensemble's members are not fitted: they have no trees
            case BaseDecisionTree(tree_=_):
                _look_at_features([part], part.n_features_in_)
            case BaseForest(estimators_=_) | BaseGradientBoosting(estimators_=_):
                _look_at_features(np.ravel(part.estimators_).tolist(), part.n_features_in_)
            case BaseHistGradientBoosting(_predictors=_):
                if any(
                    (member.nodes["feature_idx"] >= part.n_features_in_).any() for stage in part._predictors for member in stage
                ):
                    raise ValueError("a tree looks at a feature that is not there")
            case Tree():
                _look(part.children_left, part.children_right, part.feature, part.children_left == -1)
                if part.value.shape[0] != part.node_count:
                    raise ValueError("a tree has not one value per node")
            case TreePredictor():
                _look_at_histogram(part)
            case KDTree():
                _look_at_neighbours(part)


def _look(left: Any, right: Any, feature: Any, leaf: Any) -> None:
    count = len(leaf)
    inner = np.flatnonzero(~leaf)
    for child in (left[inner], right[inner]):
        # a node comes before its children: so nothing points outside, and following them ends
        if (child <= inner).any() or (child >= count).any():
            raise ValueError("a tree points outside itself")
    if (feature[inner] < 0).any():
        raise ValueError("a tree looks at a feature that is not there")


def _look_at_features(members: list[Any], features: int) -> None:
    if any(int(member.tree_.feature.max(initial=-2)) >= features for member in members):
        raise ValueError("a tree looks at a feature that is not there")


def _look_at_histogram(part: Any) -> None:
    nodes = part.nodes
    _look(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), nodes["feature_idx"], nodes["is_leaf"].astype(bool))
    categorical = nodes["bitset_idx"][nodes["is_categorical"] != 0]
    if len(categorical) and int(categorical.max()) >= len(part.raw_left_cat_bitsets):
        raise ValueError("a tree points outside its categories")


def _look_at_neighbours(tree: Any) -> None:
    data, indices, nodes, _ = tree.get_arrays()
    indices, rows = np.asarray(indices), len(data)
    if len(indices) != rows or (indices < 0).any() or (indices >= rows).any():
        raise ValueError("a neighbour tree points outside its rows")
    start, end = np.asarray(nodes["idx_start"]), np.asarray(nodes["idx_end"])
    if (start < 0).any() or (end > rows).any() or (start > end).any():
        raise ValueError("a neighbour tree points outside its rows")


def _parts(model: Any) -> Iterator[Any]:
    """Everything within an estimator, each thing once."""
    seen: set[int] = set()
    keep: list[Any] = []  # what is built on the way must live, or its id would be used again
    open_: list[Any] = [model]
    while open_:
        part = open_.pop()
        if id(part) in seen or isinstance(part, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(part))
        keep.append(part)
        yield part
        match part:
            case dict():
                open_.extend(part.values())
            case list() | tuple() | set():
                open_.extend(part)
            case np.ndarray():
                if part.dtype == object:
                    open_.extend(part.ravel().tolist())
            case _:
                open_.extend(getattr(part, "__dict__", {}).values())
