"""A fitted pipeline as one ONNX graph: the raw columns in, labels and probabilities out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.exceptions import MissingShapeCalculator
from skl2onnx.sklapi import CastTransformer
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from modelstore import converters, naming
from modelstore.graph import ML, ML_WITH_DOUBLE_TREES, OPSET
from modelstore.signature import Signature
from modelstore.transformers import Prepare


class NotConvertible(Exception):
    """There is no ONNX form of this pipeline; the text says why in a line."""


def to_onnx(pipeline: Any, signature: Signature, *, single: bool = False) -> bytes:
    """The same bytes for the same pipeline. NotConvertible: no converter, or none that ONNX Runtime can run.

    single: the last step in single precision, for the few estimators whose operators know no other.
    """
    converters.register()
    last = pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) else pipeline
    whole = pipeline
    if single:
        if not isinstance(pipeline, Pipeline):
            raise NotConvertible("only a Pipeline converts in single precision")
        *before, (name, _) = pipeline.steps
        whole = Pipeline([*before, ("single", CastTransformer(dtype=np.float32)), (name, last)])
    inputs = converters.input_types(signature.kinds())
    if isinstance(pipeline, Pipeline) and isinstance(pipeline.steps[0][1], Prepare):  # others may choose columns by their names
        inputs = [(naming.encode(name), kind) for name, kind in inputs]
    try:
        try:
            model = _convert(whole, inputs, {id(last): {"zipmap": False}} if is_classifier(last) else None)
        except NameError:  # "Option 'zipmap' not in …": a classifier that has scores instead of probabilities
            model = _convert(whole, inputs, {id(last): {"raw_scores": True}})
    except MissingShapeCalculator as e:
        raise NotConvertible(f"there is no converter for {type(last).__name__}") from e
    except Exception as e:  # converters raise what they like
        raise NotConvertible(_line(e)) from e
    return _finished(model, classifier=is_classifier(last), probabilities=hasattr(last, "predict_proba"))


def _convert(pipeline: Any, inputs: list[tuple[str, Any]], options: dict[int, dict[str, Any]] | None) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: onnx.ModelProto = convert_sklearn(pipeline, "model", inputs, target_opset=OPSET, options=options)
    return model


def _finished(model: onnx.ModelProto, *, classifier: bool, probabilities: bool) -> bytes:
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))  # skl2onnx takes them from a set
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    if any(node.op_type == "TreeEnsemble" for node in model.graph.node):
        for opset in model.opset_import:
            if opset.domain == ML:
                opset.version = ML_WITH_DOUBLE_TREES
    names = ["label", "probabilities"] if classifier and probabilities else ["label" if classifier else "variable"]
    if len(model.graph.output) < len(names):
        raise NotConvertible(f"the graph has {len(model.graph.output)} outputs, {len(names)} are needed")
    del model.graph.output[len(names) :]  # scores of a classifier that knows no probabilities would be taken for them
    naming.restore(model.graph)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as e:
        raise NotConvertible(_line(e)) from e
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"
