"""Fault 2: nobody knows whether a create took place."""

from __future__ import annotations

import pytest

from tests.support.cloud import fault
from tests.support.tables import cases
from tests.support.world import World, because, intents, parts

SETTINGS = {"ANNEAL_CALL_SECONDS": "0.5", "ANNEAL_SIMULATED_SETTLE_SECONDS": "1.5"}
TOOK_PLACE = {
    "500 afterwards": [fault("ack_then_500", count=1)],
    "connection dropped": [fault("drop_after", count=1)],
    "no answer in time": [fault("hang_after", count=1)],
    "500, and visible later": [fault("ack_then_500", count=1), fault("late_visibility", count=1, delay=1.0)],
    "no answer, and visible later": [fault("hang_after", count=1), fault("late_visibility", count=1, delay=1.2)],
}
NEVER = {
    "connection dropped": [fault("drop_before", count=1, method="POST")],
    "no answer in time": [fault("hang", count=1, method="POST")],
    "502 from the way": [fault("unavailable", count=1, method="POST", status=502)],
    "503": [fault("unavailable", count=1, method="POST")],
    "504 from the way": [fault("unavailable", count=1, method="POST", status=504)],
}


@pytest.mark.parametrize("rules", cases(TOOK_PLACE, quick=["500 afterwards", "no answer, and visible later"]))
async def test_what_took_place_is_found_and_not_made_again(rules: list, world: World) -> None:
    """The create took place, its answer was lost: one request, one server, adopted."""
    world.admin.faults(*rules)
    made = await world.create("m")
    obj = await world.ready("m")
    await world.rounds()

    posts = [entry for entry in world.admin.log() if entry["method"] == "POST"]
    assert len(posts) == 1
    assert [server["id"] for server in world.admin.servers()] == [parts(obj)["server"]]
    assert world.admin.servers()[0]["tags"]["anneal-owner"] == made["metadata"]["uid"]
    assert intents(obj) == []


@pytest.mark.parametrize("rules", cases(NEVER, quick=["connection dropped", "503"]))
async def test_what_did_not_take_place_is_tried_again_only_later(rules: list, world: World) -> None:
    """It did not take place: the next request comes once it cannot show up any more, and makes the only server."""
    world.admin.faults(*rules)
    await world.create("m")
    await world.ready("m")
    await world.rounds()

    first, second = [entry for entry in world.admin.log() if entry["method"] == "POST"]
    assert not first["done"]
    assert second["done"]
    assert second["time"] - first["time"] >= 1.4
    assert len(world.admin.servers()) == 1


async def test_while_it_is_in_doubt_that_is_what_is_said(world: World) -> None:
    """The Machine says that it is verifying, for as long as it does."""
    world.admin.faults(fault("drop_before", count=1, method="POST"))
    await world.create("m")
    seen = await world.until("m", because("Verifying"))
    assert intents(seen) == ["server"]
    await world.ready("m")


@pytest.mark.slow
async def test_a_blind_daemon_stays_in_doubt(world: World) -> None:
    """While lists fail, the time in doubt may pass as it likes: nothing is made."""
    world.admin.faults(fault("ack_then_500", count=1), fault("unavailable", method="GET"))
    await world.create("m")
    await world.until("m", because("ProviderUnreachable"))
    world.admin.faults(fault("drop_before", count=1, method="POST"))
    await world.until("m", because("Verifying"), 40)
    world.admin.faults(fault("unavailable", method="GET"))
    await world.until("m", because("ProviderUnreachable"))
    before = len(world.admin.log())
    reads = sum(world.admin.reads().values())
    await _reads(world, reads + 12)
    assert len(world.admin.log()) == before
    world.admin.faults()
    await world.ready("m", 40)
    assert len(world.admin.servers()) == 1


async def _reads(world: World, count: int) -> None:
    from tests.support.daemon import until

    await until(lambda: sum(world.admin.reads().values()) >= count, 30)
