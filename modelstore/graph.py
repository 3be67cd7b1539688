"""Adding nodes to an ONNX graph that skl2onnx builds, by what they compute. Everything is double precision."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from onnx import TensorProto

ML: Final = "ai.onnx.ml"
OPSET: Final = {"": 18, ML: 3}
"""What skl2onnx is asked for: the highest of ai.onnx.ml that it knows."""
ML_WITH_DOUBLE_TREES: Final = 5
"""The first ai.onnx.ml with trees in double precision throughout; our nodes of it are declared as of OPSET until the end."""

_TYPES: Final = {"i": (TensorProto.INT64, np.int64), "f": (TensorProto.DOUBLE, np.float64)}


class Graph:
    """`add("Mul", a, b)` adds a node and answers the name of its output."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def __call__(self, op: str, *inputs: str, out: str | None = None, domain: str = "", **attributes: Any) -> str:
        """One node. `out`: the name its output must have; else a new one."""
        result = out or str(self._scope.get_unique_variable_name(op.lower()))
        name = self._scope.get_unique_operator_name(op)
        self._container.add_node(op, list(inputs), [result], op_domain=domain, op_version=OPSET[domain], name=name, **attributes)
        return result

    def constant(self, values: Any) -> str:
        """An array of doubles, of integers, or of texts."""
        array = np.asarray(values)
        name = str(self._scope.get_unique_variable_name("constant"))
        if array.dtype.kind in "UO":
            self._container.add_initializer(
                name, TensorProto.STRING, list(array.shape), [text.encode() for text in array.ravel().tolist()]
            )
            return name
        kind, dtype = _TYPES["f" if array.dtype.kind == "f" else "i"]
        self._container.add_initializer(name, kind, list(array.shape), array.astype(dtype).ravel().tolist())
        return name

    def to_double(self, tensor: str) -> str:
        """Whatever it is, as double."""
        return self("Cast", tensor, to=TensorProto.DOUBLE)

    def through_float32(self, tensor: str) -> str:
        """Rounded to float32, in double: what scikit-learn's trees and forests compare with their thresholds."""
        return self.to_double(self("Cast", tensor, to=TensorProto.FLOAT))
