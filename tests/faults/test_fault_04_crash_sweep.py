"""Fault 4: a crash at any call and any write. The whole sweep is tests/crash/test_sweep.py; here is one walk along it."""

from __future__ import annotations

import pytest

from tests.support.tables import cases
from tests.support.world import World


@pytest.mark.parametrize("phase", cases({"before": "before", "sent": "sent", "after": "after"}, quick=["sent"]))
async def test_a_crash_at_every_third_point_of_one_life(phase: str, world: World) -> None:
    """A daemon that dies again and again while it makes a Machine still makes each part exactly once."""
    await world.create("m", 1, floatingIP=True)
    obj = await world.ready("m")
    await world.delete("m")
    await world.gone("m")
    world.admin.reset()
    world.daemon.stop()

    await world.daemon.start({"ANNEAL_CRASH_AT": f"3:{phase}"})
    await world.create("m", 1, floatingIP=True)
    deaths = 0
    while deaths < 4:
        await world.daemon.died()
        deaths += 1
        await world.daemon.start({"ANNEAL_CRASH_AT": f"3:{phase}"} if deaths < 4 else {}, wait=deaths == 4)
    new = await world.ready("m")
    assert new["metadata"]["uid"] != obj["metadata"]["uid"]
    assert world.counts(new["metadata"]["uid"]) == ({"servers": 1, "ports": 1, "addresses": 1}, {})
    assert world.total() == {"servers": 1, "ports": 1, "addresses": 1}
