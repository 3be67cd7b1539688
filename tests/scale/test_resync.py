"""What grows with the number of objects, and what must not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reconciler.client import Client, ours
from tests.support.cloud import CloudProcess, running_cloud
from tests.support.daemon import DaemonProcess, machine, ready, until

MACHINES = ours("machines")


async def versions_once_ready(client: Client, count: int) -> dict[str, str] | None:
    """The resourceVersion of every machine; None while not all are Ready."""
    items, _ = await client.list(MACHINES)
    if len(items) < count or not all(map(ready, items)):
        return None
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}


async def reads_after_next_list(cloud: CloudProcess) -> dict[str, int]:
    """Wait for one more list of all servers; how often everything was read until then."""
    before = cloud.admin.reads().get("list servers", 0)
    await until(lambda: cloud.admin.reads().get("list servers", 0) > before, 30)
    return cloud.admin.reads()


@pytest.mark.parametrize("count", [4, 60])
async def test_a_resync_of_what_is_well_costs_one_list_and_no_write(count: int, tmp_path: Path) -> None:
    """However many machines there are: one list call to the cloud, no question about any one of them, no write of status."""
    with running_cloud(tmp_path, build_seconds=0.0) as cloud:
        daemon = DaemonProcess(tmp_path / "home", {"ANNEAL_RESYNC_SECONDS": "3", "ANNEAL_POLL_SECONDS": "1e6"})
        await daemon.start()
        try:
            async with daemon.client() as client:
                bodies = [machine(f"m-{number}", simulated={"endpoint": cloud.url}) for number in range(count)]
                await asyncio.gather(*(client.create(MACHINES, "default", body) for body in bodies))
                await until(lambda: versions_once_ready(client, count), 60)
                await reads_after_next_list(cloud)  # the first survey has nothing to compare with
                first, before = await reads_after_next_list(cloud), await versions_once_ready(client, count)
                second, after = await reads_after_next_list(cloud), await versions_once_ready(client, count)
        finally:
            daemon.stop()
    assert {name: second[name] - first[name] for name in second if second[name] != first[name]} == {"list servers": 1}
    assert before == after
