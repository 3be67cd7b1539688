"""Models as the daemon sees them: in a folder or in a bucket, and silence is not absence."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import pytest

from drivers.contract import Absent, Owner, Present, Unknown
from drivers.local import models
from drivers.local.models import StoreDriver
from modelstore import Store, manifest

OWNER = Owner("installation-1", "ModelVersion", "default", "a", "11111111-2222-3333-4444-555555555555")
UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/models"


def flip(url: str, digest: str, name: str) -> None:
    """Change one bit where the store itself keeps it."""
    fs, root = fsspec.core.url_to_fs(url)
    path = f"{root}/{manifest.hex_of(digest)}/{name}"
    data = fs.cat_file(path)
    fs.pipe_file(path, data[:-1] + bytes([data[-1] ^ 1]))


async def test_a_model_is_told_by_what_it_says_of_itself(url: str, packaged: Path, tmp_path: Path) -> None:
    """Formats, size and signature; where it is looked at there is a copy on this machine; another digest is absent."""
    digest = Store(url, cache=tmp_path / "elsewhere").put(packaged)
    driver = StoreDriver(url, tmp_path / "cache")
    seen = await driver.observe(OWNER, digest, 0.0, "model")
    assert isinstance(seen, Present)
    assert (seen.live.trouble, seen.live.formats) == ("", ["skops", "onnx"])
    assert seen.live.signature["target"]["task"] == "classification"
    assert Path(seen.live.path).is_dir()
    assert await driver.observe(OWNER, UNKNOWN, 0.0, "model") == Absent()


async def test_fault_07_a_bit_that_flips_where_models_are_kept_is_found(
    url: str, packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte is hashed again once in a while, in the bucket too, though the copy here is as good as ever."""
    digest = Store(url, cache=tmp_path / "elsewhere").put(packaged)
    driver = StoreDriver(url, tmp_path / "cache")
    assert isinstance(await driver.observe(OWNER, digest, 0.0, "model"), Present)
    flip(url, digest, manifest.SKOPS)
    monkeypatch.setattr(models, "AGAIN_SECONDS", 0.0)
    seen = await driver.observe(OWNER, digest, 0.0, "model")
    assert isinstance(seen, Present)
    assert manifest.SKOPS in seen.live.trouble


async def test_a_store_that_cannot_be_reached_is_unknown(packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the bucket's library raises: the model is not absent, and the reason is told."""
    driver = StoreDriver(f"memory://{uuid.uuid4().hex}/models", tmp_path / "cache")

    def dead(*_: object, **__: object) -> None:
        raise RuntimeError("could not connect to the endpoint")

    monkeypatch.setattr(driver._store._fs, "size", dead)
    seen = await driver.observe(OWNER, UNKNOWN, 0.0, "model")
    assert isinstance(seen, Unknown)
    assert "could not connect to the endpoint" in str(seen.error)
    gone = StoreDriver(str(tmp_path / "none"), tmp_path / "cache")
    assert isinstance(await gone.observe(OWNER, UNKNOWN, 0.0, "model"), Unknown)
