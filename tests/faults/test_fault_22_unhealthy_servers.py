"""Fault 22, its other half: a server that did not fail, and does not work either (spec.machineHealthCheck)."""

from __future__ import annotations

import asyncio

from tests.support.world import MACHINES, World, because, message, parts

SICK = {"unhealthyConditions": [{"type": "Ready", "timeoutSeconds": 1}]}


async def test_one_that_stays_stopped_is_replaced(world: World) -> None:
    """Ready=False for as long as the spec says: another server, the same port; never two at once."""
    await world.create("m", 1, spec={"machineHealthCheck": SICK})
    before = parts(await world.ready("m"))
    world.admin.change("servers", before["server"], state="SHUTOFF")
    await world.until("m", lambda obj: parts(obj).get("server") not in (None, before["server"]))
    after = parts(await world.ready("m"))
    assert after["port/0"] == before["port/0"]
    assert world.total() == {"servers": 1, "ports": 1}
    assert len(world.admin.creates("servers")) == 2


async def test_without_a_health_check_it_is_left_alone(world: World) -> None:
    """Somebody meant it: unless the spec says otherwise, a stopped server is not touched."""
    await world.create("m", 1)
    before = parts(await world.ready("m"))
    world.admin.change("servers", before["server"], state="SHUTOFF")
    await world.until("m", because("Stopped"))
    await world.rounds(3)
    assert world.admin.deletes("servers") == []


async def test_too_many_at_once_wait_for_a_person(world: World) -> None:
    """More than maxUnhealthy: none is replaced, each says why; once one is well again the other is."""
    check = SICK | {"maxUnhealthy": "1"}
    for name in ("a", "b"):
        await world.create(name, spec={"machineHealthCheck": check})
    servers = {name: parts(await world.ready(name))["server"] for name in ("a", "b")}
    # the very moment between the first and the second is not ours to choose: neither is replaced while both are stopped
    await asyncio.gather(*(asyncio.to_thread(world.admin.change, "servers", ref, state="SHUTOFF") for ref in servers.values()))
    for name in servers:
        obj = await world.until(name, because("BreakerOpen"))
        assert "2 of 2 Machines are unhealthy, and maxUnhealthy is 1" in message(obj)
    assert world.admin.deletes("servers") == []
    await world.client.patch(MACHINES, "default", "a", {"spec": {"machineHealthCheck": {"maxUnhealthy": "2"}}})
    await world.until("a", lambda obj: parts(obj).get("server") not in (None, servers["a"]))
    await world.ready("a")
    await world.until("b", lambda obj: parts(obj).get("server") not in (None, servers["b"]))
    await world.ready("b")
    assert world.total() == {"servers": 2}
