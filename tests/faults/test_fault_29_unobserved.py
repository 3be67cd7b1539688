"""Fault 29: what happened while nobody was looking. Only the last state counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.proxy import Proxy
from tests.support.tables import cases
from tests.support.world import World


async def ports(world: World, number: int) -> None:
    """Want so many ports."""
    await world.edit("m", ports=[{"network": f"net-{n}"} for n in range(number)])


async def there_and_back(world: World) -> None:
    """One port, three, one."""
    await ports(world, 3)
    await world.edit("m", flavor="large")
    await world.edit("m", flavor="small")
    await ports(world, 1)


async def come_and_gone(world: World) -> None:
    """Another Machine is made and deleted."""
    await world.create("brief", 3)
    await world.delete("brief")


async def gone_and_come(world: World) -> None:
    """The Machine is deleted, and made again as soon as that is possible."""
    await world.delete("m")


HAPPENINGS = {"there and back": there_and_back, "come and gone": come_and_gone, "gone and come": gone_and_come}
Happening = Callable[[World], Awaitable[None]]


@pytest.mark.parametrize("happening", cases(HAPPENINGS, quick=["there and back"]))
@pytest.mark.parametrize("how", ["down", "events dropped"])
async def test_only_the_last_state_counts(how: str, happening: Happening, apart: World, between: Proxy) -> None:
    """Whatever came in between, in the end there is one server with one port, and nothing else."""
    await apart.daemon.start()
    await apart.create("m", 1)
    first = await apart.ready("m")
    if how == "down":
        apart.daemon.kill()
    else:
        between.hears = lambda event: event["type"] == "BOOKMARK"
    await happening(apart)
    if how == "down":
        await apart.daemon.start()
    if happening is gone_and_come:
        await apart.gone("m", 30)
        await apart.create("m", 1)
    await apart.ready("m", 30)
    await apart.rounds()
    assert apart.total() == {"servers": 1, "ports": 1}
    assert await apart.orphans() == []
    if happening is not gone_and_come:
        assert apart.counts(first["metadata"]["uid"]) == ({"servers": 1, "ports": 1}, {})


@pytest.mark.parametrize("deaf", cases({kind: kind for kind in ("ADDED", "MODIFIED", "DELETED")}, quick=["MODIFIED"]))
async def test_a_class_of_events_is_never_heard(deaf: str, apart: World, between: Proxy) -> None:
    """Without ever hearing of additions, changes or deletions the daemon still gets everything right."""
    between.hears = lambda event: event["type"] != deaf
    await apart.daemon.start()
    await apart.create("m", 1)
    await apart.ready("m", 30)
    await apart.edit("m", flavor="large")
    async with asyncio.timeout(30):
        while not any(server["flavor"] == "large" for server in apart.admin.servers()):
            await asyncio.sleep(0.05)
    await apart.ready("m", 30)
    await apart.delete("m")
    await apart.gone("m", 30)
    assert apart.total() == {}
