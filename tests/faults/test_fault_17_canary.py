"""Fault 17: a secret that was planted is found nowhere but where it was put."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from reconciler.client import CONFIGMAPS, EVENTS, LEASES, SECRETS, ApiError, ours
from tests.support.cloud import CloudProcess, fault
from tests.support.daemon import until
from tests.support.world import World, because, running_world

CANARY = "canary/7f3a+9b2e=c4d1:e5f6 a8"
FORMS = {CANARY, quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode().rstrip("=")}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """A cloud that asks for the canary."""
    with CloudProcess(tmp_path_factory.mktemp("locked"), token=CANARY) as process:
        yield process


async def credentials(kind: str, world: World, folder: Path) -> dict:
    """Plant the canary, and say where it is."""
    if kind == "file":
        (folder / "token").write_text(CANARY + "\n")
        return {"file": str(folder / "token")}
    if kind == "env":
        return {"env": "CANARY_TOKEN"}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud"}, "stringData": {"token": CANARY}}
    await world.client.create(SECRETS, "default", body)
    return {"secretKeyRef": {"name": "cloud", "key": "token"}}


@pytest.mark.parametrize("kind", ["file", "env", "secret"])
async def test_the_canary_is_seen_nowhere(kind: str, locked: CloudProcess, tmp_path: Path) -> None:
    """After a life with errors of every sort: not in logs at DEBUG, objects, events, the database, or the arguments."""
    env = {"ANNEAL_LOG_LEVEL": "debug", "CANARY_TOKEN": CANARY}
    async with running_world(locked, tmp_path / "home", env, forked=False) as world:
        ref = await credentials(kind, world, tmp_path)
        await world.create("m", 1, credentialsRef=ref)
        await world.ready("m")
        await _life(world, ref)
        told = await _told_by_the_api(world)
        assert _hits(told) == []
        assert _hits(Path(f"/proc/{world.daemon.process.pid}/cmdline").read_text()) == []
        assert _hits(world.daemon.output()) == []
        assert "debug" in world.daemon.output(), "nothing was logged at DEBUG"
        files = {path.relative_to(world.daemon.root): path.read_bytes() for path in _files(world.daemon.root)}
        assert [str(name) for name, content in files.items() if _hits(content.decode("latin-1"))] == []
        world.daemon.kill()
        rows = sqlite3.connect(world.daemon.home.database).iterdump()
        assert _hits("\n".join(rows)) == []


async def test_a_secret_in_a_spec_is_refused(world: World) -> None:
    """There is no field for a secret itself; the refusal does not repeat it."""
    with pytest.raises(ApiError) as refused:
        await world.create("m", credentialsRef={"token": CANARY})
    assert refused.value.code in (400, 422)
    assert _hits(json.dumps(refused.value.status)) == []
    assert _hits(world.daemon.output()) == []


async def _life(world: World, ref: dict) -> None:
    """Errors that a careless program would quote a request in."""
    echo = f"bad token {CANARY} in X-Auth-Token: {CANARY}"
    world.admin.faults(fault("forbidden", method="POST", message=echo), fault("unavailable", method="PATCH", message=echo))
    await world.create("refused", 1, credentialsRef=ref)
    await world.until("refused", because("Forbidden"))
    await world.edit("m", serverMetadata=[{"key": "a", "value": "b"}])
    await until(lambda: world.admin.hits()[1] > 0)
    world.admin.faults(fault("unauthorized", message=echo))
    await world.until("m", because("CredentialsInvalid"), 30)
    world.admin.faults(fault("garbage"))
    await until(lambda: world.admin.hits()[0] > 3, 30)
    world.admin.faults()
    await world.ready("m", 30)


async def _told_by_the_api(world: World) -> str:
    told = []
    for resource in (ours("machines"), EVENTS, CONFIGMAPS, LEASES):
        items, _ = await world.client.list(resource)
        told.append(json.dumps(items))
    return "\n".join(told)


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and "pki" not in path.parts)


def _hits(text: str) -> list[str]:
    return [form for form in FORMS if form in text]
