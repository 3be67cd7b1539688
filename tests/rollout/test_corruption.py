"""Fault 7 through the daemon: one changed byte in the store is found, named, and served to nobody who starts from then on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from reconciler.client import ours
from tests.support.daemon import condition_of, ready
from tests.support.theatre import Stage, asked, quiet, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
VERSIONS = ours("modelversions")


def flip(file: Path) -> None:
    """Change one byte, and the length not at all. Twice: as it was."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["model.onnx", "signature.json"])
async def test_a_changed_byte_is_not_served(name: str, at: Stage) -> None:
    """Verified=False by file; who serves goes on; who starts refuses and says why; the byte restored, all is well by itself."""
    obj = await at.deployment()
    version, url = status(obj)["modelVersion"], status(obj)["url"]
    file = at.daemon.home.models / at.models["good"].removeprefix("sha256:") / name
    assert asked(url).status_code == 200
    flip(file)
    try:
        seen = await at.lab.until(version, lambda row: condition_of(row, "Verified").get("status") == "False", plural=VERSIONS)
        assert condition_of(seen, "Verified")["reason"] == "Corrupt"
        assert name in condition_of(seen, "Verified")["message"]
        assert name in at.cli("why", f"mver/{version}").out
        assert asked(url).status_code == 200
        for part, pid in at.processes().items():
            if part.startswith("worker/"):
                os.kill(pid, signal.SIGKILL)
        obj = await at.until(lambda row: condition_of(row).get("status") == "False" and name in condition_of(row)["message"])
        assert asked(url).status_code == 503
    finally:
        flip(file)
    await at.lab.until(version, ready, plural=VERSIONS)
    await at.until(lambda row: quiet(row) and ready(row))
    assert asked(url).status_code == 200


async def test_a_changed_byte_is_not_rolled_out(at: Stage) -> None:
    """A better model that is damaged before it could serve: what serves goes on, and the deployment names the cause."""
    file = at.daemon.home.models / at.models["better"].removeprefix("sha256:") / "model.skops"
    flip(file)
    try:
        await at.show("better")
        obj = await at.until(lambda row: "model.skops" in condition_of(row).get("message", ""))
        assert condition_of(obj)["status"] == "True"
        assert status(obj)["digest"] == at.models["good"]
        assert asked(status(obj)["url"]).status_code == 200
    finally:
        flip(file)
    await at.serves("better")
