"""Fault 15: two daemons, each of which believes that it leads."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.apiprocess import ApiProcess
from tests.support.cloud import CloudProcess, fault
from tests.support.daemon import DaemonProcess, until
from tests.support.tables import cases
from tests.support.world import World, ask, external_world

SETTINGS = {"ANNEAL_LEASE_SECONDS": "2", "ANNEAL_SIMULATED_SETTLE_SECONDS": "3"}


@pytest.fixture
async def pair(cloud: CloudProcess, api: ApiProcess, tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Two daemons with two homes on one API server; the first one leads."""
    cloud.admin.reset()
    async with (
        external_world(cloud, tmp_path / "a", api.kubeconfig, env=SETTINGS) as first,
        external_world(cloud, tmp_path / "b", api.kubeconfig, env=SETTINGS) as second,
    ):
        await first.daemon.start()
        await until(lambda: leads(first.daemon))
        await second.daemon.start()
        yield first, second


async def leads(daemon: DaemonProcess) -> bool:
    """Whether the daemon says that it leads and sees."""
    return (await ask(daemon, "/readyz"))[0] == 200


@pytest.mark.parametrize("pause", cases({"at once": 0.0, "after 0.1 s": 0.1, "after 0.3 s": 0.3}, quick=["after 0.1 s"]))
async def test_a_leader_that_was_stopped_does_nothing_when_it_wakes(pause: float, pair: tuple[World, World]) -> None:
    """Stopped while it makes servers, replaced, and woken: not one call of its own, and everything exists exactly once."""
    first, second = pair
    first.admin.faults(fault("slow", delay=0.15, method="GET"))
    for number in range(4):
        await first.create(f"m-{number}", 1)
    await asyncio.sleep(pause)  # the instant at which it is stopped is what this test varies
    first.daemon.signal(signal.SIGSTOP)
    await until(lambda: leads(second.daemon))
    for number in range(4):
        await second.ready(f"m-{number}", 30)
    before, requests = first.admin.inventory(), len(first.admin.log())
    assert {table: len(things) for table, things in before.items()} == {"servers": 4, "ports": 4, "addresses": 0}

    first.daemon.signal(signal.SIGCONT)
    await until(lambda: stands_by(first.daemon))
    await second.rounds()
    assert first.admin.log()[requests:] == []
    assert first.admin.inventory() == before
    assert await leads(second.daemon)


async def test_a_call_that_waits_is_not_sent_after_the_lease(pair: tuple[World, World]) -> None:
    """The leader wakes between two looks at a Machine that has been deleted meanwhile: it makes nothing for it."""
    first, second = pair
    first.admin.faults(fault("slow", delay=0.4, method="GET"))
    await first.create("m", 2)
    await until(lambda: sum(first.admin.reads().values()) > 2)
    first.daemon.signal(signal.SIGSTOP)
    await until(lambda: leads(second.daemon))
    await second.delete("m")
    await second.gone("m", 30)
    requests = len(first.admin.log())

    first.daemon.signal(signal.SIGCONT)
    await until(lambda: stands_by(first.daemon))
    assert first.admin.log()[requests:] == []
    assert first.total() == {}


async def test_the_second_takes_over_from_a_dead_one(pair: tuple[World, World]) -> None:
    """kill -9 the leader: the other one goes on with what it had begun."""
    first, second = pair
    await first.create("m", 2, floatingIP=True)
    await until(lambda: first.admin.creates())
    first.daemon.kill()
    await second.ready("m", 30)
    assert second.total() == {"servers": 1, "ports": 2, "addresses": 1}
    assert second.counts()[0] == {"servers": 1, "ports": 2, "addresses": 1}


async def test_one_home_has_one_daemon(world: World) -> None:
    """A second daemon on the same home refuses to start, and says who holds it."""
    twin = DaemonProcess(world.daemon.root)
    pid = world.daemon.home.pidfile.read_text()
    await twin.start(wait=False)
    assert await twin.died() == 1
    assert "cannot run the daemon" in twin.output()
    world.daemon.home.pidfile.write_text(pid)
    await world.create("m")
    await world.ready("m")


async def stands_by(daemon: DaemonProcess) -> bool:
    """Whether the daemon says that somebody else leads."""
    status, text = await ask(daemon, "/readyz")
    return status == 503 and "standing by" in text
