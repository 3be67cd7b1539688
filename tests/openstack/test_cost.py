"""What it costs to look: calls to the cloud, by the proxies' own count."""

from __future__ import annotations

import asyncio

import pytest

from tests.openstack.world import PATIENCE
from tests.support.daemon import until

pytestmark = pytest.mark.timeout(900)


async def test_a_look_at_everything_costs_one_list_per_table(world, proxies):
    """Ready and left alone, Machines cost one list each of servers, ports and addresses a round, however many they are."""
    names = [f"m-{number}" for number in range(4)]
    await asyncio.gather(*(world.create(name, floatingIP={}) for name in names))
    for name in names:
        await world.ready(name)

    def lists() -> int:
        return len([1 for method, path in proxies["compute"].log if method == "GET" and "/servers/detail" in path])

    async def rounds(count: int) -> None:
        start = lists()
        await until(lambda: lists() >= start + count, PATIENCE, lambda: "the daemon does not look")

    await rounds(2)  # what was still on its way has come
    for proxy in proxies.values():
        proxy.log.clear()
    await rounds(5)
    calls = [row for proxy in proxies.values() for row in proxy.log]
    assert {method for method, _ in calls} == {"GET"}
    assert len(calls) <= 5 * 5
