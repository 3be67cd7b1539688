"""A fitted pipeline as skops bytes in canonical form: the same model gives the same bytes, whenever and wherever it was written.

skops writes the addresses of objects into its schema, the time into its zip entries, and structured arrays with whatever lay in
the gaps between their fields. None of that says anything about the model: it is left out, and arrays are named by their content.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any, Final

import numpy as np
import skops.io

from modelstore.errors import ModelError, one_line

SCHEMA: Final = "schema.json"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip entry can carry."""


def dumps(pipeline: Any) -> bytes:
    """Write a fitted estimator. ModelError: it holds something that skops cannot write, such as a function of one's own."""
    try:
        raw = skops.io.dumps(pipeline)
    except Exception as e:  # skops raises TypeError, UnsupportedTypeException, AttributeError
        raise ModelError(
            f"cannot save the model with skops: {one_line(e)}; use estimators of scikit-learn only, without functions of your own"
        ) from e
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop(SCHEMA))
    contents = {name: _canonical_array(data) if name.endswith(".npy") else data for name, data in files.items()}
    names = {name: f"{hashlib.sha256(data).hexdigest()[:32]}.{name.rpartition('.')[2]}" for name, data in contents.items()}
    text = json.dumps(_canonical(schema, names), ensure_ascii=False, separators=(",", ":")).encode()
    return _archive({SCHEMA: text, **{names[name]: data for name, data in contents.items()}})


def _canonical(node: Any, names: dict[str, str]) -> Any:
    """The schema without addresses. Order stays (it is the order of attributes), but for sets, which have none."""
    if isinstance(node, list):
        return [_canonical(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _canonical(value, names) for key, value in node.items() if key != "__id__" or "__loader__" not in node}
    if isinstance(file := node.get("file"), str) and file in names and "__loader__" in node:
        inner["file"] = names[file]
    if node.get("__loader__") == "SetNode":
        inner["content"] = sorted(inner["content"], key=lambda item: json.dumps(item, sort_keys=True))
    return inner


def _canonical_array(data: bytes) -> bytes:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    clean = np.zeros(array.shape, dtype=array.dtype)  # padding between the fields included
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # stored: what zlib answers depends on its version
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, files[name])
    return out.getvalue()
