"""A model that a user brings: a skops or an ONNX file, or a package as a folder. It becomes a package like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from modelstore import manifest
from modelstore.errors import ModelError, Unsafe, one_line
from modelstore.golden import golden
from modelstore.inference import label
from modelstore.packaging import Packaged, package, write
from modelstore.predictor import load, runs
from modelstore.sampling import sample
from modelstore.signature import Column, Signature, Target

Format = Literal["auto", "package", "skops", "onnx"]
ROWS: Final = 256
"""Made-up rows that the ONNX form of a brought skops file is compared on."""
GOLDEN: Final = 8


def bring(source: Path | str, folder: Path | str, *, format: Format = "auto", signature: Signature | None = None) -> Packaged:
    """Make a package in `folder` of what lies at `source`, a path on this machine.

    signature: of a model that tells too little of itself. "auto" looks at the file's end.
    Unsafe: it is no model that may be loaded. ModelError: its signature cannot be read off it, or does not fit.
    """
    path, into = Path(source), Path(folder)
    match kind_of(path) if format == "auto" else format:
        case "package":
            return _bring_package(path, into)
        case "onnx":
            return _bring_onnx(path, into, signature)
        case _:
            return _bring_skops(path, into, signature)


def kind_of(path: Path) -> Format:
    """What a path holds, by what it is called. Unsafe: neither a package, nor skops, nor ONNX."""
    if path.is_dir():
        return "package"
    match path.suffix.lower():
        case ".onnx":
            return "onnx"
        case ".skops":
            return "skops"
        case suffix:
            raise Unsafe(
                path.name, f"what ends in {suffix or 'nothing'} is neither .skops nor .onnx, and pickles are never loaded"
            )


def read_signature(path: Path | str) -> Signature:
    """A signature.json that a user wrote. ModelError names the field that is wrong."""
    try:
        return Signature.model_validate_json(Path(path).read_bytes())
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"cannot read the signature: {where}: {first['msg']}; correct it") from e


def _bring_package(path: Path, folder: Path) -> Packaged:
    """The files are kept as they are; the models among them are looked at as if each had come alone."""
    from modelstore import onnxfile, safety

    _, files = manifest.verify(path)
    if manifest.ONNX in files:
        onnxfile.read(files[manifest.ONNX], manifest.ONNX)
    if manifest.SKOPS in files:
        safety.loads(files[manifest.SKOPS], manifest.SKOPS, foreign=True)
    write(folder, files)
    found = load(folder)
    checked, wrong = found.check_golden()
    if wrong:
        raise ModelError(
            f"cannot use the package: {len(wrong)} of its {checked} golden rows are answered otherwise here; package it again"
        )
    return Packaged(found.digest, manifest.ONNX in files, str(found.metadata.get("note", "")))


def _bring_onnx(path: Path, folder: Path, signature: Signature | None) -> Packaged:
    from modelstore import onnxfile

    data = _bytes(path)
    model = onnxfile.read(data, path.name)
    chosen = _with_examples(signature or onnxfile.signature_of(model))
    inputs = sample(chosen, GOLDEN)
    try:
        recorded = golden(inputs, runs(data, chosen, "onnx").run(inputs))
        text = manifest.canonical_json(recorded)
    except ModelError:
        raise
    except Exception as e:  # onnxruntime's errors have no common base
        raise ModelError(
            f"cannot use the ONNX model: it fails on rows of its signature: {one_line(e)}; correct the signature"
        ) from e
    _look_at_answers(recorded, chosen)
    note = "brought as ONNX"
    files = {
        manifest.ONNX: data,
        manifest.SIGNATURE: manifest.canonical_json(chosen.model_dump(mode="json")),
        manifest.GOLDEN: text,
        manifest.METADATA: manifest.canonical_json({"format": 1, "formats": ["onnx"], "note": note, "brought": path.name}),
    }
    return Packaged(write(folder, files), onnx=True, note=note)


def _with_examples(signature: Signature) -> Signature:
    """The signature with a row to try: what has no example gets a value that it allows."""
    row = sample(signature, 1)
    columns = [
        column if column.example is not None else column.model_copy(update={"example": row[column.name][0]})
        for column in signature.inputs
    ]
    return signature.model_copy(update={"inputs": columns})


def _look_at_answers(recorded: dict[str, Any], signature: Signature) -> None:
    classes = signature.target.classes
    outputs = recorded["outputs"]
    if classes is None:
        return
    if strange := [one for one in outputs["labels"] if one not in classes]:
        raise ModelError(
            f"cannot use the ONNX model: it answers {strange[0]!r}, which is no class of the signature; correct the signature"
        )
    if any(len(row) != len(classes) for row in outputs["probabilities"] or ()):
        raise ModelError(
            "cannot use the ONNX model: it has not one probability per class of its signature; correct the signature"
        )


def _bring_skops(path: Path, folder: Path, signature: Signature | None) -> Packaged:
    from modelstore import safety

    estimator = safety.loads(_bytes(path), path.name, foreign=True)
    if not hasattr(estimator, "predict"):
        raise ModelError(
            f"cannot use {path.name} as a model: it holds a {type(estimator).__name__}, which predicts nothing; save a pipeline"
        )
    chosen = _with_examples(signature or signature_of(estimator))
    rows = sample(chosen, ROWS)
    first = {name: values[:GOLDEN] for name, values in rows.items()}
    about = {"brought": path.name, "estimator": f"{type(estimator).__module__}.{type(estimator).__name__}"}
    return package(
        folder, pipeline=estimator, signature=chosen, golden_rows=first, reference={}, metadata=about, perturb_rows=rows
    )


def signature_of(estimator: Any) -> Signature:
    """What a fitted estimator itself tells: its classes and its features, which are numbers unless it is one of ours."""
    classes = getattr(estimator, "classes_", None)
    labels = None if classes is None else [label(one) for one in classes]
    target = Target(name="prediction", task="regression" if labels is None else "classification", classes=labels)
    first: Any = estimator.steps[0][1] if hasattr(estimator, "steps") else None
    if type(first).__name__ == "Prepare":
        return Signature(inputs=[_prepared(first, name, kind) for name, kind in first.columns], target=target)
    names = getattr(estimator, "feature_names_in_", None)
    count = getattr(estimator, "n_features_in_", None)
    if names is None and count is None:
        raise ModelError(
            "cannot read the model's signature off it: it does not say how many features it takes; bring a signature.json"
        )
    every = [str(name) for name in names] if names is not None else [f"x{i}" for i in range(int(count or 0))]
    return Signature(inputs=[Column(name=name, datatype="FP64", kind="numeric", nullable=False) for name in every], target=target)


def _prepared(prepare: Any, name: str, kind: Any) -> Column:
    if kind == "categorical":
        known = [category for category in prepare.categories_.get(name, []) if category]
        return Column(name=name, datatype="BYTES", kind=kind, categories=known if 0 < len(known) <= 256 else None)
    return Column(name=name, datatype={"boolean": "BOOL", "datetime": "BYTES"}.get(kind, "FP64"), kind=kind)


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > manifest.MAX_MODEL:
            raise Unsafe(path.name, f"it is larger than {manifest.MAX_MODEL >> 20} MiB")
        return path.read_bytes()
    except OSError as e:
        raise ModelError(f"cannot read the model {path.name}: {e.strerror}; correct the path") from e
