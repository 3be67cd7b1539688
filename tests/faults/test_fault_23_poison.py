"""Fault 23: one object that breaks the code, one that always fails, and many that are well."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cloud import CloudProcess
from tests.support.daemon import until
from tests.support.world import MACHINES, World, because, running_world, settled

HEALTHY = 60


@pytest.fixture
async def poisoned(cloud: CloudProcess, tmp_path: Path) -> AsyncIterator[World]:
    """A daemon whose plan() raises for Machines called poison-…"""
    trigger = tmp_path / "never"
    module = "tests.faults.sabotaged"
    async with running_world(cloud, tmp_path / "home", {"ANNEAL_SABOTAGE": f"plan:{trigger}"}, module=module) as world:
        yield world


async def test_the_others_converge(poisoned: World) -> None:
    """The healthy ones get Ready in good time; the poisoned one says that something broke, and nothing is made for it."""
    await poisoned.create("poison-1", 1)
    await poisoned.create("hopeless", 1, image="no-such-image")
    began = time.monotonic()
    await many(poisoned, HEALTHY)
    assert time.monotonic() - began < 20
    broken = await poisoned.until("poison-1", because("InternalError"))
    assert "secret-in-a-traceback" not in str(broken["status"])
    await poisoned.until("hopeless", because("InvalidConfiguration"))
    assert poisoned.admin.of_owner(broken["metadata"]["uid"]) == {"servers": [], "ports": [], "addresses": []}


async def test_back_off_grows(cloud: CloudProcess, tmp_path: Path) -> None:
    """What breaks again and again is tried less and less often."""
    env = {"ANNEAL_SABOTAGE": f"plan:{tmp_path / 'never'}", "ANNEAL_BACKOFF_CAP_SECONDS": "60"}
    async with running_world(cloud, tmp_path / "home", env, module="tests.faults.sabotaged") as world:
        await world.create("poison-1")
        times: list[float] = []
        reads = 0

        def looked() -> bool:
            nonlocal reads
            if (now := world.admin.reads().get("ask servers", 0)) > reads:
                reads = now
                times.append(time.monotonic())
            return len(times) >= 6

        await until(looked, 30)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert sum(gaps[-2:]) > 2 * sum(gaps[:2])


async def test_a_status_that_others_wrote(world: World) -> None:
    """Words in a status that are not ours break nothing: the Machine converges, and the daemon lives."""
    await world.create("m", 1)
    await world.ready("m")
    time_ = "2026-01-01T00:00:00Z"
    nonsense = {
        "conditions": [{"type": "Ready", "status": "True", "reason": "Nonsense", "message": "", "lastTransitionTime": time_}],
        "failures": [
            {
                "part": "server",
                "count": 3,
                "generation": 2,
                "time": time_,
                "notBefore": time_,
                "reason": "Nonsense",
                "message": "",
            }
        ],
        "parts": [{"name": "port/7", "ref": "nobody"}, {"name": "nonsense", "ref": "x"}],
    }
    await world.client.patch(MACHINES, "default", "m", {"status": nonsense}, subresource="status")
    await world.edit("m", flavor="large")
    await world.create("n")
    await world.ready("n")
    await world.ready("m")
    assert world.daemon.alive
    assert {server["flavor"] for server in world.admin.servers()} == {"large", "small"}


async def test_idle_is_idle(world: World) -> None:
    """A converged system writes nothing at all, and looks at the cloud with one list per table and round."""
    await many(world, 20)
    before = await versions(world)
    requests, reads = len(world.admin.log()), world.admin.reads()
    await world.rounds(8)
    after = world.admin.reads()
    assert await versions(world) == before
    assert len(world.admin.log()) == requests
    for kind in ("ask servers", "get servers", "ask ports", "get ports"):
        assert after.get(kind, 0) == reads.get(kind, 0), f"idle, and yet: {kind}"


@pytest.mark.slow
async def test_two_hundred_and_two_bad_ones(cloud: CloudProcess, tmp_path: Path) -> None:
    """The same with two hundred healthy ones, and a minute of idling afterwards."""
    env = {"ANNEAL_SABOTAGE": f"plan:{tmp_path / 'never'}"}
    async with running_world(cloud, tmp_path / "home", env, module="tests.faults.sabotaged") as world:
        await world.create("poison-1")
        await world.create("hopeless", image="no-such-image")
        began = time.monotonic()
        await many(world, 200)
        assert time.monotonic() - began < 60
        await world.delete("poison-1")
        await world.until("hopeless", because("InvalidConfiguration"))
        before, requests = await versions(world), len(world.admin.log())
        await world.rounds(60)
        after = await versions(world)
        assert {name: rv for name, rv in after.items() if not name.startswith("poison")} == {
            name: rv for name, rv in before.items() if not name.startswith("poison")
        }
        assert len(world.admin.log()) == requests


async def many(world: World, count: int) -> None:
    """Create so many, and wait until all are Ready."""
    for number in range(count):
        await world.create(f"m-{number}")

    async def all_ready() -> bool:
        items, _ = await world.client.list(MACHINES)
        return sum(1 for item in items if item["metadata"]["name"].startswith("m-") and settled(item)) == count

    await until(all_ready, 60, every=0.2)


async def versions(world: World) -> dict[str, str]:
    """The resourceVersion of every Machine."""
    items, _ = await world.client.list(MACHINES)
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}
