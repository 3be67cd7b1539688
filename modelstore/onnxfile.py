"""An ONNX file that somebody brings: what it must not hold, and what can be read off it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from modelstore.errors import ModelError, Unsafe, one_line
from modelstore.signature import Column, Datatype, Kind, Label, Signature, Target

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operators that ONNX Runtime brings along; others would need a library of somebody's."""
KINDS: Final[dict[int, tuple[Datatype, Kind]]] = {
    TensorProto.STRING: ("BYTES", "categorical"), TensorProto.BOOL: ("BOOL", "boolean"), TensorProto.FLOAT: ("FP64", "numeric"),
    TensorProto.DOUBLE: ("FP64", "numeric"), TensorProto.INT64: ("INT64", "numeric"), TensorProto.INT32: ("INT64", "numeric"),
}  # fmt: skip


def read(data: bytes, file: str) -> onnx.ModelProto:
    """Parse and check. Unsafe: it refers to other files, or needs operators from elsewhere; it is no ONNX."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as e:
        raise Unsafe(file, "it is no ONNX file") from e
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise Unsafe(file, f"its tensor {tensor.name[:60]!r} lies in another file")
    if strange := sorted({node.domain for node in _nodes(model.graph)} - DOMAINS):
        raise Unsafe(file, f"it needs operators of {strange[0][:60]!r}")
    if model.functions or model.training_info:
        raise Unsafe(file, "it holds functions or training steps")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as e:
        raise Unsafe(file, f"it is not valid ONNX: {one_line(e)}") from e
    return model


def signature_of(model: onnx.ModelProto) -> Signature:
    """What the graph itself tells of inputs and target. ModelError: not enough."""
    outputs = [output.type.tensor_type.elem_type for output in model.graph.output]
    label_first = bool(outputs) and outputs[0] in (TensorProto.STRING, TensorProto.INT64) and len(outputs) > 1
    if not label_first and (not outputs or outputs[0] not in (TensorProto.FLOAT, TensorProto.DOUBLE)):
        raise ModelError(
            "cannot read the model's signature off its graph: it answers neither labels and probabilities nor a number; "
            "bring a signature.json"
        )
    target = (
        Target(name="prediction", task="classification", classes=_classes(model))
        if label_first
        else Target(name="prediction", task="regression")
    )
    return Signature(inputs=_inputs(model), target=target)


def _inputs(model: onnx.ModelProto) -> list[Column]:
    constants = {tensor.name for tensor in model.graph.initializer}
    found = [one for one in model.graph.input if one.name not in constants]
    columns = []
    for one in found:
        tensor = one.type.tensor_type
        width = tensor.shape.dim[1].dim_value if len(tensor.shape.dim) == 2 else 1
        if tensor.elem_type not in KINDS or len(tensor.shape.dim) not in (1, 2) or (width != 1 and len(found) != 1):
            raise ModelError(
                f"cannot read the model's signature off its graph: input {one.name[:60]!r} is no column; bring a signature.json"
            )
        datatype, kind = KINDS[tensor.elem_type]
        names = [one.name] if width <= 1 else [f"x{i}" for i in range(width)]
        columns += [Column(name=name, datatype=datatype, kind=kind, nullable=kind == "categorical") for name in names]
    return columns


def _classes(model: onnx.ModelProto) -> list[Label]:
    for node in _nodes(model.graph):
        for attribute in node.attribute:
            if attribute.name in ("classlabels_strings", "classlabels_int64s", "classlabels_ints") and (
                attribute.strings or attribute.ints
            ):
                return [text.decode() for text in attribute.strings] or list(attribute.ints)
    for tensor in model.graph.initializer:
        if tensor.name == "classes":
            return [one.decode() if isinstance(one, bytes) else one for one in numpy_helper.to_array(tensor).ravel().tolist()]
    raise ModelError(
        "cannot read the model's classes off its graph; bring a signature.json that lists them in the order of the probabilities"
    )


def _nodes(graph: onnx.GraphProto) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for inner in _subgraphs(node):
            yield from _nodes(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for inner in _subgraphs(node):
            yield from _tensors(inner)


def _subgraphs(node: Any) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
