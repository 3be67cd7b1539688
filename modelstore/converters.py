"""Our transformers as ONNX, for skl2onnx. Inputs: one tensor [rows, 1] per column, text for categories, else double.

Everything stays in double precision: thresholds of trees lie exactly on values of the table, and float32 would tip them over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

from modelstore import moments, naming, trees
from modelstore.graph import ML, Graph
from modelstore.transformers import Prepare, Select


def input_types(columns: Sequence[tuple[str, str]]) -> list[tuple[str, Any]]:
    """Name and ONNX type of each input."""
    return [
        (name, StringTensorType([None, 1]) if kind == "categorical" else DoubleTensorType([None, 1])) for name, kind in columns
    ]


def _prepare_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None, len(operator.raw_operator.features_)])


def _prepare_parse(scope: Any, model: Prepare, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    operator = scope.declare_local_operator("AnnealPrepare", model)
    operator.inputs.extend(inputs)
    operator.outputs.append(scope.declare_local_variable("prepared", DoubleTensorType()))
    return list(operator.outputs)


def _convert_prepare(scope: Any, operator: Any, container: Any) -> None:
    prepare: Prepare = operator.raw_operator
    names = {naming.decode(variable.raw_name): variable.full_name for variable in operator.inputs}
    add = Graph(scope, container)
    blocks = _numbers(add, prepare, names)
    for column in prepare.categorical_:
        categories, table = prepare.categories_[column], prepare.tables_[column]
        codes = add(
            "LabelEncoder", names[column], domain=ML,
            keys_strings=categories, values_int64s=list(range(len(categories))), default_int64=len(categories),
        )  # fmt: skip
        rows = add("Gather", add.constant(table), codes, axis=0)  # [rows, 1, width]
        blocks.append(add("Reshape", rows, add.constant([-1, table.shape[1]])))
    out = operator.outputs[0].full_name
    if len(blocks) > 1:
        add("Concat", *blocks, out=out, axis=1)
    else:
        add("Identity", *blocks, out=out)


def _numbers(add: Graph, prepare: Prepare, names: dict[str, str]) -> list[str]:
    plain = [*prepare.numeric_, *prepare.datetime_]
    if not plain:
        return []
    raw = add("Concat", *(names[column] for column in plain), axis=1)
    missing = add("IsNaN", add("Sub", raw, raw))  # infinite minus infinite is no number either
    filled = add("Where", missing, add.constant(prepare.fill_), raw)
    parts = [filled]
    if prepare.datetime_:
        split = len(prepare.numeric_)
        parts = [add("Gather", filled, add.constant(np.arange(split)), axis=1)] if split else []
        parts += [_moments(add, add("Gather", filled, add.constant([split + i]), axis=1)) for i in range(len(prepare.datetime_))]
    if len(prepare.gaps_):
        flags = add("Gather", missing, add.constant(prepare.gaps_), axis=1)
        parts.append(add.to_double(flags))
    block = add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    centred = add("Sub", block, add.constant(prepare.mean_))
    return [add("Div", centred, add.constant(prepare.scale_))]


def _moments(add: Graph, seconds: str) -> str:
    days = add("Div", seconds, add.constant([moments.DAY]))
    angles = add("Add", add("Mul", seconds, add.constant(moments.FREQUENCIES)), add.constant(moments.PHASES))
    return add("Concat", days, add("Sin", angles), axis=1)


def _select_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None, len(operator.raw_operator.indices_)])


def _convert_select(scope: Any, operator: Any, container: Any) -> None:
    add = Graph(scope, container)
    chosen = add.constant(operator.raw_operator.indices_)
    add("Gather", operator.inputs[0].full_name, chosen, out=operator.outputs[0].full_name, axis=1)


def register() -> None:
    """Tell skl2onnx of our transformers and trees. Any number of times."""
    trees.register()
    update_registered_converter(Prepare, "AnnealPrepare", _prepare_shape, _convert_prepare, parser=_prepare_parse, overwrite=True)
    update_registered_converter(Select, "AnnealSelect", _select_shape, _convert_select, overwrite=True)
