"""Crash anywhere, converge anyway, against the real cloud: kill -9 during a create, a change and a delete.

At each call to the cloud by default; at each write to the API server too, in several phases, with `-m openstack` (an hour).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from reconciler.client import ApiUnavailable
from tests.openstack.real import Real
from tests.openstack.world import PATIENCE, CloudWorld, current, of_uid, running
from tests.support.daemon import DaemonProcess
from tests.support.world import intents, settled

pytestmark = pytest.mark.timeout(900)
NAME = "swept"
VOLUMES: dict[str, Any] = {"rootVolume": {"sizeGiB": 1}, "additionalBlockDevices": [{"name": "data", "sizeGiB": 1}]}
CHANGED = [{"key": "role", "value": "head"}]
Deed = Callable[[CloudWorld], Awaitable[object]]


async def _create(world: CloudWorld) -> object:
    return await world.create(NAME, floatingIP={}) if await world.get(NAME) is None else None


async def _change(world: CloudWorld) -> object:
    return await world.edit(NAME, serverMetadata=CHANGED, flavor={"filter": {"name": "m1.small"}})


async def _create_with_volumes(world: CloudWorld) -> object:
    return await world.create(NAME, **VOLUMES) if await world.get(NAME) is None else None


async def _change_volumes(world: CloudWorld) -> object:
    return await world.edit(NAME, additionalBlockDevices=[{"name": "data", "sizeGiB": 2}])


async def _delete(world: CloudWorld) -> object:
    return await world.delete(NAME) if await world.get(NAME) is not None else None


SCENARIOS: dict[str, tuple[Deed | None, Deed, int]] = {
    "create": (None, _create, 17),
    "change": (_create, _change, 15),
    "delete": (_create, _delete, 14),
}
"""What was done before, what is done, and how many points the sweep has tests for."""
ON_VOLUMES: dict[str, tuple[Deed | None, Deed, int]] = {
    "create-volumes": (None, _create_with_volumes, 0),
    "change-volumes": (_create_with_volumes, _change_volumes, 0),
    "delete-volumes": (_create_with_volumes, _delete, 0),
}
"""These are killed at their calls alone."""
EVERY = [
    (name, f"{number}:{phase}")
    for name, row in SCENARIOS.items()
    for number in range(1, row[2] + 1)
    for phase in ("sent", "after")
]
CALLS = [
    ("create", "@create port/0:sent"),
    ("create", "@create address:sent"),
    ("create", "@create server:before"),
    ("create", "@create server:sent"),
    ("create", "@create server:after"),
    ("change", "@update server:sent"),
    ("change", "@update server#2:sent"),
    ("change", "@update server#3:sent"),
    ("delete", "@delete server:sent"),
    ("delete", "@delete server:after"),
    ("delete", "@delete address:sent"),
    ("delete", "@delete port/0:sent"),
]
"""Metadata, resize and confirmation are the three updates of a change."""
MADE = {"servers": 1, "ports": 1, "addresses": 1}
MADE_WITH_VOLUMES = {"servers": 1, "ports": 1, "volumes": 2}
VOLUME_CALLS = [
    ("create-volumes", "@create volume/root:sent"),
    ("create-volumes", "@create volume/data-data:sent"),
    ("create-volumes", "@update server:sent"),
    ("change-volumes", "@update volume/data-data:sent"),
    ("delete-volumes", "@delete volume/data-data:sent"),
    ("delete-volumes", "@delete volume/root:sent"),
]
"""The one update of a create is what plugs the volume in."""


@pytest.fixture
async def world(real: Real, homes: Callable[[str], DaemonProcess]) -> AsyncIterator[CloudWorld]:
    async with running(real, homes("swept")) as there:
        yield there
        there.daemon.kill()  # it may have a crash in store for which it found no occasion
        await there.daemon.start(seconds=PATIENCE)


async def play(world: CloudWorld, scenario: str, env: dict[str, str]) -> tuple[str, int]:
    """Do it with a daemon that is started under `env`, started again when it dies, until all is done.

    Returns the Machine's UID, and how often the daemon died.
    """
    before, deed, _ = (SCENARIOS | ON_VOLUMES)[scenario]
    uid, deaths = "", 0
    if before is not None:
        await before(world)
        uid = (await world.ready(NAME))["metadata"]["uid"]
    world.daemon.stop()
    await world.daemon.start(env, wait=False)
    began = False
    async with asyncio.timeout(2 * PATIENCE):
        while True:
            try:
                if not began:
                    await deed(world)
                    began = True
                obj = await world.get(NAME)
            except ApiUnavailable:
                if not world.daemon.alive:
                    deaths += 1
                    await world.daemon.start(seconds=PATIENCE)
                await asyncio.sleep(0.05)
                continue
            uid = obj["metadata"]["uid"] if obj else uid
            if (obj is None) if scenario.startswith("delete") else (obj is not None and settled(obj) and current(obj)):
                return uid, deaths
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("scenario", "point"), CALLS, ids=["-".join(row) for row in CALLS])
async def test_a_crash_at_a_call_changes_nothing_in_the_end(world, real, scenario, point):
    """Killed while the cloud does what it was asked for: one server, one port, one address, or none, by the cloud's own lists.

    And no more than that was ever made.
    """
    before = real.made()
    uid, deaths = await play(world, scenario, {"ANNEAL_CRASH_AT": point})
    assert deaths == 1
    assert {table: count - before[table] for table, count in real.made().items() if count != before[table]} == MADE
    await _judge(world, real, scenario, uid)


@pytest.mark.parametrize(("scenario", "point"), VOLUME_CALLS, ids=["-".join(row) for row in VOLUME_CALLS])
async def test_a_crash_at_a_call_leaves_no_volume_behind(world, real, scenario, point):
    """Killed while Cinder, or Nova for it, does what it was asked for: each volume once, of the wanted size, or none."""
    before = real.made()
    uid, deaths = await play(world, scenario, {"ANNEAL_CRASH_AT": point})
    assert deaths == 1
    made = {table: count - before[table] for table, count in real.made().items() if count != before[table]}
    assert made == MADE_WITH_VOLUMES
    await _judge(world, real, scenario, uid, MADE_WITH_VOLUMES)
    sizes = sorted(volume.size for volume in real.inventory()["volumes"])
    assert sizes == {"create-volumes": [1, 1], "change-volumes": [1, 2], "delete-volumes": []}[scenario]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_sweep_reaches_every_point(world, scenario, tmp_path):
    """No run passes more points than the sweep has tests for."""
    file = tmp_path / "points"
    await play(world, scenario, {"ANNEAL_CRASH_COUNT": str(file)})
    labels = [json.loads(line)["label"] for line in file.read_text().splitlines()]
    assert len(labels) <= SCENARIOS[scenario][2], "\n".join(labels)


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "point"), EVERY, ids=["-".join(row) for row in EVERY])
async def test_a_crash_anywhere_changes_nothing_in_the_end(world, real, scenario, point):
    """As above, at every write and call that there is."""
    uid, _ = await play(world, scenario, {"ANNEAL_CRASH_AT": point})
    await _judge(world, real, scenario, uid)


async def _judge(world: CloudWorld, real: Real, scenario: str, uid: str, expected: dict[str, int] = MADE) -> None:
    """By the cloud's own lists: one of each, or nothing; and nothing that is nobody's."""
    there = {table: len(things) for table, things in of_uid(real, uid).items() if things}
    gone = scenario.startswith("delete")
    assert there == ({} if gone else expected)
    assert real.total() == there
    if not gone:
        obj = await world.get(NAME)
        assert obj is not None
        assert intents(obj) == []
