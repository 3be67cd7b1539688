"""Whatever people edit and whatever breaks, in whatever order: one server for each Machine, and nothing without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.client import ApiError, ApiUnavailable
from reconciler.http_client import HttpClient
from tests.support.cloud import CloudProcess, fault
from tests.support.daemon import DaemonProcess, until
from tests.support.world import MACHINES, SWIFT, World, intents, settled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMES = ("a", "b", "c")
FAULTS = (
    fault("ack_then_500", count=1),
    fault("drop_after", count=1),
    fault("drop_before", count=2),
    fault("late_visibility", count=1, delay=0.2),
    fault("unavailable", seconds=0.5),
    fault("empty_lists", seconds=0.5),
    fault("other_project", seconds=0.5),
    fault("rate_limited", count=2, retry_after=0.2),
    fault("quota", count=1),
    fault("error_servers", count=1),
    fault("delete_in_use", count=1),
    fault("slow", seconds=0.5, delay=0.2),
    fault("garbage", seconds=0.3),
    fault("unauthorized", seconds=0.3),
)


@dataclass(frozen=True)
class Deed:
    """One thing that happens."""

    what: str
    name: str = ""
    value: Any = None


names = st.sampled_from(NAMES)
deeds = st.one_of(
    st.builds(Deed, st.just("want"), names, st.sampled_from(["small", "large"])),
    st.builds(Deed, st.just("flavor"), names, st.sampled_from(["small", "medium", "large"])),
    st.builds(Deed, st.just("ports"), names, st.integers(0, 3)),
    st.builds(Deed, st.just("address"), names, st.booleans()),
    st.builds(Deed, st.just("unwant"), names),
    st.builds(Deed, st.just("fault"), st.just(""), st.sampled_from(range(len(FAULTS)))),
    st.builds(Deed, st.just("lose"), st.just(""), st.sampled_from(["servers", "ports", "addresses"])),
    st.builds(Deed, st.just("crash"), st.just(""), st.sampled_from(["before", "sent", "after"])),
    st.builds(Deed, st.just("wait"), st.just(""), st.sampled_from([0.05, 0.3, 1.0])),
)


def test_in_the_end_there_is_what_is_wanted(lives_of: Callable[[], None]) -> None:
    """After any sequence of edits, losses, faults and crashes: each Machine has its parts once, and nothing else is tagged."""
    lives_of()


@pytest.fixture
def lives_of(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Runs the property; hypothesis draws, one event loop for each example."""
    env = SWIFT | {"ANNEAL_RETRY_SCALE": "0.02", "ANNEAL_CALL_SECONDS": "1", "ANNEAL_BREAKER_COUNT": "1000"}
    env |= {"ANNEAL_BREAKER_SHARE": "1000"}
    with CloudProcess(tmp_path) as cloud:
        daemon = DaemonProcess(tmp_path / "home", env)

        @settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(st.lists(deeds, min_size=3, max_size=14))
        def property_(story: list[Deed]) -> None:
            asyncio.run(_live(cloud, daemon, story))

        yield property_
        daemon.kill()


async def _live(cloud: CloudProcess, daemon: DaemonProcess, story: list[Deed]) -> None:
    if not daemon.alive:
        await daemon.start()
    client = HttpClient.from_kubeconfig(daemon.home.kubeconfig)
    world = World(cloud, daemon, client)
    remediation = {"maxRetry": 10, "retryPeriodSeconds": 0}
    try:
        for deed in story:
            await _do(world, deed, remediation)
        world.admin.faults()
        if any(deed.what == "crash" for deed in story):
            daemon.kill()  # it may still have a crash in store
            await daemon.start()
        await _all_is_well(world)
        for item in (await client.list(MACHINES))[0]:
            await world.delete(item["metadata"]["name"])
        await until(lambda: _none(world), 40, lambda: f"not gone: {world.total()}")
        assert world.total() == {}
        world.admin.reset()
    finally:
        await client.close()


async def _do(world: World, deed: Deed, remediation: dict[str, int]) -> None:
    try:
        match deed:
            case Deed("want", name, flavor):
                await world.create(name, 1, flavor=flavor, spec={"remediation": remediation})
            case Deed("flavor", name, flavor):
                await world.edit(name, flavor=flavor)
            case Deed("ports", name, count):
                await world.edit(name, ports=[{"network": f"net-{n}"} for n in range(count)])
            case Deed("address", name, wanted):
                await world.edit(name, floatingIP=wanted)
            case Deed("unwant", name):
                await world.delete(name)
            case Deed("fault", value=number):
                world.admin.faults(FAULTS[number])
            case Deed("lose", value=table):
                for thing in world.admin.inventory()[table][:1]:
                    world.admin.delete(table, thing["id"])
            case Deed("crash", value=phase):
                world.daemon.kill()
                await world.daemon.start({"ANNEAL_CRASH_AT": f"3:{phase}"}, wait=False)
                await asyncio.sleep(1.0)  # it may come to its third write, or not
            case Deed("wait", value=seconds):
                await asyncio.sleep(seconds)  # part of the story
    except ApiUnavailable:
        if not world.daemon.alive:
            await world.daemon.start()
    except ApiError as error:
        if error.code not in (404, 409):
            raise


async def _all_is_well(world: World) -> None:
    """Wait until everything is settled, and compare what there is with what is wanted."""

    async def quiet() -> bool:
        items, _ = await world.client.list(MACHINES)
        return all(settled(item) for item in items)

    async def told() -> str:
        items, _ = await world.client.list(MACHINES)
        return str([(item["metadata"], item.get("status")) for item in items if not settled(item)])

    said = ""
    try:
        await until(quiet, 60)
        await world.rounds(2) if world.total() else None
        await until(quiet, 60)
    except AssertionError:
        said = await told()
    assert not said, said
    items, _ = await world.client.list(MACHINES)
    assert await world.orphans() == []
    for item in items:
        spec, mine = item["spec"]["simulated"], world.admin.of_owner(item["metadata"]["uid"])
        assert [server["flavor"] for server in mine["servers"]] == [spec.get("flavor", "small")]
        assert sorted(p["network"] for p in mine["ports"]) == sorted(p["network"] for p in spec.get("ports") or [])
        assert len(mine["addresses"]) == bool(spec.get("floatingIP"))
        assert len(mine["servers"][0]["ports"]) == len(mine["ports"])
        assert intents(item) == []


async def _none(world: World) -> bool:
    return not (await world.client.list(MACHINES))[0]
