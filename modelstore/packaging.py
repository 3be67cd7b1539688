"""Writing a package: skops always, ONNX where it converts and agrees, and what a reader needs to trust the two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from modelstore import manifest, safety
from modelstore.agreement import TOLERANCE, compare, plain, variants
from modelstore.errors import ModelError
from modelstore.golden import golden, wrong
from modelstore.inference import label
from modelstore.predictor import Engine, runs
from modelstore.signature import Signature
from modelstore.sklearnengine import SklearnModel
from modelstore.skopsfile import dumps

FORMAT: Final = 1
"""Version of the package's layout, in metadata.json."""
GOLDEN_ROWS: Final = 32


@dataclass(frozen=True, slots=True)
class Packaged:
    """A package as it was written."""

    digest: str
    """Its name."""
    onnx: bool
    """Whether it has an ONNX form."""
    note: str
    """How that was compared, or why there is none: a line for the status."""


def package(
    folder: Path | str,
    *,
    pipeline: Any,
    signature: Signature,
    golden_rows: Any,
    reference: Mapping[str, Any],
    metadata: Mapping[str, Any],
    perturb_rows: Any,
) -> Packaged:
    """Write a fitted pipeline into an empty folder (files of an earlier, unfinished attempt are replaced).

    golden_rows: a table (pandas DataFrame or dict of columns) of which up to 32 rows are kept with their answers.
    perturb_rows: the rows to compare ONNX on, training and held-out ones: as they are, nudged, with holes, with unseen values.
    reference: what `modelstore.reference` answers. metadata: anything that is JSON; NaN becomes null.

    The same pipeline, signature and golden rows give the same digest. ModelError: it cannot be saved, or answers differently once
    loaded again, or does not fit its signature.
    """
    _fits(pipeline, signature)
    kinds = signature.kinds()
    skops = dumps(pipeline)
    loaded = SklearnModel(safety.loads(skops), signature)
    tables = variants(perturb_rows, kinds)
    _answers_the_same(SklearnModel(pipeline, signature), loaded, tables["given"])
    onnx, note = _onnx(pipeline, signature, loaded, tables)

    inputs = {
        name: [_readable(value, kind) for value in values]
        for (name, kind), values in zip(kinds, _golden_inputs(golden_rows, kinds), strict=True)
    }
    recorded = golden(inputs, loaded.run(inputs))
    if onnx is not None and (bad := wrong(recorded, runs(onnx, signature, "onnx").run(inputs))):
        onnx, note = None, f"no ONNX: golden rows {bad[:8]} are answered differently"
    files = {
        manifest.SKOPS: skops,
        manifest.SIGNATURE: manifest.canonical_json(signature.model_dump(mode="json")),
        manifest.GOLDEN: manifest.canonical_json(recorded),
        manifest.REFERENCE: manifest.canonical_json(jsonable(reference)),
        manifest.METADATA: manifest.canonical_json(_metadata(metadata, ["skops"] + ["onnx"] * (onnx is not None), note)),
    }
    return Packaged(write(Path(folder), files | ({manifest.ONNX: onnx} if onnx is not None else {})), onnx is not None, note)


def write(folder: Path, files: Mapping[str, bytes]) -> str:
    """Write the files of a package and, last, its manifest; answer the digest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (manifest.MANIFEST, *manifest.FILES):
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return manifest.write(folder)


def jsonable(value: Any) -> Any:
    """As JSON can say it: numpy's scalars and arrays as Python's, NaN and infinity as null, keys as text."""
    match value:
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [jsonable(item) for item in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
        case np.ndarray():
            return jsonable(value.tolist())
        case np.generic():
            return jsonable(value.item())
        case float():
            return value if math.isfinite(value) else None
        case str() | bool() | int() | None:
            return value
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _onnx(pipeline: Any, signature: Signature, loaded: SklearnModel, tables: dict[str, Any]) -> tuple[bytes | None, str]:
    from modelstore.conversion import NotConvertible, to_onnx

    causes = []
    for precision in ("double", "single"):
        try:
            data = to_onnx(pipeline, signature, single=precision == "single")
            engine: Engine = "onnx"
            found = compare(loaded, runs(data, signature, engine), tables, TOLERANCE[precision])
        except (NotConvertible, ModelError) as e:
            causes.append(str(e))
            continue
        if found.fault is None:
            rows = f"{found.rows} rows: given, perturbed, with missing and with unseen values"
            return data, f"ONNX agrees on {rows} (largest difference {found.worst:.1g})"
        causes.append(found.fault)
    return None, f"no ONNX: {causes[0]}"[:900]


def _fits(pipeline: Any, signature: Signature) -> None:
    want = signature.target.classes
    if want is None:
        return
    have = getattr(pipeline, "classes_", None)
    if have is not None and [label(one) for one in have] != want:
        raise ModelError(
            f"cannot package the model: its classes are {list(have)[:8]}, its signature's are {want[:8]}; use `pipeline.classes_`"
        )


def _answers_the_same(fitted: SklearnModel, loaded: SklearnModel, columns: dict[str, Any]) -> None:
    found = compare(fitted, loaded, {"given": columns}, TOLERANCE["double"])
    if found.fault:
        raise ModelError(
            f"cannot package the model: loaded again, {found.fault}; its estimator keeps state that skops does not save"
        )


def _golden_inputs(table: Any, kinds: Sequence[tuple[str, str]]) -> list[list[Any]]:
    return [values[:GOLDEN_ROWS] for values in plain(table, kinds).values()]


def _readable(value: Any, kind: str) -> Any:
    if value is None:
        return None
    match kind:
        case "boolean":
            return bool(value)
        case "datetime":
            return datetime.fromtimestamp(value, UTC).replace(tzinfo=None).isoformat()
        case "numeric":
            return int(value) if float(value).is_integer() and abs(value) < 2**53 else value
        case _:
            return value


def _metadata(metadata: Mapping[str, Any], formats: list[str], note: str) -> dict[str, Any]:
    found: dict[str, Any] = jsonable(metadata)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **found,
        "format": FORMAT,
        "formats": formats,
        "note": note,
    }
