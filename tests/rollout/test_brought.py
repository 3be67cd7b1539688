"""A model of one's own, from its file to predictions over HTTP, by the real daemon; a pickle never."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import skops.io
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from reconciler.client import ours
from tests.support.daemon import DaemonProcess, condition_of
from tests.support.lab import lab
from tests.support.theatre import Stage, end, quiet, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
X = np.random.default_rng(0).normal(size=(80, 3))
Y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
VERSIONS = ours("modelversions")


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.fixture
async def at(tmp_path: Path) -> Any:
    """A daemon that may read this test's folder."""
    from tests.support.cli import Cli

    (tmp_path / "mine").mkdir()
    daemon = DaemonProcess(tmp_path / "home", {"ANNEAL_DATA_ROOTS": str(tmp_path / "mine")})
    await daemon.start()
    try:
        async with lab(daemon) as there:
            yield Stage(there, {}, Cli(daemon.root))
    finally:
        daemon.kill()
        end(daemon)


async def test_from_a_file_to_predictions(at: Stage, tmp_path: Path) -> None:
    """skops and ONNX, one after the other behind the same deployment: its answers are the model's own. A pickle is refused."""
    model, sentinel = LogisticRegression().fit(X, Y), tmp_path / "sprung"
    skops.io.dump(model, tmp_path / "mine/a.skops")
    (tmp_path / "mine/b.onnx").write_bytes(to_onnx(model, X[:1], options={"zipmap": False}).SerializeToString())
    (tmp_path / "mine/c.skops").write_bytes(pickle.dumps(Trap(sentinel)))
    for name in ("a.skops", "b.onnx", "c.skops"):
        await at.lab.create("ModelVersion", name[0], uri=str(tmp_path / "mine" / name))
    await at.lab.create("ModelDeployment", "mine", **serving("a"))
    url = status(await up(at, "a"))["url"]
    names = ask_names(url)
    expected = model.predict(X[:20]).tolist()
    assert answers(url, names) == expected
    await at.edit("modeldeployments", {"predictor": {"model": {"modelVersionRef": {"name": "b"}}}}, "mine")
    obj = await up(at, "b")
    assert (status(obj)["url"], status(obj)["revision"]) == (url, 2)
    assert answers(url, ask_names(url)) == expected

    await at.edit("modeldeployments", {"predictor": {"model": {"modelVersionRef": {"name": "c"}}}}, "mine")
    seen = await at.lab.until("c", lambda row: condition_of(row).get("reason") == "ImportFailed", plural=VERSIONS)
    assert "pickle" in condition_of(seen)["message"]
    obj = await at.until(lambda row: "ModelVersion/c is not ready" in condition_of(row).get("message", ""), name="mine")
    assert condition_of(obj)["status"] == "True"
    assert answers(url, ask_names(url)) == expected
    assert not sentinel.exists()


def serving(version: str) -> dict[str, Any]:
    """A deployment of this ModelVersion."""
    return {"local": {}, "web": {"workers": 1, "threads": 8}, "predictor": {"model": {"modelVersionRef": {"name": version}}}}


async def up(at: Stage, version: str) -> dict[str, Any]:
    """Wait until it is served."""
    return await at.until(lambda obj: status(obj).get("modelVersion") == version and quiet(obj), name="mine")


def ask_names(url: str) -> list[str]:
    """What the model takes, as its own page for machines says."""
    about = requests.get(f"{url}/v2/models/mine", timeout=30).json()
    return [row["name"] for row in about["inputs"]]


def answers(url: str, names: list[str]) -> list[str]:
    """Predictions of twenty rows."""
    rows = [dict(zip(names, map(float, values), strict=True)) for values in X[:20]]
    found = requests.post(f"{url}/predict", json={"rows": rows}, timeout=30)
    assert found.status_code == 200, found.text
    return [row["prediction"] for row in found.json()["predictions"]]
