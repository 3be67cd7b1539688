"""Fault 30: people do things in the cloud's own console."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.cloud import CloudAdmin
from tests.support.daemon import until
from tests.support.world import World, because, message, parts

WHOLE = {"servers": 1, "ports": 2, "addresses": 1}
Act = Callable[[CloudAdmin, dict[str, str]], None]

STOPPED: dict[str, tuple[str, str]] = {
    "SHUTOFF": ("Stopped", "SHUTOFF"),
    "PAUSED": ("Stopped", "PAUSED"),
    "SUSPENDED": ("Stopped", "SUSPENDED"),
    "VERIFY_RESIZE": ("Stopped", "VERIFY_RESIZE"),
    "SOFT_DELETED": ("ExternalDeleted", "restore it"),
}
MENDED: dict[str, Act] = {
    "the server deleted": lambda cloud, ref: cloud.delete("servers", ref["server"]),
    "a port unplugged": lambda cloud, ref: cloud.change("servers", ref["server"], ports=[ref["port/0"]]),
    "all ports unplugged": lambda cloud, ref: cloud.change("servers", ref["server"], ports=[]),
    "the address deleted": lambda cloud, ref: cloud.delete("addresses", ref["address"]),
    "the address led away": lambda cloud, ref: cloud.change("addresses", ref["address"], server=None),
    "the metadata changed": lambda cloud, ref: cloud.change("servers", ref["server"], metadata={"evil": "yes"}),
    "renamed": lambda cloud, ref: cloud.change("servers", ref["server"], name="my-pet"),
}


async def whole(world: World) -> dict[str, str]:
    """A Machine with two ports and an address; its parts."""
    await world.create("m", 2, floatingIP=True, serverMetadata=[{"key": "role", "value": "worker"}])
    return parts(await world.ready("m"))


@pytest.mark.parametrize(("state", "told"), STOPPED.items(), ids=STOPPED)
async def test_a_state_that_a_person_chose_is_left_alone(state: str, told: tuple[str, str], world: World) -> None:
    """The condition says it; nothing is changed; once the server is ACTIVE again the Machine is Ready again."""
    refs = await whole(world)
    requests = len(world.admin.log())
    world.admin.change("servers", refs["server"], state=state)
    obj = await world.until("m", because(told[0]))
    assert told[1] in message(obj)
    await world.rounds()
    assert len(world.admin.log()) == requests
    world.admin.change("servers", refs["server"], state="ACTIVE")
    assert parts(await world.ready("m")) == refs
    assert len(world.admin.log()) == requests


@pytest.mark.parametrize("act", MENDED.values(), ids=MENDED)
async def test_what_was_undone_is_done_again(act: Act, world: World) -> None:
    """The Machine is whole again by as few creates as were lost, and everything leads where it should."""
    refs = await whole(world)
    before = world.admin.inventory()
    act(world.admin, refs)
    lost = sum(len(things) for things in before.values()) - sum(len(things) for things in world.admin.inventory().values())
    creates = len(world.admin.creates())
    await world.rounds(1)
    await until(lambda: shape(world) == shape_of(before))
    new = parts(await world.ready("m"))
    await world.rounds()
    assert world.total() == WHOLE
    assert len(world.admin.creates()) == creates + lost
    assert {part for part in refs if refs[part] != new[part]} == ({"server"} if "server" in str(act) else set()) or lost <= 1


def shape(world: World) -> list:
    """What there is, without ids and names."""
    return shape_of(world.admin.inventory())


def shape_of(inventory: dict) -> list:
    """How everything hangs together."""
    server = next(iter(inventory["servers"]), None) or {"id": None, "ports": [], "metadata": {}, "state": ""}
    ports = sorted((port["network"], port["server"] == server["id"]) for port in inventory["ports"])
    addresses = [address["server"] == server["id"] for address in inventory["addresses"]]
    return [ports, addresses, len(server["ports"]), server["metadata"], server["state"]]


async def test_a_port_deleted_under_the_server(world: World) -> None:
    """The port itself is gone: one port is made, and plugged in."""
    refs = await whole(world)
    world.admin.change("servers", refs["server"], ports=[refs["port/0"]])
    world.admin.delete("ports", refs["port/1"])
    await until(lambda: len(world.admin.creates("ports")) == 3)
    await world.ready("m")
    assert world.total() == WHOLE
    assert len(world.admin.servers()[0]["ports"]) == 2


@pytest.mark.parametrize("table", ["servers", "ports", "addresses"])
async def test_a_tag_removed_makes_it_somebody_elses(table: str, world: World) -> None:
    """Without our tag it is not touched any more, not even to delete it; the Machine says so, nothing is made instead."""
    refs = await whole(world)
    part = {"servers": "server", "ports": "port/1", "addresses": "address"}[table]
    requests = len(world.admin.log())
    world.admin.change(table, refs[part], tags={})
    obj = await world.until("m", because("NotOurs"))
    assert "does not carry our tag" in message(obj)
    await world.rounds()
    assert len(world.admin.log()) == requests


async def test_an_imported_server_that_is_gone_is_not_made(world: World) -> None:
    """Terminal: it says so, and does nothing."""
    theirs = world.admin.create("servers", name="pet")
    await world.create("pet", spec={"managementPolicy": "unmanaged", "import": {"id": theirs}})
    await world.ready("pet")
    world.admin.delete("servers", theirs)
    await world.until("pet", because("ExternalDeleted"))
    await world.rounds()
    assert world.admin.log() == []
    assert world.total() == {}


async def test_one_recreation_with_a_new_id(world: World) -> None:
    """Deleted by a person, made anew exactly once; a crash in between makes no second one."""
    refs = await whole(world)
    world.daemon.kill()
    world.admin.delete("servers", refs["server"])
    await world.daemon.start({"ANNEAL_CRASH_AT": "2:sent"})
    await world.daemon.died()
    await world.daemon.start()
    await world.rounds(1)
    new = parts(await world.ready("m"))
    assert new["server"] != refs["server"]
    assert {part: ref for part, ref in new.items() if part != "server"} == {p: r for p, r in refs.items() if p != "server"}
    assert len(world.admin.creates("servers")) == 2
    assert world.total() == WHOLE
