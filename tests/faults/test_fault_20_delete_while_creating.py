"""Fault 20: deletion arrives while things are being made."""

from __future__ import annotations

import time

import pytest

from tests.support.cloud import fault
from tests.support.daemon import condition_of, until
from tests.support.world import World, message

MOMENTS = {
    "while a port is made": ("/ports", 1),
    "while the second port is made": ("/ports", 2),
    "while the address is made": ("/addresses", 1),
    "while the server is made": ("/servers", 1),
}


@pytest.mark.parametrize(("path", "number"), MOMENTS.values(), ids=MOMENTS)
async def test_in_the_middle_of_a_request(path: str, number: int, world: World) -> None:
    """The request is under way when deletion comes: in the end nothing with the Machine's tag is left."""
    world.admin.faults(fault("slow", method="POST", path=f"^{path}", skip=number - 1, delay=0.5))
    await world.create("m", 2, floatingIP=True)
    await until(lambda: sum(world.admin.hits()) > 0)
    await world.delete("m")
    await world.gone("m")
    await world.rounds(1) if world.total() else None
    assert world.total() == {}


async def test_while_it_builds(world: World) -> None:
    """A server that is building for a long time does not keep its deletion waiting."""
    world.admin.settings(build_seconds=600)
    await world.create("m", 1)
    await world.until("m", lambda obj: condition_of(obj).get("reason") == "Building")
    began = time.monotonic()
    await world.delete("m")
    await world.gone("m")
    assert time.monotonic() - began < 5
    assert world.total() == {}


async def test_what_is_in_use_goes_last(world: World) -> None:
    """Server, then address, then ports: no request is refused because something is in use."""
    world.admin.settings(delete_seconds=0.5)
    await world.create("m", 2, floatingIP=True)
    await world.ready("m")
    await world.delete("m")
    await world.gone("m")
    order = [entry["table"] for entry in world.admin.log() if entry["method"] == "DELETE"]
    assert order == ["servers", "addresses", "ports", "ports"]
    assert world.total() == {}


@pytest.mark.parametrize("table", ["addresses", "ports"])
async def test_one_that_refuses_is_named(table: str, world: World) -> None:
    """A part that may not be deleted is named in Deleting; a slow deletion of one Machine does not hold up another."""
    await world.create("stuck", 1, floatingIP=True)
    await world.create("free", 1)
    await world.ready("stuck")
    await world.ready("free")
    address = world.admin.inventory()["addresses"][0]["id"]
    port = next(p["id"] for p in world.admin.inventory()["ports"] if "stuck" in p["name"])
    ref = address if table == "addresses" else port
    world.admin.faults(fault("delete_forbidden", path=f"^/{table}/{ref}"))
    await world.delete("stuck")
    await world.delete("free")
    await world.gone("free")
    part = "address" if table == "addresses" else "port/0"
    await world.until("stuck", lambda obj: part in message(obj, "Deleting") and "Policy" in message(obj, "Deleting"))
    world.admin.faults()
    await world.gone("stuck")
    assert world.total() == {}


async def test_created_and_deleted_at_once(world: World) -> None:
    """Twenty Machines that live for an instant leave nothing."""
    for number in range(20):
        await world.create(f"m-{number}", 1)
        await world.delete(f"m-{number}")
    for number in range(20):
        await world.gone(f"m-{number}", 30)
    assert world.total() == {}


class TestShownLate:
    """The cloud shows what it made only after a while."""

    @pytest.fixture
    def settings(self) -> dict[str, str]:
        """The cloud may take two seconds."""
        return {"ANNEAL_SIMULATED_SETTLE_SECONDS": "2"}

    @pytest.mark.parametrize("killed", [False, True], ids=["one daemon", "killed in between"])
    async def test_what_nobody_can_see_is_waited_for(self, killed: bool, world: World) -> None:
        """The answer was lost and the server does not show yet: the Machine stays until it does, and takes it along."""
        world.admin.faults(fault("ack_then_500", path="^/servers"), fault("late_visibility", path="^/servers", delay=1.2))
        await world.create("m")
        await until(lambda: world.admin.creates("servers"))
        await world.delete("m")
        if killed:
            world.daemon.kill()
            await world.daemon.start()
        await world.gone("m")
        assert world.total() == {}
