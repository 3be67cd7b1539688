"""Machines on the real cloud: five as in a small production, and what becomes of each when people and time go by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.openstack.harness import PUBLIC
from tests.openstack.project import without_block_storage
from tests.openstack.real import Real
from tests.openstack.world import NET, PATIENCE, CloudWorld, of_uid, running
from tests.support.daemon import DaemonProcess, condition_of
from tests.support.world import because, message

pytestmark = pytest.mark.timeout(1500)
Homes = Callable[[str], DaemonProcess]
SSH = {"rules": [{"protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}]}
FIVE = {
    "orchestrator": {"floatingIP": {}, "sshPublicKey": PUBLIC, "securityGroups": [SSH]},
    "dev": {"floatingIP": {}, "securityGroups": [SSH], "tags": ["development"]},
    "worker-1": {"serverMetadata": [{"key": "role", "value": "worker"}]},
    "worker-2": {"serverMetadata": [{"key": "role", "value": "worker"}]},
    "swarm-1": {"ports": 2, "configDrive": True, "userData": "#cloud-config\n{}"},
}


@pytest.fixture
async def world(real: Real, homes: Homes) -> AsyncIterator[CloudWorld]:
    async with running(real, homes("direct")) as there:
        yield there


async def test_a_small_production_from_nothing_to_nothing(world: CloudWorld, real: Real) -> None:
    """Five Machines to Ready; broken by hand, healed; changed; deleted. Of ours nothing is left, of others everything."""
    theirs = real.server("somebody")
    await asyncio.gather(*(world.create(name, **more) for name, more in FIVE.items()))
    ready = dict(zip(FIVE, await asyncio.gather(*(world.ready(name) for name in FIVE)), strict=True))
    for name, more in FIVE.items():
        there = await world.of(name)
        expected = (1, more.get("ports", 1), "floatingIP" in more, "securityGroups" in more, "sshPublicKey" in more)
        assert tuple(len(there[table]) for table in ("servers", "ports", "addresses", "groups", "keys")) == expected
        assert there["servers"][0].status == "ACTIVE"
        assert ready[name]["status"]["powerState"] == "RUNNING"
    assert {row["type"] for row in ready["dev"]["status"]["addresses"]} >= {"Hostname", "InternalIP"}

    lost, stopped, unplugged = [(await world.of(name)) for name in ("worker-1", "worker-2", "swarm-1")]
    real.sdk.compute.delete_server(lost["servers"][0].id)
    real.sdk.compute.stop_server(stopped["servers"][0].id)
    real.sdk.compute.delete_server_interface(unplugged["ports"][1].id, server=unplugged["servers"][0].id)
    await world.until("worker-2", because("Stopped"))
    real.sdk.compute.start_server(stopped["servers"][0].id)

    async def healed() -> bool:
        now = await world.of("worker-1")
        return bool(now["servers"]) and now["servers"][0].id != lost["servers"][0].id and now["servers"][0].status == "ACTIVE"

    deadline = time.monotonic() + PATIENCE
    while not await healed():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    for name in ("worker-1", "worker-2", "swarm-1"):
        await world.ready(name)
    assert [p.id for p in (await world.of("worker-1"))["ports"]] == [p.id for p in lost["ports"]]
    assert all(port.device_id for port in (await world.of("swarm-1"))["ports"])

    await world.edit("worker-1", serverMetadata=[{"key": "role", "value": "head"}], tags=["blue"])
    await world.edit("dev", flavor={"filter": {"name": "m1.small"}})
    await world.edit("swarm-1", ports=[NET])
    before = {name: (await world.of(name))["servers"][0].id for name in FIVE}
    await asyncio.gather(*(world.ready(name) for name in ("worker-1", "dev", "swarm-1")))
    now = {name: (await world.of(name)) for name in FIVE}
    assert {name: there["servers"][0].id for name, there in now.items()} == before, "all of this is done in place"
    assert now["worker-1"]["servers"][0].metadata == {"role": "head"}
    assert "blue" in now["worker-1"]["servers"][0].tags
    assert now["dev"]["servers"][0].flavor.original_name == "m1.small"
    assert len(now["swarm-1"]["ports"]) == 1

    uids = [ready[name]["metadata"]["uid"] for name in FIVE]
    await asyncio.gather(*(world.delete(name) for name in FIVE))
    await asyncio.gather(*(world.gone(name) for name in FIVE))
    for uid in uids:
        assert not any(of_uid(real, uid).values())
    assert real.total() == {"servers": 1}
    assert real.sdk.compute.get_server(theirs.id).status == "ACTIVE"


async def test_what_cannot_be_changed_is_replaced_and_keeps_its_ports(world: CloudWorld) -> None:
    """Other user data: another server, the same port."""
    await world.create("a")
    await world.ready("a")
    before = await world.of("a")
    await world.edit("a", userData="#cloud-config\n{}")
    await world.ready("a")
    after = await world.of("a")
    assert [s.id for s in after["servers"]] != [s.id for s in before["servers"]]
    assert len(after["servers"]) == 1
    assert [p.id for p in after["ports"]] == [p.id for p in before["ports"]]


async def test_a_name_that_leads_nowhere_says_so_and_recovers(world: CloudWorld, real: Real) -> None:
    """No such flavor: said with its name; made by an administrator, it goes on without an edit."""
    await world.create("a", flavor={"filter": {"name": "m1.new"}})
    said = await world.until("a", because("InvalidConfiguration"))
    assert 'called "m1.new"' in message(said)
    assert real.total() == {}
    flavor = real.admin.compute.create_flavor(name="m1.new", vcpus=1, ram=64, disk=1)
    try:
        await world.ready("a")
        await world.delete("a")
        await world.gone("a")
    finally:
        real.admin.compute.delete_flavor(flavor)


async def test_an_imported_server_gets_no_call_that_changes(world: CloudWorld, real: Real) -> None:
    """Found by name, looked at, let go: it stays as it was to the last field."""
    theirs = real.server("theirs", metadata={"a": "b"})
    spec = {"managementPolicy": "unmanaged", "import": {"filter": {"name": "theirs"}}}
    await world.create("mine", spec=spec, ports=0, serverMetadata=[{"key": "x", "value": "y"}])
    obj = await world.ready("mine")
    assert obj["status"]["providerID"] == f"openstack:///{theirs.id}"
    await world.delete("mine")
    await world.gone("mine")
    after = real.sdk.compute.get_server(theirs.id)
    assert (after.status, after.metadata, after.updated_at) == ("ACTIVE", {"a": "b"}, theirs.updated_at)


async def test_what_is_detached_stays(world: CloudWorld, real: Real) -> None:
    """managedOptions.onDelete: detach — the Machine goes, server and port stay."""
    await world.create("a", spec={"managedOptions": {"onDelete": "detach"}})
    await world.ready("a")
    await world.delete("a")
    await world.gone("a")
    assert real.total() == {"servers": 1, "ports": 1}
    real.clear()


async def test_volumes_are_refused_in_clear_words_where_there_is_no_block_storage(
    world: CloudWorld, real: Real, tmp_path: Path
) -> None:
    """A catalogue without Cinder: the message says so, and nothing is made; without the volume it goes on."""
    with without_block_storage(real, tmp_path) as clouds:
        bare = replace(world, clouds=clouds)
        await bare.create("a", ports=0, rootVolume={"sizeGiB": 1})
        said = await bare.until(
            "a", lambda o: condition_of(o, "Ready").get("status") in ("False", "Unknown") and "catalogue" in message(o)
        )
        assert "no such service" in message(said)
        assert not said["status"].get("providerID")
        await bare.edit("a", rootVolume=None)
        await bare.ready("a")
        await bare.delete("a")
        await bare.gone("a")
    assert real.total() == {}
