"""Fault 22: a server that the cloud gave up."""

from __future__ import annotations

import pytest

from tests.support.cloud import fault
from tests.support.daemon import condition_of, until
from tests.support.world import MACHINES, World, because, message, parts

NOW = {"remediation": {"maxRetry": 2, "retryPeriodSeconds": 1}}


async def test_it_is_replaced_so_many_times_and_then_left(world: World) -> None:
    """Two replacements, the second later than the first, and then a visible stop with the cloud's words; no more requests."""
    world.admin.faults(fault("error_servers", message="No valid host was found."))
    await world.create("m", 1, spec=NOW)
    obj = await world.until("m", lambda obj: because("ServerFailed")(obj) and "replaced 2 times" in message(obj), 30)
    assert "No valid host was found" in message(obj)
    assert condition_of(obj, "Progressing")["status"] == "False"
    assert len(world.admin.creates("servers")) == 3
    first, second = world.admin.deletes("servers")
    assert second["time"] - first["time"] > 0.8  # of a second's pause, counted from the decision: the cloud hears of it later
    requests = len(world.admin.log())
    world.daemon.kill()
    await world.daemon.start()
    await world.rounds(3)
    assert len(world.admin.log()) == requests
    assert world.total() == {"servers": 1, "ports": 1}


async def test_a_new_spec_is_a_new_chance(world: World) -> None:
    """After the stop, a change of the spec tries again, and gets Ready if the cloud is well."""
    world.admin.faults(fault("error_servers"))
    await world.create("m", spec={"remediation": {"maxRetry": 0}})
    await world.until("m", because("ServerFailed"))
    world.admin.faults()
    await world.client.patch(MACHINES, "default", "m", {"spec": {"remediation": {"maxRetry": 1}}})
    await world.ready("m")
    assert len(world.admin.creates("servers")) == 2


async def test_it_fails_later(world: World) -> None:
    """A server that was Ready goes to ERROR: replaced once, by one with another id."""
    await world.create("m", 1, spec=NOW)
    old = parts(await world.ready("m"))["server"]
    world.admin.change("servers", old, state="ERROR", fault="disk failure")
    await world.until("m", lambda obj: parts(obj).get("server") not in (None, old))
    await world.ready("m")
    assert world.total() == {"servers": 1, "ports": 1}
    assert len(world.admin.creates("servers")) == 2
    assert [entry["id"] for entry in world.admin.deletes("servers")] == [old]


@pytest.mark.parametrize("moment", ["stopped", "between replacements"])
async def test_deleting_works_at_once(moment: str, world: World) -> None:
    """A Machine with a failed server is deleted without waiting for anything."""
    world.admin.faults(fault("error_servers"))
    remediation = {"maxRetry": 0} if moment == "stopped" else {"maxRetry": 5, "retryPeriodSeconds": 3600}
    await world.create("m", 1, floatingIP=True, spec={"remediation": remediation})
    await until(lambda: len(world.admin.servers()) == 1)
    await world.until("m", because("ServerFailed"))
    await world.delete("m")
    await world.gone("m")
    assert world.total() == {}
