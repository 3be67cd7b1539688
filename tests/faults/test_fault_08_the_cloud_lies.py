"""Fault 8: the cloud shows nothing, refuses everything, or shows somebody else's world."""

from __future__ import annotations

import pytest

from tests.support.cloud import fault
from tests.support.daemon import condition_of, until
from tests.support.tables import cases
from tests.support.world import MACHINES, World, parts

MACHINE_COUNT = 5
LIES = {
    "empty lists": [fault("empty_lists")],
    "another project": [fault("other_project")],
    "401": [fault("unauthorized")],
    "403": [fault("forbidden", method="GET")],
    "503": [fault("unavailable", method="GET")],
    "nonsense": [fault("garbage")],
    "no answer": [fault("drop_before", method="GET")],
}


async def fleet(world: World) -> None:
    """Five Machines with a port each, all Ready."""
    for number in range(MACHINE_COUNT):
        await world.create(f"m-{number}", 1)
    for number in range(MACHINE_COUNT):
        await world.ready(f"m-{number}")


@pytest.mark.parametrize("rules", cases(LIES, quick=["empty lists", "401"]))
async def test_a_lie_changes_nothing(rules: list, world: World) -> None:
    """However the cloud lies about everything at once, nothing is created and nothing deleted; then all is as before."""
    await fleet(world)
    before, requests = world.admin.inventory(), len(world.admin.log())
    world.admin.faults(*rules)
    await _struck(world, 20)
    world.daemon.kill()  # what the lie told is not remembered either
    await world.daemon.start()
    await _struck(world, 40)
    assert world.admin.inventory() == before
    assert len(world.admin.log()) == requests or rules[0]["fault"] == "unauthorized"

    world.admin.faults()
    for number in range(MACHINE_COUNT):
        await world.ready(f"m-{number}", 40)
    assert world.admin.inventory() == before


async def test_being_blind_is_told(world: World) -> None:
    """Observed is Unknown while nothing can be seen, and True again by itself."""
    await fleet(world)
    world.admin.faults(fault("unavailable", method="GET"))
    await world.until("m-0", lambda obj: condition_of(obj, "Observed").get("status") == "Unknown")
    world.admin.faults()
    await world.until("m-0", lambda obj: condition_of(obj, "Observed").get("status") == "True", 10)


async def test_the_loss_of_most_waits_for_a_person(world: World) -> None:
    """Three of five servers are really gone: none is made anew, and it is said why; the one that returns is not lost any more."""
    await fleet(world)
    lost = [f"m-{number}" for number in range(3)]
    kept = {}
    for name in lost:
        obj = await world.get(name)
        assert obj is not None
        kept[name] = next(s for s in world.admin.servers() if s["id"] == parts(obj)["server"])
    created = len(world.admin.creates())
    for server in kept.values():
        world.admin.change("servers", server["id"], visible_at=4e9)  # hidden, as if deleted
    for name in lost:
        await world.until(name, lambda obj: condition_of(obj, "Progressing").get("reason") == "BreakerOpen")
    await world.rounds()
    assert len(world.admin.creates()) == created

    for server in kept.values():
        world.admin.change("servers", server["id"], visible_at=0)
    for name in lost:
        await world.ready(name, 40)
    assert len(world.admin.creates()) == created


async def test_the_loss_of_one_is_made_good(world: World) -> None:
    """One of five is gone: it is made anew, once."""
    await fleet(world)
    obj = await world.get("m-0")
    assert obj is not None
    old = parts(obj)["server"]
    world.admin.delete("servers", old)
    await world.until("m-0", lambda obj: parts(obj).get("server") not in (None, old))
    await world.ready("m-0")
    assert len(world.admin.creates("servers", owner=obj["metadata"]["uid"])) == 2


@pytest.mark.slow
async def test_the_machines_stay_in_the_api(world: World) -> None:
    """A minute of lies of all kinds, one after another: the Machines are the same ones, and so are their servers."""
    await fleet(world)
    before = world.admin.inventory()
    uids = {item["metadata"]["uid"] for item in (await world.client.list(MACHINES))[0]}
    for rules in LIES.values():
        world.admin.faults(*rules)
        await _struck(world, 60)
    world.admin.faults()
    for number in range(MACHINE_COUNT):
        await world.ready(f"m-{number}", 60)
    assert world.admin.inventory() == before
    assert {item["metadata"]["uid"] for item in (await world.client.list(MACHINES))[0]} == uids


async def _struck(world: World, times: int) -> None:
    """Wait until the lie was told so often."""
    await until(lambda: sum(world.admin.hits()) >= times, 60, lambda: f"the daemon does not ask: {world.admin.hits()}")
