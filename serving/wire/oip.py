"""The Open Inference Protocol v2: one input tensor for each column, outputs "predictions"-by-name, JSON or the binary extension.

outputs[0] is the prediction in the target's own labels, named after the target; outputs[1] the probabilities, one column a class.
https://github.com/kserve/open-inference-protocol; the binary extension is Triton's, which its clients use by default.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

import orjson

from modelstore.signature import Signature
from serving.message import Columns
from serving.wire.columns import FieldError, Invalid, check, known, wrong
from serving.wire.rows import parse_json

HEADER: Final = "Inference-Header-Content-Length"
PROBABILITIES: Final = "probabilities"
MAX_OUTPUTS: Final = 8
_ARRAYS: Final = {
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "FP32": "f", "FP64": "d",
}  # fmt: skip
_TAKES: Final = {
    "numeric": frozenset({*_ARRAYS, "FP16"}),
    "boolean": frozenset({"BOOL", *_ARRAYS, "FP16"}),
    "categorical": frozenset({"BYTES"}),
    "datetime": frozenset({"BYTES"}),
}


@dataclass(slots=True)
class Request:
    """What was asked."""

    columns: Columns
    rows: int
    id: str | None = None
    outputs: list[tuple[str, bool]] | None = None
    """Names of the outputs that are wanted, and whether in binary; None: all."""
    binary: bool = False
    """Whether outputs are binary where the request does not say."""


def decode(signature: Signature, body: bytes, header_length: str | None, max_rows: int) -> Request:
    """Raises Invalid with paths such as inputs[2].data[0]."""
    head, tail = _split(body, header_length)
    values = parse_json(head)
    if not isinstance(values, dict):
        raise wrong("", "expected an object with inputs")
    inputs = values.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise wrong("inputs", "expected a list with one tensor for each input of the model")
    places: dict[str, int] = {}
    for i, tensor in enumerate(inputs):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise wrong(f"inputs[{i}]", "expected a tensor: name, shape, datatype, data")
        if tensor["name"] in places:
            raise wrong(f"inputs[{i}].name", "this input was given before")
        places[tensor["name"]] = i
    if len(places) != len(signature.inputs) or any(column.name not in places for column in signature.inputs):
        known(signature, places, lambda name: f"inputs[{places[name]}].name" if name in places else f'inputs["{name}"]')
    return _request(signature, values, _tensors(signature, inputs, places, tail, max_rows))


def _tensors(
    signature: Signature, inputs: list[Any], places: dict[str, int], tail: memoryview, max_rows: int
) -> tuple[Columns, int]:
    rows, at = -1, 0
    columns: Columns = {}
    errors: list[FieldError] = []
    kinds = {column.name: column for column in signature.inputs}
    for i, tensor in enumerate(inputs):
        column, path = kinds[tensor["name"]], f"inputs[{i}]"
        count = _rows_of(tensor.get("shape"), path)
        if rows not in {-1, count}:
            raise wrong(f"{path}.shape", f"{count} rows, but the inputs before have {rows}")
        rows = count
        if rows > max_rows:
            raise wrong(f"{path}.shape", f"{rows} rows are too many: {max_rows} at most")
        datatype = tensor.get("datatype")
        if not isinstance(datatype, str) or datatype not in _TAKES[column.kind]:
            raise wrong(f"{path}.datatype", f"expected {column.datatype}, got {str(datatype)[:20]}")
        size = (
            (tensor.get("parameters") or {}).get("binary_data_size")
            if isinstance(tensor.get("parameters"), dict | None)
            else None
        )
        if size is not None:
            if not isinstance(size, int) or not 0 <= size <= len(tail) - at:
                raise wrong(f"{path}.parameters.binary_data_size", "does not fit the body")
            data = _from_binary(datatype, tail[at : at + size], rows, path)
            at += size
        else:
            data = _flat(tensor.get("data"), rows, path)
        try:
            columns[column.name] = check(column, data, partial(_place, path))
        except Invalid as error:
            errors += error.errors
    if at != len(tail):
        raise wrong("", f"{len(tail) - at} bytes after the last binary tensor")
    if errors:
        raise Invalid(errors)
    # tensors come in any order, columns in the signature's: messages are merged column by column
    return {name: columns[name] for name in signature.names()}, rows


def _place(path: str, n: int) -> str:
    return f"{path}.data[{n}]"


def _request(signature: Signature, values: dict[str, Any], tensors: tuple[Columns, int]) -> Request:
    columns, rows = tensors
    parameters = values.get("parameters")
    request = Request(columns, rows, binary=isinstance(parameters, dict) and parameters.get("binary_data_output") is True)
    if (given := values.get("id")) is not None:
        if not isinstance(given, str) or len(given) > 256:
            raise wrong("id", "expected a text of 256 characters at most")
        request.id = given
    if (outputs := values.get("outputs")) is not None:
        if not isinstance(outputs, list) or len(outputs) > MAX_OUTPUTS:
            raise wrong("outputs", f"expected a list of {MAX_OUTPUTS} outputs at most")
        request.outputs = [_output(signature, one, i, request.binary) for i, one in enumerate(outputs)] or None
    return request


def _output(signature: Signature, value: Any, i: int, binary: bool) -> tuple[str, bool]:
    names = [name for name, _, _ in outputs_of(signature)]
    if not isinstance(value, dict) or value.get("name") not in names:
        raise wrong(f"outputs[{i}].name", f"the model's outputs are {', '.join(names)}")
    parameters = value.get("parameters")
    own = parameters.get("binary_data") if isinstance(parameters, dict) else None
    if isinstance(parameters, dict) and parameters.get("classification"):
        raise wrong(f"outputs[{i}].parameters.classification", "is not offered; the outputs are labels and probabilities already")
    return value["name"], own if isinstance(own, bool) else binary


def _split(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if not header_length.isdecimal() or len(header_length) > 12 or int(header_length) > len(body):
        raise wrong("", f"{HEADER} does not fit the body")
    length = int(header_length)
    return body[:length], memoryview(body)[length:]


def _rows_of(shape: Any, path: str) -> int:
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 2:
        raise wrong(f"{path}.shape", "expected [rows] or [rows, 1]")
    if len(shape) == 2 and shape[1] != 1:
        raise wrong(f"{path}.shape", "expected [rows, 1]: a column is a tensor of its own")
    if shape[0] < 1:
        raise wrong(f"{path}.shape", "expected at least one row")
    return int(shape[0])


def _flat(data: Any, rows: int, path: str) -> list[Any]:
    if not isinstance(data, list):
        raise wrong(f"{path}.data", "expected a list")
    if data and all(type(one) is list for one in data):
        data = list(chain.from_iterable(data))
    if len(data) != rows:
        raise wrong(f"{path}.data", f"{len(data)} values, but the shape says {rows}")
    return list(data)


def _from_binary(datatype: str, data: memoryview, rows: int, path: str) -> list[Any]:
    if datatype == "BYTES":
        return _texts(data, rows, path)
    size = 1 if datatype == "BOOL" else 2 if datatype == "FP16" else array(_ARRAYS[datatype]).itemsize
    if len(data) != rows * size:
        raise wrong(f"{path}.parameters.binary_data_size", f"{len(data)} bytes, but the shape says {rows * size}")
    if datatype == "BOOL":
        return [byte != 0 for byte in data]
    if datatype == "FP16":
        return list(struct.unpack(f"<{rows}e", data))
    values = array(_ARRAYS[datatype])
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def _texts(data: memoryview, rows: int, path: str) -> list[Any]:
    found: list[Any] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data) or len(found) == rows:
            raise wrong(path, "the texts do not fit the shape")
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if at + length > len(data):
            raise wrong(path, "a text is longer than the tensor")
        try:
            found.append(str(data[at : at + length], "utf-8"))
        except UnicodeDecodeError:
            raise wrong(f"{path}.data[{len(found)}]", "the text is not UTF-8") from None
        at += length
    if len(found) != rows:
        raise wrong(path, f"{len(found)} texts, but the shape says {rows}")
    return found


# --- answers ----------------------------------------------------------------------------------------------------------------


def outputs_of(signature: Signature) -> list[tuple[str, str, list[int]]]:
    """Name, datatype and shape of the outputs."""
    target = signature.target
    if target.classes is None:
        return [(target.name, "FP64", [-1])]
    first = (target.name, _datatype(target.classes), [-1])
    name = PROBABILITIES if target.name != PROBABILITIES else f"{PROBABILITIES}_of_classes"
    return [first, (name, "FP64", [-1, len(target.classes)])]


def _datatype(labels: list[Any]) -> str:
    kinds = set(map(type, labels))
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds <= {int, float} else "BYTES"


def encode(
    signature: Signature, request: Request, labels: list[Any], probabilities: list[list[float]] | None, model: str, version: str
) -> tuple[bytes, int | None]:
    """The answer, and the length of its JSON part if binary tensors follow."""
    offered = outputs_of(signature)
    wanted = request.outputs or [(name, request.binary) for name, _, _ in offered]
    tensors, tail = [], b""
    for name, binary in wanted:
        first = name == offered[0][0]
        if not first and probabilities is None:
            continue
        datatype = offered[0][1] if first else "FP64"
        values = [str(label) for label in labels] if first and datatype == "BYTES" else labels
        shape = [len(labels)] if first else [len(labels), len(signature.target.classes or ())]
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if not binary and first:
            tensor["data"] = values
        elif not binary:
            tensor["data"] = list(chain.from_iterable(probabilities or ()))
        else:
            raw = _to_binary(datatype, values if first else list(chain.from_iterable(probabilities or ())))
            tensor["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        tensors.append(tensor)
    head: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": tensors}
    if request.id is not None:
        head["id"] = request.id
    body = orjson.dumps(head)
    return (body + tail, len(body)) if any(binary for _, binary in wanted) else (body, None)


def _to_binary(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if datatype == "BOOL":
        return bytes(1 if value else 0 for value in values)
    packed = array(_ARRAYS[datatype], [float("nan") if value is None else value for value in values])
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def metadata(signature: Signature, model: str, versions: list[str]) -> dict[str, Any]:
    """What GET /v2/models/<name> says."""
    return {
        "name": model,
        "versions": versions,
        "platform": "anneal",
        "inputs": [{"name": column.name, "datatype": column.datatype, "shape": [-1]} for column in signature.inputs],
        "outputs": [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in outputs_of(signature)],
    }
