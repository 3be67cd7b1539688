"""A MachineSet on the real cloud: as many servers as wanted, within its limits at every moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from reconciler.client import Object, ours
from tests.openstack.real import Real
from tests.openstack.world import MACHINES, PATIENCE, CloudWorld, running
from tests.support.daemon import DaemonProcess, condition_of, until
from tests.support.world import because, settled

pytestmark = pytest.mark.timeout(900)
SETS = ours("machinesets")


@pytest.fixture
async def world(real: Real, homes: Callable[[str], DaemonProcess]) -> AsyncIterator[CloudWorld]:
    async with running(real, homes("direct")) as there:
        yield there
        if await there.client.get(SETS, "default", "pool") is not None:
            await there.client.delete(SETS, "default", "pool")
        await _none(there)


async def _none(world: CloudWorld) -> None:
    """Wait until no Machine is there."""

    async def none() -> bool:
        return not (await world.client.list(MACHINES))[0]

    await until(none, PATIENCE, lambda: "the Machines of the pool do not go")


async def _create(world: CloudWorld, replicas: int, **more: Any) -> None:
    template = {"spec": {"openstack": world.spec()}}
    spec = {"replicas": replicas, "template": template, **more}
    body = {"apiVersion": "anneal.dev/v1alpha1", "kind": "MachineSet", "metadata": {"name": "pool", "namespace": "default"}}
    await world.client.create(SETS, "default", body | {"spec": spec})


async def _ready(world: CloudWorld) -> Object:
    """Wait until it says of its newest spec that all is well."""

    async def look() -> Object | None:
        obj = await world.client.get(SETS, "default", "pool")
        now = obj is not None and obj.get("status", {}).get("observedGeneration") == obj["metadata"]["generation"]
        return obj if obj and now and settled(obj) else None

    found: Object = await until(look, PATIENCE, lambda: "the pool does not become ready")
    return found


async def _machines(world: CloudWorld) -> list[Object]:
    """Those that stay."""
    return [item for item in (await world.client.list(MACHINES))[0] if "deletionTimestamp" not in item["metadata"]]


async def _names(world: CloudWorld) -> set[str]:
    return {item["metadata"]["name"] for item in await _machines(world)}


def _is_ready(obj: Object) -> bool:
    return condition_of(obj).get("status") == "True"


@asynccontextmanager
async def _watched(world: CloudWorld) -> AsyncIterator[list[tuple[int, int]]]:
    """(Machines, how many of them Ready) at every moment, while the block runs; those that are going do not count."""
    seen: list[tuple[int, int]] = []

    async def watch() -> None:
        while True:
            here = await _machines(world)
            seen.append((len(here), sum(map(_is_ready, here))))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_pool_grows_changes_within_its_limits_shrinks_and_goes(world: CloudWorld, real: Real) -> None:
    """Two, then three; another template one at a time, never fewer Ready than wanted; then one; then none, and no port."""
    await _create(world, 2, rollout={"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}})
    obj = await _ready(world)
    assert (obj["status"]["replicas"], obj["status"]["readyReplicas"]) == (2, 2)
    assert real.total() == {"servers": 2, "ports": 2}

    await world.client.patch(SETS, "default", "pool", {"spec": {"replicas": 3}})
    await _ready(world)
    assert real.total() == {"servers": 3, "ports": 3}
    old = await _names(world)

    changed = {"spec": {"template": {"spec": {"openstack": {"tags": ["blue"]}}}}}
    async with _watched(world) as seen:
        await world.client.patch(SETS, "default", "pool", changed)
        await _ready(world)
    assert max(count for count, _ in seen) == 4
    assert min(ready for _, ready in seen) >= 3
    assert not old & await _names(world)
    real.until(lambda: real.total() == {"servers": 3, "ports": 3})
    assert all("blue" in server.tags for server in real.inventory()["servers"])

    await world.client.patch(SETS, "default", "pool", {"spec": {"replicas": 1}})
    await _ready(world)
    real.until(lambda: real.total() == {"servers": 1, "ports": 1})
    await world.client.delete(SETS, "default", "pool")
    await _none(world)
    assert real.total() == {}


@pytest.mark.parametrize("order", ["Newest", "Oldest"])
async def test_who_goes_first_when_there_are_too_many(world: CloudWorld, real: Real, order: str) -> None:
    """What is not Ready; of those that are alike the newest, or the oldest, as the spec says."""
    await _create(world, 1, deletion={"order": order})
    await _ready(world)
    (first,) = await _names(world)
    await world.client.patch(SETS, "default", "pool", {"spec": {"replicas": 3}})
    await _ready(world)
    broken = max(await _names(world) - {first})
    server = (await world.of(broken))["servers"][0]
    real.sdk.compute.stop_server(server.id)
    await world.until(broken, because("Stopped"))

    await world.client.patch(SETS, "default", "pool", {"spec": {"replicas": 2}})
    await world.gone(broken)
    await _ready(world)
    assert first in await _names(world)
    await world.client.patch(SETS, "default", "pool", {"spec": {"replicas": 1}})
    await _ready(world)
    assert (first in await _names(world)) is (order == "Newest")
    real.until(lambda: real.total() == {"servers": 1, "ports": 1})
