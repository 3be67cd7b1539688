"""A model that a user brings: fetched under the same guard as a table, and never a pickle."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import modelstore
from tests.training.test_job import run
from training.bring import main


class Bomb:
    """A pickle that would tell of itself."""

    def __init__(self, sentinel: Path) -> None:
        self._sentinel = sentinel

    def __reduce__(self) -> Any:
        return (Path.touch, (self._sentinel,))


def bring(folder: Path, uri: str, **request: Any) -> dict[str, Any]:
    asked = {"uri": uri, "format": "auto", "signature": None, "folder": str(folder), "store": str(folder / "store"), **request}
    (folder / "req.json").write_text(json.dumps(asked))
    assert main(["--request", str(folder / "req.json"), "--out", str(folder / "out")]) == 0
    found: dict[str, Any] = json.loads((folder / "out" / "result.json").read_bytes())
    return found


def test_a_package_and_its_parts_come_in(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    """A folder of a package keeps its digest; its skops file and its ONNX file become packages that answer the same."""
    run_ = run_folder(maxTrialCount=1)
    digest = run(run_)["modelDigest"]
    package = modelstore.Store(run_.parent / "models").path(digest)
    inside = tmp_path / "specs"
    inside.mkdir()
    (inside / "package").symlink_to(package)
    assert bring(inside, "package")["error"]["reason"] == "Forbidden"
    roots = {"dataRoots": [str(package.parent)]}
    assert bring(inside, "package", **roots)["digest"] == digest
    for name in ("model.skops", "model.onnx"):
        found = bring(inside, str(package / name), signature=str(package / "signature.json"), **roots)
        assert found["error"] is None
        assert modelstore.load(modelstore.Store(inside / "store").path(found["digest"])).signature.target.name == "species"


@pytest.mark.parametrize("name", ["model.skops", "model.onnx", "model.pkl", "model.joblib"])
def test_a_pickle_is_never_loaded(tmp_path: Path, name: str) -> None:
    """Whatever it is called: nothing of it runs."""
    sentinel = tmp_path / "ran"
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(sentinel)))
    found = bring(tmp_path, name)
    assert found["digest"] is None
    assert found["error"]["message"]
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "uri", ["../model.skops", "/etc/passwd", "http://127.0.0.1:1/model.onnx", "http://169.254.169.254/model.onnx"]
)
def test_it_comes_from_where_tables_may_come_from(tmp_path: Path, uri: str) -> None:
    """The guard is the same."""
    assert bring(tmp_path, uri)["error"]["reason"] == "Forbidden"
