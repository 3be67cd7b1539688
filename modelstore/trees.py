"""scikit-learn's trees, forests and boosting as ONNX, in double precision from input to output.

skl2onnx turns their thresholds into float32. Values of a table lie exactly on thresholds, so rows change sides: a forest is off
by up to 0.07 in probability, HistGradientBoosting does not convert at all. `TreeEnsemble` of ai.onnx.ml 5 computes in double.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
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
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from modelstore.graph import ML, Graph

Array = NDArray[Any]
LINKS: Final = {"LogitLink": 1.0, "HalfLogitLink": 2.0}
"""Factor of the raw score before the sigmoid, by the loss function's link."""


@dataclass
class Ensemble:
    """The attributes of one TreeEnsemble node, gathered tree by tree."""

    targets: int
    features: list[Array] = field(default_factory=list)
    splits: list[Array] = field(default_factory=list)
    missing: list[Array] = field(default_factory=list)
    children: list[list[Array]] = field(default_factory=lambda: [[], []])
    to_leaf: list[list[Array]] = field(default_factory=lambda: [[], []])
    roots: list[int] = field(default_factory=list)
    weights: list[Array] = field(default_factory=list)
    target_of: list[Array] = field(default_factory=list)
    nodes: int = 0
    leaves: int = 0

    def add(
        self,
        *,
        feature: Array,
        split: Array,
        left: Array,
        right: Array,
        missing_left: Array,
        leaf: Array,
        value: Array,
        target: int,
    ) -> None:
        """One tree: arrays over its nodes, the root first. Rows with `feature` ≤ `split` go left."""
        inner = np.flatnonzero(~leaf)
        number = np.empty(len(leaf), dtype=np.int64)
        number[inner] = self.nodes + np.arange(len(inner))
        number[leaf] = self.leaves + np.arange(int(leaf.sum()))
        if not len(inner):  # a tree that is one leaf: one node, both branches of which lead there
            inner = left = right = np.zeros(1, dtype=np.int64)
            split = np.zeros(1)
            feature = missing_left = inner
        self.roots.append(self.nodes)
        self.features.append(feature[inner])
        self.splits.append(split[inner])
        self.missing.append(missing_left[inner])
        for side, child in enumerate((left, right)):
            self.children[side].append(number[child[inner]])
            self.to_leaf[side].append(leaf[child[inner]])
        self.weights.append(value[leaf])
        self.target_of.append(np.full(int(leaf.sum()), target))
        self.nodes += len(inner)
        self.leaves += int(leaf.sum())

    def put(self, add: Graph, X: str) -> str:
        """As a node of the graph: X [rows, features] double → sums [rows, targets] double."""
        ints = {
            "nodes_featureids": self.features, "nodes_missing_value_tracks_true": self.missing,
            "nodes_truenodeids": self.children[0], "nodes_falsenodeids": self.children[1],
            "nodes_trueleafs": self.to_leaf[0], "nodes_falseleafs": self.to_leaf[1], "leaf_targetids": self.target_of,
        }  # fmt: skip
        return add(
            "TreeEnsemble", X, domain=ML, n_targets=self.targets, aggregate_function=1, post_transform=0, tree_roots=self.roots,
            nodes_splits=numpy_helper.from_array(np.concatenate(self.splits).astype(np.float64), "splits"),
            nodes_modes=numpy_helper.from_array(np.zeros(self.nodes, dtype=np.uint8), "modes"),
            leaf_weights=numpy_helper.from_array(np.concatenate(self.weights).astype(np.float64), "weights"),
            **{name: np.concatenate(parts).astype(np.int64).tolist() for name, parts in ints.items()},
        )  # fmt: skip


def _add_tree(ensemble: Ensemble, tree: Any, value: Array, target: int) -> None:
    ensemble.add(
        feature=tree.feature, split=tree.threshold, left=tree.children_left, right=tree.children_right,
        missing_left=tree.missing_go_to_left, leaf=tree.children_left == -1, value=value, target=target,
    )  # fmt: skip


def _members(model: Any) -> list[Any]:
    if getattr(model, "n_outputs_", 1) != 1:
        raise ValueError("it predicts several targets")
    return [member.tree_ for member in getattr(model, "estimators_", [model])]


def _forest_classifier(add: Graph, model: Any, X: str) -> tuple[str, str]:
    # a leaf of TreeEnsemble has one number, ours a probability per class: so each tree answers the row of its leaf in a table
    trees = _members(model)
    rows, ensemble = 0, Ensemble(len(trees))
    for i, tree in enumerate(trees):
        _add_tree(ensemble, tree, rows + np.arange(tree.node_count), i)
        rows += tree.node_count
    table = add.constant(np.concatenate([tree.value[:, 0, :] for tree in trees]))
    leaves = add("Cast", ensemble.put(add, add.through_float32(X)), to=TensorProto.INT64)
    total = add("ReduceSum", add("Gather", table, leaves, axis=0), add.constant([1]), keepdims=0)
    chances = add("Div", total, add.constant([float(len(trees))]))
    return add("ArgMax", chances, axis=1, keepdims=0), chances


def _forest_regressor(add: Graph, model: Any, X: str) -> str:
    trees = _members(model)
    ensemble = Ensemble(1)
    for tree in trees:
        _add_tree(ensemble, tree, tree.value[:, 0, 0], 0)
    return add("Div", ensemble.put(add, add.through_float32(X)), add.constant([float(len(trees))]))


def _gradient(add: Graph, model: Any, X: str) -> str:
    stages = model.estimators_
    ensemble = Ensemble(stages.shape[1])
    for stage in stages:
        for target, member in enumerate(stage):
            _add_tree(ensemble, member.tree_, model.learning_rate * member.tree_.value[:, 0, 0], target)
    if model.init is not None and model.init != "zero":
        raise ValueError("its boosting starts from a model of its own")
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))
    return add("Add", ensemble.put(add, add.through_float32(X)), add.constant(np.asarray(start, dtype=np.float64).reshape(1, -1)))


def _histogram(add: Graph, model: Any, X: str) -> str:
    ensemble = Ensemble(model.n_trees_per_iteration_)
    for stage in model._predictors:
        for target, member in enumerate(stage):
            nodes = member.nodes
            if nodes["is_categorical"].any():
                raise ValueError("its trees split on categories")
            ensemble.add(
                feature=nodes["feature_idx"], split=nodes["num_threshold"], left=nodes["left"], right=nodes["right"],
                missing_left=nodes["missing_go_to_left"], leaf=nodes["is_leaf"].astype(bool), value=nodes["value"], target=target,
            )  # fmt: skip
    start = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)
    return add("Add", ensemble.put(add, X), add.constant(start))


def _boosting_classifier(
    raw_scores: Callable[[Graph, Any, str], str], *, ties_up: bool
) -> Callable[[Graph, Any, str], tuple[str, str]]:
    def convert(add: Graph, model: Any, X: str) -> tuple[str, str]:
        raw = raw_scores(add, model, X)
        if len(model.classes_) > 2:
            return add("ArgMax", raw, axis=1, keepdims=0), add("Softmax", raw, axis=1)
        second = add("GreaterOrEqual" if ties_up else "Greater", raw, add.constant([0.0]))
        label = add("Reshape", add("Cast", second, to=TensorProto.INT64), add.constant([-1]))
        chance = add("Sigmoid", add("Mul", raw, add.constant([LINKS[type(model._loss.link).__name__]])))
        return label, add("Concat", add("Sub", add.constant([1.0]), chance), chance, axis=1)

    return convert


def _histogram_regressor(add: Graph, model: Any, X: str) -> str:
    raw = _histogram(add, model, X)
    match type(model._loss.link).__name__:
        case "IdentityLink":
            return raw
        case "LogLink":
            return add("Exp", raw)
        case link:
            raise ValueError(f"its loss function has a {link}")


CLASSIFIERS: Final = {
    DecisionTreeClassifier: _forest_classifier,
    ExtraTreeClassifier: _forest_classifier,
    RandomForestClassifier: _forest_classifier,
    ExtraTreesClassifier: _forest_classifier,
    GradientBoostingClassifier: _boosting_classifier(_gradient, ties_up=True),
    HistGradientBoostingClassifier: _boosting_classifier(_histogram, ties_up=False),
}
REGRESSORS: Final = {
    DecisionTreeRegressor: _forest_regressor,
    ExtraTreeRegressor: _forest_regressor,
    RandomForestRegressor: _forest_regressor,
    ExtraTreesRegressor: _forest_regressor,
    GradientBoostingRegressor: _gradient,
    HistGradientBoostingRegressor: _histogram_regressor,
}


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    add, model = Graph(scope, container), operator.raw_operator
    X = add.to_double(operator.inputs[0].full_name)
    index, chances = CLASSIFIERS[type(model)](add, model, X)
    classes = model.classes_ if model.classes_.dtype.kind in "UO" else model.classes_.astype(np.int64)
    add("Gather", add.constant(classes), index, out=operator.outputs[0].full_name, axis=0)
    add("Identity", chances, out=operator.outputs[1].full_name)


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    add, model = Graph(scope, container), operator.raw_operator
    result = REGRESSORS[type(model)](add, model, add.to_double(operator.inputs[0].full_name))
    add("Identity", result, out=operator.outputs[0].full_name)


def _classifier_shape(operator: Any) -> None:
    calculate_linear_classifier_output_shapes(operator)
    operator.outputs[1].set_type(DoubleTensorType(operator.outputs[1].type.shape))


def _regressor_shape(operator: Any) -> None:
    operator.outputs[0].set_type(DoubleTensorType([None, 1]))


def register() -> None:
    """Tell skl2onnx to convert these with us. Any number of times."""
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}
    for kind in CLASSIFIERS:
        update_registered_converter(
            kind, f"Anneal{kind.__name__}", _classifier_shape, _classifier, overwrite=True, options=options
        )
    for kind in REGRESSORS:
        update_registered_converter(kind, f"Anneal{kind.__name__}", _regressor_shape, _regressor, overwrite=True)
