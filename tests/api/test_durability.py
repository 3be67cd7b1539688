"""Fault 12: what was acknowledged survives kill -9 and a full disk; what was not is there wholly or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from reconciler.api.secretbox import SecretBoxError
from reconciler.api.server import ApiServer
from reconciler.api.settings import ApiSettings, StoreSettings
from reconciler.client import CONFIGMAPS, SECRETS, ApiError, ApiUnavailable, Client
from reconciler.home import Home
from reconciler.http_client import HttpClient
from tests.support.apiserver import configmap, running, session


def intact(database: Path) -> bool:
    """SQLite's own opinion of the file."""
    with sqlite3.connect(database) as db:
        answer = db.execute("PRAGMA integrity_check").fetchone()[0]
    db.close()
    return bool(answer == "ok")


async def names(client: Client) -> set[str]:
    return {item["metadata"]["name"] for item in (await client.list(CONFIGMAPS))[0]}


async def fill(client: Client, worker: int, acknowledged: set[str], attempted: set[str]) -> None:
    """Create objects until the server is gone."""
    for number in range(10_000):
        name = f"w{worker}-{number}"
        attempted.add(name)
        try:
            await client.create(CONFIGMAPS, "default", configmap(name, {"k": "x" * 2000}))
        except ApiUnavailable:
            return
        acknowledged.add(name)


@pytest.mark.parametrize("acknowledged_before_the_kill", [1, 40, 150])
async def test_fault_12_kill_9_loses_no_acknowledged_write(tmp_path: Path, acknowledged_before_the_kill: int) -> None:
    """Killed in the midst of writes: every object that got a 201 is there afterwards, and nothing that was never sent."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "reconciler.api", "--home", str(tmp_path / "home"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"https://")
    client = HttpClient.from_kubeconfig(tmp_path / "home" / "kubeconfig")
    acknowledged: set[str] = set()
    attempted: set[str] = set()
    workers = [asyncio.create_task(fill(client, i, acknowledged, attempted)) for i in range(8)]
    while len(acknowledged) < acknowledged_before_the_kill:
        await asyncio.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await asyncio.gather(*workers)
    await client.close()
    async with running(tmp_path / "home") as server:
        there = await names(server.client)
        assert acknowledged <= there <= attempted
        for name in sorted(there - acknowledged):
            assert (await server.client.get(CONFIGMAPS, "default", name) or {})["data"] == {"k": "x" * 2000}
    assert intact(tmp_path / "home" / "anneal.db")


async def test_fault_12_a_full_disk_is_survived(tmp_path: Path) -> None:
    """Writes that find no room get 5xx and leave nothing; reads go on; once there is room, writes succeed by themselves."""
    settings = ApiSettings(StoreSettings(max_bytes=400_000, keep_revisions=0, keep_seconds=0.0))
    async with running(tmp_path / "home", settings) as server:
        client = server.client
        acknowledged: set[str] = set()

        async def fill_the_disk() -> None:
            for number in range(1000):
                await client.create(CONFIGMAPS, "default", configmap(f"c{number}", {"k": "x" * 20_000}))
                acknowledged.add(f"c{number}")

        with pytest.raises(ApiUnavailable, match="database or disk is full; nothing was changed"):
            await fill_the_disk()
        assert await names(client) == acknowledged
        async with session(server) as http:
            answer = await http.post("/api/v1/namespaces/default/configmaps", json=configmap("x", {"k": "x" * 20_000}))
            assert (answer.status, (await answer.json())["reason"]) == (503, "ServiceUnavailable")
            assert (await http.get("/api/v1/namespaces/default/configmaps")).status == 200
        server.store._writer._db.execute("PRAGMA max_page_count = 100000")  # type: ignore[union-attr]
        await client.create(CONFIGMAPS, "default", configmap("after", {"k": "x" * 20_000}))
        assert await names(client) == acknowledged | {"after"}
    assert intact(tmp_path / "home" / "anneal.db")
    async with running(tmp_path / "home") as server:
        assert await names(server.client) == acknowledged | {"after"}


async def test_fault_12_a_locked_database_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    """While another process holds the database writes get 503 after a while; when it lets go, they succeed."""
    async with running(tmp_path / "home", ApiSettings(StoreSettings(busy_seconds=0.05))) as server:
        other = sqlite3.connect(server.home.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ApiUnavailable, match="database is locked; nothing was changed"):
            await server.client.create(CONFIGMAPS, "default", configmap("a"))
        assert await names(server.client) == set()
        other.execute("ROLLBACK")
        other.close()
        await server.client.create(CONFIGMAPS, "default", configmap("a"))
        assert await names(server.client) == {"a"}


async def test_fault_12_of_two_writers_one_wins(server: ApiServer) -> None:
    """Two replaces with the same resourceVersion: one 200, one 409, and the object is the winner's."""
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    async with session(server) as http:
        path = "/api/v1/namespaces/default/configmaps/a"
        read = await (await http.get(path)).json()
        answers = await asyncio.gather(*(http.put(path, json={**read, "data": {"k": text}}) for text in ("one", "two")))
        assert sorted(answer.status for answer in answers) == [200, 409]
        winner = next(answer for answer in answers if answer.status == 200)
        assert (await (await http.get(path)).json())["data"] == (await winner.json())["data"]


async def test_no_update_is_lost_among_unconditional_writers(server: ApiServer) -> None:
    """Fifty concurrent patches of different keys of one object all take effect."""
    await server.client.create(CONFIGMAPS, "default", configmap("a", {"start": "x"}))
    await asyncio.gather(*(server.client.patch(CONFIGMAPS, "default", "a", {"data": {f"k{i}": "v"}}) for i in range(50)))
    found = await server.client.get(CONFIGMAPS, "default", "a") or {}
    assert set(found["data"]) == {"start", *(f"k{i}" for i in range(50))}


async def test_a_caller_that_gives_up_takes_nothing_back(server: ApiServer) -> None:
    """A create whose caller was cancelled is there wholly or not at all, and the server goes on."""
    tasks = [asyncio.create_task(server.client.create(CONFIGMAPS, "default", configmap(f"c{i}"))) for i in range(20)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.client.create(CONFIGMAPS, "default", configmap("after"))
    assert "after" in await names(server.client)


# --- Secrets ---------------------------------------------------------------------------------------------------------

VALUE = "correct-horse-battery-staple"


def secret() -> dict[str, Any]:
    """A Secret that holds VALUE."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": VALUE}}


def everything_on_disk(folder: Path) -> Iterable[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


async def test_secrets_are_not_on_disk_in_the_clear(tmp_path: Path) -> None:
    """Nowhere below the home — database, WAL, change log — is a Secret's value, not even in an annotation."""
    import base64

    encoded = base64.b64encode(VALUE.encode()).decode()
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": encoded}}
    body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": str(body)}  # type: ignore[index]
    async with running(tmp_path / "home") as server:
        await server.client.create(SECRETS, "default", body)
        await server.client.patch(SECRETS, "default", "s", {"stringData": {"other": VALUE}})
        found = await server.client.get(SECRETS, "default", "s") or {}
        assert found["data"] == {"password": encoded, "other": encoded}
        assert "stringData" not in found
        during = everything_on_disk(tmp_path)
        await server.client.delete(SECRETS, "default", "s")
    for path, content in (*during, *everything_on_disk(tmp_path)):
        assert VALUE.encode() not in content, path
        assert encoded.encode() not in content, path


async def test_secrets_come_back_after_a_restart(tmp_path: Path) -> None:
    """With their key they can be read for ever."""
    async with running(tmp_path / "home") as server:
        await server.client.create(SECRETS, "default", secret())
    async with running(tmp_path / "home") as server:
        assert await server.client.get(SECRETS, "default", "s") is not None


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(lambda key: key.write_bytes(bytes(32)), id="another-key"),
        pytest.param(lambda key: key.unlink(), id="no-key"),
        pytest.param(lambda key: key.write_bytes(b""), id="no-key-in-it"),
    ],
)
async def test_a_lost_key_is_told_at_the_start(tmp_path: Path, lose: Callable[[Path], object]) -> None:
    """Nothing starts on Secrets that cannot be read, no new key takes the old one's place, and the right key heals it."""
    async with running(tmp_path / "home") as server:
        await server.client.create(SECRETS, "default", secret())
    key = tmp_path / "home" / "pki" / "secrets.key"
    right = key.read_bytes()
    lose(key)
    lost = key.read_bytes() if key.exists() else None
    for _ in range(2):
        with pytest.raises(SecretBoxError, match="restore"):
            await ApiServer(Home(tmp_path / "home")).start()
        assert (key.read_bytes() if key.exists() else None) == lost
    key.touch(mode=0o600)
    key.write_bytes(right)
    async with running(tmp_path / "home") as server:
        assert await server.client.get(SECRETS, "default", "s") is not None


async def test_what_a_lost_key_sealed_can_be_given_up(tmp_path: Path) -> None:
    """The command that the error names deletes those Secrets and nothing else; the next start goes well, watches included."""
    home = tmp_path / "home"
    async with running(home) as server:
        await server.client.create(SECRETS, "default", secret())
        await server.client.create(CONFIGMAPS, "default", configmap("a"))
    (home / "pki" / "secrets.key").write_bytes(bytes(32))
    command = [sys.executable, "-m", "reconciler.api", "--home", str(home), "--discard-secrets"]
    process = await asyncio.create_subprocess_exec(*command)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    async with running(home) as server:
        assert await server.client.list(SECRETS) == ([], ANY)
        assert await server.client.get(CONFIGMAPS, "default", "a") is not None
        await server.client.create(SECRETS, "default", secret())


async def test_a_wrong_secret_is_not_repeated(server: ApiServer) -> None:
    """An error about a Secret does not hold its value."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"p": f"!!{VALUE}!!"}}
    with pytest.raises(ApiError) as caught:
        await server.client.create(SECRETS, "default", body)
    assert caught.value.code == 422
    assert VALUE not in str(caught.value.status)
