"""Models in the store, looked at: every byte counts, no model is ever held, and who has one is woken when it changes."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pytest

from drivers.contract import Present
from drivers.local.models import Stored, StoreDriver
from modelstore import manifest
from tests.contract.harness import owner

OWNER = owner()


def package(store: Path, **more: bytes) -> str:
    """A package whose files are as its manifest says; its digest."""
    folder = store / "new"
    folder.mkdir(parents=True)
    files = {manifest.SKOPS: b"model", manifest.SIGNATURE: b'{"inputs": []}', manifest.METADATA: b'{"estimator": "Forest"}'}
    for name, content in (files | more).items():
        (folder / name).write_bytes(content)
    digest = manifest.write(folder)
    folder.rename(store / manifest.hex_of(digest))
    return digest


def driver_of(store: Path) -> StoreDriver:
    """The driver of this folder."""
    return StoreDriver(str(store), store.parent / "cache")


async def look(driver: StoreDriver, digest: str) -> Stored:
    """What stands under the digest."""
    seen = await driver.observe(OWNER, digest, time.monotonic())
    assert isinstance(seen, Present)
    return seen.live


async def test_a_model_larger_than_the_daemon_should_become(tmp_path: Path) -> None:
    """It is hashed piece by piece: what is held at any moment is a small part of it."""
    size = 64 * 2**20
    digest = package(tmp_path, **{manifest.SKOPS: b"\0" * size})
    tracemalloc.start()
    try:
        stored = await look(driver_of(tmp_path), digest)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stored.bytes > size
    assert most < size / 16


@pytest.mark.parametrize("name", [manifest.SKOPS, manifest.SIGNATURE, manifest.METADATA, manifest.MANIFEST])
async def test_one_changed_byte_is_found_and_named(name: str, tmp_path: Path) -> None:
    """In whichever file; and mended, it is as good as new. Nobody tells the driver: it notices."""
    digest, driver = package(tmp_path), driver_of(tmp_path)
    file = tmp_path / manifest.hex_of(digest) / name
    assert not (await look(driver, digest)).trouble
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert name in (await look(driver, digest)).trouble
    file.write_bytes(good)
    assert not (await look(driver, digest)).trouble


async def test_whose_model_changed_is_woken(tmp_path: Path) -> None:
    """The print of each who asked for it differs after the change, and no other print does."""
    first, second = package(tmp_path), package(tmp_path, **{manifest.SKOPS: b"other"})
    driver, other = driver_of(tmp_path), owner("b", "0b5f3f0e-1111-4222-8333-000000000002")
    await driver.observe(OWNER, first, 0.0)
    await driver.observe(other, second, 0.0)
    before = (await driver.survey()).prints
    assert (await driver.survey()).prints == before
    (tmp_path / manifest.hex_of(first) / "stranger").write_text(json.dumps({}))
    after = (await driver.survey()).prints
    assert {uid for uid in before if before[uid] != after[uid]} == {OWNER.uid}
