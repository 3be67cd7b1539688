"""A fitted pipeline as skops bytes in canonical form: the same model gives the same bytes, whenever and wherever it was written.

skops writes the addresses of objects into its schema, the time into its zip entries, and structured arrays with whatever lay in
the gaps between their fields. None of that says anything about the model: it is left out, and arrays are named by their content.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
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
    with tempfile.TemporaryFile() as raw:
        try:
            skops.io.dump(pipeline, raw)
        except Exception as e:  # skops raises TypeError, UnsupportedTypeException, AttributeError
            raise ModelError(
                f"cannot save the model with skops: {one_line(e)}; use scikit-learn's estimators, without functions of your own"
            ) from e
        with zipfile.ZipFile(raw) as archive:
            return _rewritten(archive)


def _rewritten(source: zipfile.ZipFile) -> bytes:
    out = io.BytesIO()
    names: dict[str, str] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:  # stored: what zlib answers depends on its version
        for name in source.namelist():  # in the order in which the model holds them; one at a time, forests are large
            if name == SCHEMA:
                continue
            data = _canonical_array(source.read(name)) if name.endswith(".npy") else source.read(name)
            names[name] = f"{hashlib.sha256(data).hexdigest()[:32]}.{name.rpartition('.')[2]}"
            if names[name] not in target.NameToInfo:
                target.writestr(_entry(names[name]), data)
        schema = _canonical(json.loads(source.read(SCHEMA)), names)
        target.writestr(_entry(SCHEMA), json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode())
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry


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
