"""Fault 5: the server cannot be made, again and again, though its ports and its address already exist."""

from __future__ import annotations

import pytest

from tests.support.cloud import fault
from tests.support.daemon import until
from tests.support.world import World, because, message

WHOLE = {"ports": 2, "addresses": 1}


@pytest.mark.parametrize("kills", [0, 3], ids=["one daemon", "killed in between"])
async def test_what_fails_leaves_one_of_each_part(kills: int, world: World) -> None:
    """However often the server fails, there is one port and one address for each that was asked for; deleting leaves none."""
    world.admin.faults(fault("fail_create", path="^/servers", message="No valid host was found.", status=409))
    await world.create("m", 2, floatingIP=True)
    await until(lambda: _server_posts(world) >= 1)
    for _ in range(kills):
        world.daemon.kill()
        await world.daemon.start()
        await world.rounds(1)
    assert world.total() == WHOLE
    assert world.counts()[0] == WHOLE
    await world.delete("m")
    await world.gone("m")
    assert world.total() == {}


async def test_a_wrong_input_is_not_tried_again(world: World) -> None:
    """What the cloud refuses for good is asked for once; a corrected spec is tried at once, with the same ports."""
    await world.create("m", 2, image="no-such-image")
    obj = await world.until("m", because("InvalidConfiguration"))
    assert "no-such-image" in message(obj)
    await world.rounds()
    assert _server_posts(world) == 1
    ports = {port["id"] for port in world.admin.inventory()["ports"]}

    await world.edit("m", image="debian-12")
    await world.ready("m")
    assert {port["id"] for port in world.admin.inventory()["ports"]} == ports
    assert world.counts() == ({"ports": 2, "servers": 1}, {})


@pytest.mark.slow
async def test_twenty_failures(world: World) -> None:
    """Twenty changes of the spec, twenty refusals: still one of each part, and none after deletion."""
    world.admin.faults(fault("fail_create", path="^/servers"))
    await world.create("m", 2, floatingIP=True, flavor="f-0")
    for number in range(1, 20):
        await until(lambda n=number: _server_posts(world) >= n, 20)
        await world.edit("m", flavor=f"f-{number}")
        assert world.total() in ({}, WHOLE) or number == 1
    await until(lambda: _server_posts(world) >= 20)
    assert world.counts()[0] == WHOLE
    await world.delete("m")
    await world.gone("m")
    assert world.total() == {}


def _server_posts(world: World) -> int:
    return sum(1 for entry in world.admin.log() if (entry["method"], entry["table"]) == ("POST", "servers"))
