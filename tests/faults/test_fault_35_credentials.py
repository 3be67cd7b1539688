"""Fault 35: credentials that change, end, or cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.client import SECRETS
from tests.support.cloud import CloudProcess
from tests.support.daemon import until
from tests.support.world import World, because, running_world

OLD, NEW = "old-token-4711", "new-token-0815"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """A cloud that asks for a token."""
    with CloudProcess(tmp_path_factory.mktemp("locked"), token=OLD) as process:
        yield process


@pytest.fixture(params=["file", "secret"])
async def keyed(request: pytest.FixtureRequest, locked: CloudProcess, tmp_path: Path):
    """A world with one Machine, Ready, whose token is in a file or in a Secret; and how to change it there."""
    async with running_world(locked, tmp_path / "home") as world:
        file = tmp_path / "token"

        async def put(token: str) -> None:
            if request.param == "file":
                file.write_text(token)
                return
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "stringData": {"t": token}}
            await world.client.patch(SECRETS, "default", "t", body, "apply", force=True)

        await put(OLD)
        ref = {"file": str(file)} if request.param == "file" else {"secretKeyRef": {"name": "t", "key": "t"}}
        await world.create("m", 1, credentialsRef=ref)
        await world.ready("m")
        yield world, put


async def test_a_rotated_token_is_taken_up(keyed) -> None:
    """The token changes here and there: without a restart the Machine stays, and its next change is made."""
    world, put = keyed
    before = world.admin.inventory()
    await put(NEW)
    world.admin.settings(token=NEW)
    await world.edit("m", serverMetadata=[{"key": "a", "value": "b"}])
    await until(lambda: world.admin.servers()[0]["metadata"] == {"a": "b"}, 30)
    await world.ready("m", 30)
    assert world.counts() == ({"servers": 1, "ports": 1}, {})
    assert before["servers"][0]["id"] == world.admin.servers()[0]["id"]


async def test_revoked_in_the_middle(keyed) -> None:
    """CredentialsInvalid, nothing deleted, no storm of requests; a new token is picked up by itself."""
    world, put = keyed
    requests = len(world.admin.log())
    world.admin.settings(token=NEW)
    await world.edit("m", flavor="large")
    await world.until("m", because("CredentialsInvalid"), 30)
    reads = sum(world.admin.reads().values())
    await _looked(world, 5)
    assert len(world.admin.log()) == requests
    assert sum(world.admin.reads().values()) - reads < 60
    assert world.total() == {"servers": 1, "ports": 1}
    await put(NEW)
    await until(lambda: [server["flavor"] for server in world.admin.servers()] == ["large"], 40)
    await world.ready("m", 40)


async def test_the_token_is_gone(keyed, tmp_path: Path) -> None:
    """The file or the Secret vanishes: said so, nothing deleted; it comes back, and all goes on."""
    world, put = keyed
    (tmp_path / "token").unlink(missing_ok=True)
    await world.client.delete(SECRETS, "default", "t")
    await world.edit("m", serverMetadata=[{"key": "a", "value": "b"}])
    obj = await world.until("m", because("CredentialsInvalid"), 30)
    assert OLD not in str(obj)
    assert world.total() == {"servers": 1, "ports": 1}
    await put(OLD)
    await world.ready("m", 40)


async def test_deleting_waits_for_credentials(keyed) -> None:
    """Without a valid token the Machine stays; with one it goes, and everything with it."""
    world, put = keyed
    world.admin.settings(token=NEW)
    await world.delete("m")
    await world.until("m", lambda obj: "CredentialsInvalid" in str(obj["status"]["conditions"]), 30)
    assert world.total() == {"servers": 1, "ports": 1}
    await put(NEW)
    await world.gone("m", 40)
    assert world.total() == {}


async def test_an_expired_token_costs_one_more_request(locked: CloudProcess, tmp_path: Path) -> None:
    """The file holds the new token already when the old one ends: read anew at once, and nobody notices."""
    async with running_world(locked, tmp_path / "home") as world:
        (tmp_path / "token").write_text(OLD)
        await world.create("m", credentialsRef={"file": str(tmp_path / "token")})
        await world.ready("m")
        (tmp_path / "token").write_text(NEW)
        world.admin.settings(token=NEW)
        await world.edit("m", serverMetadata=[{"key": "a", "value": "b"}])
        await until(lambda: world.admin.servers()[0]["metadata"] == {"a": "b"})
        obj = await world.ready("m")
        assert "CredentialsInvalid" not in str(obj["status"])


async def _looked(world: World, times: int) -> None:
    start = world.admin.reads().get("list servers", 0) + world.admin.reads().get("identity", 0)
    await until(
        lambda: world.admin.reads().get("list servers", 0) + world.admin.reads().get("identity", 0) >= start + times,
        30,
        lambda: f"the daemon gave up: {world.admin.reads()}",
    )
