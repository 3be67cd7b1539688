"""What it costs to look: calls to the cloud, by the proxies' own count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.openstack.proxy import FaultProxy
from tests.openstack.real import Real
from tests.openstack.world import PATIENCE, CloudWorld, running
from tests.support.daemon import DaemonProcess, until

pytestmark = pytest.mark.timeout(1800)
MOST = 5
"""Calls for one look at everything."""
RESYNCS = {"ANNEAL_POLL_SECONDS": "3600", "ANNEAL_RESYNC_SECONDS": "5"}
"""Every Machine is looked at again every few seconds, and only for that reason."""


@pytest.fixture
async def world(
    real: Real, proxies: dict[str, FaultProxy], homes: Callable[[str], DaemonProcess], tmp_path: Path
) -> AsyncIterator[CloudWorld]:
    clouds = real.yaml_for(tmp_path / "clouds.yaml", {name: proxy.url for name, proxy in proxies.items()})
    async with running(real, homes("resyncing"), clouds, RESYNCS) as there:
        yield there


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
async def test_a_resync_of_all_machines_costs_a_handful_of_calls(world, real, proxies, count):
    """Ready and left alone, all Machines are looked at again with one list of each table, however many they are."""
    names = [f"m-{number}" for number in range(count)]
    with real.quota(instances=-1, cores=-1, ram=-1, port=-1):
        await asyncio.gather(*(world.create(name, ports=1 if count < 100 else 0) for name in names))
        for name in names:
            await world.ready(name, 5 * PATIENCE)
        await world.create("reachable", floatingIP={})
        await world.ready("reachable")

    def lists() -> int:
        return len([1 for method, path in proxies["compute"].log if method == "GET" and "/servers/detail" in path])

    async def rounds(more: int) -> None:
        start = lists()
        await until(lambda: lists() >= start + more, PATIENCE, lambda: "the daemon does not look")

    await rounds(2)  # what was still on its way has come
    for proxy in proxies.values():
        proxy.log.clear()
    await rounds(4)
    calls = Counter(f"{method} {path.partition('?')[0]}" for proxy in proxies.values() for method, path in proxy.log)
    assert {call.partition(" ")[0] for call in calls} == {"GET"}
    assert calls.total() <= MOST * lists(), calls
