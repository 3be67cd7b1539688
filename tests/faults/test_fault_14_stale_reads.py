"""Fault 14: the API server that the daemon reads from lags behind, or a name has a new owner."""

from __future__ import annotations

import pytest

from tests.faults.proxy import Proxy
from tests.support.daemon import until
from tests.support.world import World, parts

SETTINGS = {"ANNEAL_BACKOFF_CAP_SECONDS": "0.2"}


async def test_an_old_spec_does_not_undo_the_new_one(apart: World, between: Proxy) -> None:
    """Restarted on reads from before an edit, the daemon changes nothing outside; once it sees the truth all is well."""
    await apart.daemon.start()
    await apart.create("m", 1, flavor="small")
    await apart.ready("m")
    await between.remember()
    await apart.edit("m", flavor="large")
    await apart.until("m", lambda obj: any(each["flavor"] == "large" for each in apart.admin.servers()))
    obj = await apart.ready("m")
    before, requests = apart.admin.inventory(), len(apart.admin.log())

    await _restart_in_the_past(apart, between)
    assert len(apart.admin.log()) == requests
    assert apart.admin.inventory() == before

    between.live_in_the_past(False)
    assert parts(await apart.ready("m")) == parts(obj)
    await apart.rounds()
    assert apart.admin.inventory() == before


async def test_a_deletion_of_long_ago_does_not_touch_the_namesake(apart: World, between: Proxy) -> None:
    """Reads show the old Machine being deleted, the truth is a new one of that name: nothing of the new one is touched."""
    await apart.daemon.start()
    await apart.create("m", 1)
    await apart.ready("m")
    apart.daemon.stop()
    await apart.delete("m")
    await between.remember()
    await apart.daemon.start()
    await apart.gone("m")
    await apart.create("m", 1)
    new = await apart.ready("m")
    before, requests = apart.admin.inventory(), len(apart.admin.log())

    await _restart_in_the_past(apart, between)
    assert len(apart.admin.log()) == requests
    assert apart.admin.inventory() == before

    between.live_in_the_past(False)
    again = await apart.ready("m")
    assert again["metadata"]["uid"] == new["metadata"]["uid"]
    assert apart.admin.inventory() == before


@pytest.mark.slow
async def test_a_machine_that_reads_do_not_show_keeps_its_server(apart: World, between: Proxy) -> None:
    """Reads from before the Machine was there: its server is nobody's business."""
    await apart.daemon.start()
    await apart.create("other")
    await apart.ready("other")
    await between.remember()
    await apart.create("m", 1)
    await apart.ready("m")
    before, requests = apart.admin.inventory(), len(apart.admin.log())

    await _restart_in_the_past(apart, between)
    assert len(apart.admin.log()) == requests
    assert apart.admin.inventory() == before


async def test_a_status_from_before_the_create_does_not_make_it_twice(apart: World, between: Proxy) -> None:
    """Reads show the Machine before anything was made for it: what carries its tag is found, nothing is made."""
    await apart.create("m", 2, floatingIP=True)
    await between.remember()
    await apart.daemon.start()
    await apart.ready("m")
    before, requests = apart.admin.inventory(), len(apart.admin.log())

    await _restart_in_the_past(apart, between)
    assert len(apart.admin.log()) == requests
    assert apart.admin.inventory() == before


async def test_a_name_with_a_new_owner(world: World) -> None:
    """Deleted and made again at once, ten times: the last one has its one server, and nobody else has any."""
    for number in range(10):
        await world.create("m", 1, flavor="small" if number % 2 else "large")
        if number % 3 == 0:
            await until(lambda: world.admin.creates("ports"))
        if number < 9:
            await world.delete("m")
            await world.gone("m")
    obj = await world.ready("m")
    assert world.total() == {"servers": 1, "ports": 1}
    assert world.admin.servers()[0]["tags"]["anneal-owner"] == obj["metadata"]["uid"]


async def _restart_in_the_past(world: World, between: Proxy) -> None:
    """Restart the daemon on old reads, and let it try what it thinks is right a few times."""
    between.live_in_the_past()
    world.daemon.kill()
    await world.daemon.start()
    seen = sum(world.admin.reads().values())
    patches = between.answers.get("PATCH", 0)
    await until(
        lambda: sum(world.admin.reads().values()) >= seen + 6 or between.answers.get("PATCH", 0) >= patches + 8,
        20,
        lambda: "the daemon does nothing at all",
    )
