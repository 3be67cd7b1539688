"""Fault 1: kill -9 when the cloud said yes, and before the daemon has written it down."""

from __future__ import annotations

import pytest

from tests.support.cloud import fault
from tests.support.tables import cases
from tests.support.world import World, parts

CALLS = {"port": 4, "server": 7}
"""The crash point of each create: what comes before is the finalizer, the inputs, and an intent for each part."""


@pytest.mark.parametrize("phase", ["sent", "after"])
@pytest.mark.parametrize("part", cases({part: part for part in CALLS}, quick=["server"]))
async def test_what_was_accepted_is_adopted(part: str, phase: str, world: World) -> None:
    """After the restart there is exactly one of it, made by one request, and it is on record."""
    world.daemon.stop()
    await world.daemon.start({"ANNEAL_CRASH_AT": f"{CALLS[part]}:{phase}"})
    made = await world.create("m", 1)
    await world.daemon.died()
    before = world.admin.inventory()[f"{part}s"]
    assert len(before) == 1, "it did not crash where it should"

    await world.daemon.start()
    obj = await world.ready("m")
    await world.rounds()

    owner = made["metadata"]["uid"]
    assert world.counts(owner) == ({"ports": 1, "servers": 1}, {})
    assert before[0]["id"] in parts(obj).values()
    assert len(world.admin.log()) == 2


class TestShownLate:
    """The cloud shows what it made only after a while, and the daemon died meanwhile."""

    @pytest.fixture
    def settings(self) -> dict[str, str]:
        """The cloud may take a second and a half."""
        return {"ANNEAL_SIMULATED_SETTLE_SECONDS": "1.5"}

    @pytest.mark.parametrize("part", cases({part: part for part in CALLS}, quick=["server"]))
    async def test_the_intent_outlives_the_daemon(self, part: str, world: World) -> None:
        """What nobody can see yet is not made a second time."""
        world.daemon.stop()
        await world.daemon.start({"ANNEAL_CRASH_AT": f"{CALLS[part]}:sent"})
        world.admin.faults(fault("late_visibility", path=f"^/{part}s", delay=60.0))
        await world.create("m", 1)
        await world.daemon.died()
        await world.daemon.start()
        await world.until("m", lambda obj: "no answer" in str(obj["status"]["conditions"]))
        world.admin.advance(61)
        await world.ready("m")
        await world.rounds()
        assert world.counts() == ({"ports": 1, "servers": 1}, {})
