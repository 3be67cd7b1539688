"""Garbage collection: what is owned goes with its last owner, as the cascade says; what is in a namespace goes with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.api import upkeep
from reconciler.api.server import ApiServer
from reconciler.api.settings import ApiSettings
from reconciler.client import CONFIGMAPS, EVENTS, ApiError, Client, Object, ResourceId, ours
from tests.support.apiserver import configmap, eventually, machine, running

MACHINES = ours("machines")
NAMESPACES = ResourceId("", "v1", "namespaces")


def owned_by(owner: Object, *, blocking: bool = False) -> dict[str, Any]:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"],
        "blockOwnerDeletion": blocking,
    }  # fmt: skip


async def names(client: Client) -> list[str]:
    return [item["metadata"]["name"] for item in (await client.list(CONFIGMAPS))[0]]


@pytest.fixture
async def owner(server: ApiServer) -> Object:
    return await server.client.create(MACHINES, "default", machine("owner"))


async def settled(server: ApiServer) -> None:
    await server.collector.settled()


async def test_in_the_background_dependents_follow(server: ApiServer, owner: Object) -> None:
    """The owner goes at once; its dependents, and theirs, go after it; nobody else does."""
    child = await server.client.create(CONFIGMAPS, "default", configmap("child", ownerReferences=[owned_by(owner)]))
    await server.client.create(CONFIGMAPS, "default", configmap("grandchild", ownerReferences=[owned_by(child)]))
    await server.client.create(CONFIGMAPS, "default", configmap("stranger"))
    await settled(server)
    assert await names(server.client) == ["child", "grandchild", "stranger"]
    await server.client.delete(MACHINES, "default", "owner")
    assert await server.client.get(MACHINES, "default", "owner") is None
    await settled(server)
    assert await names(server.client) == ["stranger"]


async def test_in_the_foreground_the_owner_waits(server: ApiServer, owner: Object) -> None:
    """The owner stays, marked, until all that block its deletion are gone."""
    blocking = configmap("child", ownerReferences=[owned_by(owner, blocking=True)], finalizers=["anneal.dev/slow"])
    await server.client.create(CONFIGMAPS, "default", blocking)
    await server.client.delete(MACHINES, "default", "owner", propagation="Foreground")
    await settled(server)
    waiting = await server.client.get(MACHINES, "default", "owner") or {}
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert (await server.client.get(CONFIGMAPS, "default", "child") or {})["metadata"]["deletionTimestamp"]
    await server.client.patch(CONFIGMAPS, "default", "child", {"metadata": {"finalizers": None}})
    await settled(server)
    assert await names(server.client) == []
    assert await server.client.get(MACHINES, "default", "owner") is None


async def test_orphans_live_on(server: ApiServer, owner: Object) -> None:
    """The dependents forget their owner, and stay."""
    await server.client.create(CONFIGMAPS, "default", configmap("child", ownerReferences=[owned_by(owner)]))
    await server.client.delete(MACHINES, "default", "owner", propagation="Orphan")
    await settled(server)
    assert await server.client.get(MACHINES, "default", "owner") is None
    assert "ownerReferences" not in (await server.client.get(CONFIGMAPS, "default", "child") or {})["metadata"]


async def test_the_last_owner_decides(server: ApiServer, owner: Object) -> None:
    """With two owners the dependent outlives one, and forgets it; it goes with the other."""
    other = await server.client.create(CONFIGMAPS, "default", configmap("other"))
    await server.client.create(CONFIGMAPS, "default", configmap("child", ownerReferences=[owned_by(owner), owned_by(other)]))
    await server.client.delete(MACHINES, "default", "owner")
    await settled(server)
    child = await server.client.get(CONFIGMAPS, "default", "child") or {}
    assert [o["name"] for o in child["metadata"]["ownerReferences"]] == ["other"]
    await server.client.delete(CONFIGMAPS, "default", "other")
    await settled(server)
    assert await names(server.client) == []


async def test_a_namesake_is_no_owner(server: ApiServer, owner: Object) -> None:
    """An owner of the same name and another UID is not there: the dependent goes."""
    stale = {**owned_by(owner), "uid": "00000000-0000-0000-0000-000000000000"}
    await server.client.create(CONFIGMAPS, "default", configmap("child", ownerReferences=[stale]))
    await settled(server)
    assert await names(server.client) == []


async def test_an_owner_of_an_unknown_kind_is_left_to_others(server: ApiServer) -> None:
    """We do not judge what we cannot see."""
    unknown = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u"}
    await server.client.create(CONFIGMAPS, "default", configmap("child", ownerReferences=[unknown]))
    await settled(server)
    assert await names(server.client) == ["child"]


async def test_what_a_crash_left_is_found_again(tmp_path: Path) -> None:
    """An owner deleted right before a stop: the dependent goes after the restart."""
    async with running(tmp_path / "home") as server:
        owner = await server.client.create(MACHINES, "default", machine("owner"))
        await server.client.create(CONFIGMAPS, "default", configmap("child", ownerReferences=[owned_by(owner)]))
        await settled(server)
        for task in server._tasks:  # the collector dies first
            task.cancel()
        await server.client.delete(MACHINES, "default", "owner")
        await server.client.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}})
        await server.client.create(CONFIGMAPS, "gone", configmap("inside"))
        await server.client.delete(NAMESPACES, None, "gone")
        assert await names(server.client) == ["child", "inside"]
    async with running(tmp_path / "home") as server:
        await settled(server)
        assert await names(server.client) == []
        assert await server.client.get(NAMESPACES, None, "gone") is None


async def test_a_namespace_takes_its_content_along(server: ApiServer) -> None:
    """All that is in it goes; while something holds out it is Terminating and takes nothing new; then it is gone."""
    client = server.client
    space = await client.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "space"}})
    assert space["status"] == {"phase": "Active"}
    for i in range(5):
        await client.create(CONFIGMAPS, "space", configmap(f"c{i}"))
    await client.create(MACHINES, "space", machine("held", finalizers=["anneal.dev/cleanup"]))
    await client.delete(NAMESPACES, None, "space")
    await settled(server)
    assert (await client.get(NAMESPACES, None, "space") or {})["status"]["phase"] == "Terminating"
    assert await names(client) == []
    with pytest.raises(ApiError, match="because it is being terminated") as caught:
        await client.create(CONFIGMAPS, "space", configmap("late"))
    assert caught.value.code == 403
    await client.patch(MACHINES, "space", "held", {"metadata": {"finalizers": None}})
    await eventually(lambda: not server.collector._terminating)
    assert await client.get(NAMESPACES, None, "space") is None


async def test_events_are_forgotten(tmp_path: Path) -> None:
    """Events go after an hour, and the oldest first where there are too many."""
    now = time.time()
    settings = ApiSettings(events_max=3)
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "e-"}, "involvedObject": {"name": "a"}}
    async with running(tmp_path / "home", settings, clock=lambda: now) as server:
        for i in range(5):
            await server.client.create(EVENTS, "default", {**event, "message": str(i)})
        await upkeep.once(server.core, settings)
        found, _ = await server.client.list(EVENTS)
        assert sorted(e["message"] for e in found) == ["2", "3", "4"]
        now += 3700
        await upkeep.once(server.core, settings)
        assert (await server.client.list(EVENTS))[0] == []
