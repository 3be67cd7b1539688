"""A model in ONNX Runtime. A single row takes 20 to 40 µs, so little is done per call: the interpreter is the slow part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from modelstore import manifest
from modelstore.columns import READERS
from modelstore.errors import ModelError, TooLarge, one_line
from modelstore.predictor import Columns, Prediction, plain_labels
from modelstore.signature import Signature

CHUNK: Final = 8192
"""Rows per call: bounds the memory that a large batch takes."""
NO_MEMORY: Final = ("bad_alloc", "Failed to allocate memory")
"""How ONNX Runtime says that it got no memory: it has no error of its own for that."""
DTYPES: Final = {
    "tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_, "tensor(string)": np.object_,
}  # fmt: skip


class OnnxModel:
    """Runs a graph with one input per column, [rows, 1] or [rows], or with a single input [rows, columns]."""

    def __init__(self, data: bytes, signature: Signature) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = (
            1  # rows come one or a few at a time: a thread pool costs more than it gives, and workers are many
        )
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as e:  # onnxruntime's errors have no common base
            if any(word in str(e) for word in NO_MEMORY):
                raise TooLarge(manifest.ONNX) from e
            raise ModelError(
                f"cannot load the ONNX model: {one_line(e, 300)}; convert it for ONNX Runtime {onnxruntime.__version__}"
            ) from e
        self._run = session.run
        self._outputs = [output.name for output in session.get_outputs()][:2]
        self._classes = signature.target.classes
        self._maps = self._outputs[1:] != [] and "map" in session.get_outputs()[1].type
        self._feed, self._first = _feeding(session.get_inputs(), signature)

    def run(self, columns: Columns) -> Prediction:
        """Predict."""
        try:
            rows = len(columns[self._first])
        except KeyError:
            raise ValueError(f"cannot predict: column {self._first!r} is missing") from None
        if rows <= CHUNK:
            return self._chunk(columns, rows)
        parts = [
            self._chunk({name: values[at : at + CHUNK] for name, values in columns.items()}, min(CHUNK, rows - at))
            for at in range(0, rows, CHUNK)
        ]
        chances = None if parts[0].probabilities is None else [row for part in parts for row in part.probabilities or ()]
        return Prediction([label for part in parts for label in part.labels], chances)

    def _chunk(self, columns: Columns, rows: int) -> Prediction:
        if rows == 0:
            return Prediction([], [] if len(self._outputs) > 1 and self._classes is not None else None)
        found = self._run(self._outputs, self._feed(columns, rows))
        labels = found[0].ravel().tolist()
        if self._classes is None:
            return Prediction(labels, None)
        return Prediction(plain_labels(labels, self._classes), self._chances(found[1]) if len(found) > 1 else None)

    def _chances(self, found: Any) -> list[list[float]]:
        if not self._maps:
            table: list[list[float]] = found.tolist()
            return table
        return [[float(row.get(label, 0.0)) for label in self._classes or ()] for row in found]


Feed = Callable[[Columns, int], dict[str, NDArray[Any]]]


def _feeding(inputs: list[Any], signature: Signature) -> tuple[Feed, str]:
    names = signature.names()
    if {one.name for one in inputs} <= set(names):  # columns that say nothing were dropped
        return _by_column(inputs, signature), names[0]
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 2 or (shape[1] not in (len(names), None) and isinstance(shape[1], int)):
        raise ModelError(
            f"cannot use the ONNX model: its inputs {[one.name for one in inputs][:8]} are neither one per column of the "
            f"signature, named after it, nor a single one of {len(names)} columns; correct the signature"
        )
    return _as_matrix(inputs[0], signature), names[0]


def _by_column(inputs: list[Any], signature: Signature) -> Feed:
    kinds = dict(signature.kinds())
    plan = [(one.name, READERS[kinds[one.name]], DTYPES[one.type], len(one.shape) == 2) for one in inputs]

    def feed(columns: Columns, rows: int) -> dict[str, NDArray[Any]]:
        feeds: dict[str, NDArray[Any]] = {}
        for name, read, dtype, flat in plan:
            try:
                values = read(columns[name])
            except KeyError:
                raise ValueError(f"cannot predict: column {name!r} is missing") from None
            except ValueError as e:
                raise ValueError(f"cannot read column {name!r}: {e}") from None
            if values.shape != (rows,):
                raise ValueError(f"cannot predict: column {name!r} is not a list of {rows} values, as the first column is")
            if values.dtype != dtype:
                values = _as(values, dtype, name)
            feeds[name] = values.reshape(rows, 1) if flat else values
        return feeds

    return feed


def _as_matrix(matrix: Any, signature: Signature) -> Feed:
    kinds, dtype = signature.kinds(), DTYPES[matrix.type]

    def feed(columns: Columns, rows: int) -> dict[str, NDArray[Any]]:
        read = []
        for name, kind in kinds:
            if name not in columns:
                raise ValueError(f"cannot predict: column {name!r} is missing")
            values = READERS[kind](columns[name])
            if values.shape != (rows,):
                raise ValueError(f"cannot predict: column {name!r} is not a list of {rows} values, as the first column is")
            read.append(_as(values, dtype, name))
        return {matrix.name: np.column_stack(read)}

    return feed


def _as(values: NDArray[Any], dtype: Any, name: str) -> NDArray[Any]:
    if dtype in (np.int64, np.int32, np.bool_) and not np.isfinite(values).all():
        raise ValueError(f"cannot predict: column {name!r} has a missing value, which this model does not know")
    return values.astype(dtype)
