"""Answering: a package, loaded. Where it has ONNX, with ONNX Runtime and numpy; scikit-learn is then never imported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from modelstore import manifest
from modelstore.errors import Corrupt, ModelError
from modelstore.memory import limit
from modelstore.signature import Label, Signature

Engine = Literal["onnx", "sklearn"]
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Answers, one per row."""

    labels: list[Any]
    """In the target's own labels; numbers for a regression."""
    probabilities: list[list[float]] | None
    """Per row, in the order of `signature.target.classes`; None if the model knows none."""


class Runs(Protocol):
    """An engine with a model in it."""

    def run(self, columns: Columns) -> Prediction:
        """Predict. ValueError: a column is missing or cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model that is ready to answer. Safe to share between threads."""

    digest: str
    """Of the package."""
    signature: Signature
    """What it takes and answers."""
    metadata: dict[str, Any]
    """Metrics, parameters, lineage: as they were packaged."""
    engine: Engine
    """What computes."""
    model: Runs
    golden: dict[str, Any]

    def predict(self, columns: Columns) -> Prediction:
        """Answer rows given as a dict of columns, all of the same length. Missing is None, NaN or an empty text.

        ValueError: a column of the signature is missing, of another length, or holds what its kind cannot be.
        """
        return self.model.run(columns)

    def check_golden(self) -> tuple[int, list[int]]:
        """Predict the golden rows: how many there are, and the indices of those whose answer is not the recorded one."""
        from modelstore.golden import wrong

        return len(self.golden["outputs"]["labels"]), wrong(self.golden, self.predict(self.golden["inputs"]))


def load(folder: Path | str, *, expect: str | None = None, engine: Engine | None = None, memory: int | None = None) -> Predictor:
    """Load a package. Every byte is checked against the manifest before any of it is used.

    expect: the digest that was recorded when it was stored. engine: one to insist on; else ONNX Runtime where the package has it.
    memory: bytes that this process may take from then on, for the model and what it answers; its libraries are not counted.
    Corrupt: a file is not the one that was packaged. Unsafe: it holds what could run code. ModelError: no model for `engine`.
    """
    digest, hashes = manifest.read(Path(folder))
    chosen: Engine = engine or ("onnx" if manifest.ONNX in hashes else "sklearn")
    needed = manifest.ONNX if chosen == "onnx" else manifest.SKOPS
    kept = {
        needed,
        manifest.SIGNATURE,
        manifest.METADATA,
        manifest.GOLDEN,
    }  # the other model is hashed, not held: forests are large
    digest, files = manifest.verify(Path(folder), expect or digest, keep=kept)
    signature = _signature(files)
    if needed not in files:
        raise ModelError(f"cannot load model {digest}: the package has no {needed}; package it again, or use the other engine")
    return Predictor(
        digest=digest, signature=signature, metadata=_json(files, manifest.METADATA) or {}, engine=chosen,
        model=runs(files[needed], signature, chosen, memory), golden=_json(files, manifest.GOLDEN),
    )  # fmt: skip


def runs(data: bytes, signature: Signature, engine: Engine, memory: int | None = None) -> Runs:
    """An engine for the bytes of a model file. memory: see load."""
    make: Callable[[bytes, Signature], Runs]
    if engine == "onnx":
        from modelstore.onnxengine import OnnxModel

        make = OnnxModel
    else:
        from modelstore import safety  # now: what it imports is not the model's
        from modelstore.sklearnengine import SklearnModel

        def make(data: bytes, signature: Signature) -> Runs:
            return SklearnModel(safety.loads(data), signature)

    if memory is not None:
        limit(memory)
    return make(data, signature)


def _signature(files: dict[str, bytes]) -> Signature:
    try:
        return Signature.model_validate_json(files[manifest.SIGNATURE])
    except KeyError:
        raise Corrupt(manifest.SIGNATURE, "it is missing") from None
    except ValidationError as e:
        raise Corrupt(manifest.SIGNATURE, f"it is no signature ({e.errors()[0]['msg']})") from e


def _json(files: dict[str, bytes], name: str) -> Any:
    if name not in files:
        return {}
    try:
        return json.loads(files[name])
    except (ValueError, RecursionError) as e:
        raise Corrupt(name, "it is no JSON") from e


def plain_labels(values: list[Any], classes: Sequence[Label] | None) -> list[Any]:
    """Answers of an engine as the target's own labels: engines know 0 and 1 where a table has False and True."""
    if classes is None or not values:
        return values
    if isinstance(classes[0], bool):
        return [bool(value) for value in values]
    if isinstance(classes[0], float) and not isinstance(values[0], float):
        return [float(value) for value in values]
    return values
