"""Fault 3: a deletion that cannot be finished."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from specs.meta import FINALIZER
from tests.support.cloud import fault
from tests.support.daemon import condition_of, machine
from tests.support.world import MACHINES, World, message

REFUSALS = {
    "policy forbids it": fault("delete_forbidden", path="^/ports"),
    "in use": fault("delete_in_use", path="^/ports"),
    "unavailable": fault("unavailable", method="DELETE", path="^/ports"),
}


@pytest.mark.parametrize("rule", REFUSALS.values(), ids=REFUSALS)
async def test_the_object_stays_until_all_is_gone(rule: dict, world: World) -> None:
    """The Machine keeps its finalizer and names what refuses; it goes once the part was seen to be absent."""
    await world.create("m", 2)
    await world.ready("m")
    world.admin.faults(rule)
    await world.delete("m")
    blocked = await world.until("m", lambda obj: "port" in message(obj, "Deleting") and world.total() == {"ports": 2})
    await _tried(world, 3)
    obj = await world.get("m")
    assert obj is not None, "it was let go although ports were left"
    assert FINALIZER in obj["metadata"]["finalizers"]
    assert blocked["metadata"]["uid"] == obj["metadata"]["uid"]

    world.admin.faults()
    await world.gone("m")
    assert world.total() == {}


async def test_a_refusal_is_told(world: World) -> None:
    """Deleting is False with the reason DeletionBlocked, and says what the cloud said."""
    await world.create("m", 1)
    await world.ready("m")
    world.admin.faults(REFUSALS["policy forbids it"])
    await world.delete("m")
    obj = await world.until("m", lambda obj: condition_of(obj, "Deleting").get("status") == "False")
    assert condition_of(obj, "Deleting")["reason"] == "DeletionBlocked"
    assert "Policy doesn't allow this deletion" in message(obj, "Deleting")


async def test_a_cloud_that_cannot_be_seen_keeps_the_object(world: World) -> None:
    """Lists fail or come empty-handed from another project: nothing was seen to be absent, so the object stays."""
    await world.create("m", 1)
    await world.ready("m")
    world.admin.faults(fault("unavailable", method="GET"))
    await world.delete("m")
    await world.until("m", lambda obj: condition_of(obj, "Deleting").get("reason") == "DeletionBlocked")
    world.admin.faults(fault("other_project"))
    await _reads(world, 10)
    assert await world.get("m") is not None
    assert world.total() == {"servers": 1, "ports": 1}

    world.admin.faults()
    await world.gone("m", 40)
    assert world.total() == {}


async def test_killed_while_it_waits(world: World) -> None:
    """kill -9 in the middle of a blocked deletion: the restart goes on with it."""
    await world.create("m", 1)
    await world.ready("m")
    world.admin.faults(fault("delete_forbidden", path="^/ports"))
    await world.delete("m")
    await world.until("m", lambda obj: condition_of(obj, "Deleting").get("status") == "False")
    world.daemon.kill()
    await world.daemon.start()
    assert (await world.client.get(MACHINES, "default", "m")) is not None
    world.admin.faults()
    await world.gone("m")
    assert world.total() == {}


async def test_what_was_never_begun_needs_no_cloud_to_go(world: World) -> None:
    """A Machine with a mistyped endpoint has no part and no intent, so nothing can be outside: it goes though nobody answers."""
    await world.client.create(MACHINES, "default", machine("m", simulated={"endpoint": "http://127.0.0.1:9"}))
    await world.until("m", lambda obj: condition_of(obj).get("reason") == "ProviderUnreachable")
    await world.delete("m")
    await world.gone("m")


async def _tried(world: World, times: int) -> None:
    from tests.support.daemon import until

    start = len(world.admin.log())
    await until(lambda: len(world.admin.log()) >= start + times, 30, lambda: "the deletion is not tried again")


async def _reads(world: World, count: int) -> None:
    from tests.support.daemon import until

    start = sum(world.admin.reads().values())
    await until(lambda: sum(world.admin.reads().values()) >= start + count, 40, lambda: "the daemon does not look")


async def test_a_spec_that_is_not_valid_any_more(world: World) -> None:
    """What is stored does not validate: the daemon starts, says so, deletes nothing; corrected, the deletion goes on."""
    await world.create("m", 1)
    await world.create("n")
    await world.ready("m")
    world.daemon.stop()
    with closing(sqlite3.connect(world.daemon.home.database)) as database:
        changed = database.execute(
            "UPDATE revisions SET blob = CAST(replace(CAST(blob AS TEXT), '\"small\"', '\"no such/flavor\"') AS BLOB) "
            "WHERE name = 'm' AND CAST(blob AS TEXT) LIKE '%\"small\"%'"
        )
        database.commit()
        assert changed.rowcount > 0
    await world.daemon.start()
    await world.ready("n")
    await world.until("m", lambda obj: condition_of(obj).get("reason") == "InvalidSpec")
    await world.delete("m")
    obj = await world.until("m", lambda obj: condition_of(obj, "Deleting").get("reason") == "DeletionBlocked")
    assert "spec.simulated.flavor" in message(obj, "Deleting")
    assert FINALIZER in obj["metadata"]["finalizers"]
    await world.rounds()
    assert world.total() == {"servers": 2, "ports": 1}

    await world.edit("m", flavor="small")
    await world.gone("m")
    assert world.total() == {"servers": 1}
