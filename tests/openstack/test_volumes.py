"""Volumes of the real Cinder: a Machine boots from one, has others, and keeps them through all that happens to its server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.openstack.real import Real
from tests.openstack.world import PATIENCE, CloudWorld, posts, running
from tests.support.cli import Cli
from tests.support.daemon import DaemonProcess, condition_of, until
from tests.support.world import because, message

pytestmark = pytest.mark.timeout(1500)


def disk(name: str, size: int = 1, **more: str) -> dict[str, object]:
    """A row of additionalBlockDevices."""
    return {"name": name, "sizeGiB": size, **more}


ROOT, DATA = {"rootVolume": {"sizeGiB": 1}}, {"additionalBlockDevices": [disk("data")]}


@pytest.fixture
async def direct(real: Real, homes: Callable[[str], DaemonProcess]) -> AsyncIterator[CloudWorld]:
    async with running(real, homes("direct")) as there:
        yield there


async def volumes(world: CloudWorld, name: str = "a") -> dict[str, tuple[str, str, int, str]]:
    """By part: id, state, size and server of the volumes that a Machine has, by Cinder's own list."""
    return {
        volume.metadata["anneal-part"]: (
            volume.id, volume.status, volume.size, next((a["server_id"] for a in volume.attachments), ""),
        )
        for volume in (await world.of(name))["volumes"]
    }  # fmt: skip


async def server_of(world: CloudWorld, name: str = "a") -> str:
    """The id of the one server of a Machine."""
    (server,) = (await world.of(name))["servers"]
    return str(server.id)


async def test_volumes_outlive_the_server_and_not_the_machine(direct: CloudWorld, real: Real) -> None:
    """Booted from one, with another: grown, one more, one off, all on the same server; another server keeps the others."""
    await direct.create("a", **ROOT, **DATA)
    await direct.ready("a")
    first, server = await volumes(direct), await server_of(direct)
    assert {part: row[1:] for part, row in first.items()} == {
        "volume/root": ("in-use", 1, server), "volume/data-data": ("in-use", 1, server),
    }  # fmt: skip
    assert not (dict(real.sdk.compute.get_server(server).image or {})).get("id")

    await direct.edit("a", additionalBlockDevices=[disk("data", 3), disk("more")])
    await direct.ready("a")
    grown = await volumes(direct)
    assert await server_of(direct) == server
    assert grown["volume/data-data"] == (first["volume/data-data"][0], "in-use", 3, server)
    assert grown["volume/data-more"][1:] == ("in-use", 1, server)

    await direct.edit("a", additionalBlockDevices=[disk("data", 3)], userData="#cloud-config\n{}")
    await direct.ready("a")
    other, kept = await server_of(direct), await volumes(direct)
    assert other != server
    assert kept.keys() == {"volume/root", "volume/data-data"}
    assert kept["volume/data-data"] == (first["volume/data-data"][0], "in-use", 3, other)

    await direct.edit("a", additionalBlockDevices=[])
    await direct.ready("a")
    assert (await volumes(direct)).keys() == {"volume/root"}
    assert await server_of(direct) == other, "taken off in place"
    await direct.delete("a")
    await direct.gone("a")
    assert real.total() == {}


async def test_a_quota_of_cinder_is_said_with_its_numbers_and_passes(world, real, proxies):
    """413 of Cinder: QuotaExceeded in its words, few creates, no server without its volume, and no edit once it is raised."""
    with real.quota(gigabytes=1):
        await world.create("a", additionalBlockDevices=[disk("data", 2)])
        said = await world.until("a", because("QuotaExceeded"))
        assert "2G" in message(said)
        assert "quota is 1G" in message(said)
        assert "(413)" in message(said)
        assert "volumes" not in real.total()
        assert posts(proxies, "/volumes") <= 8
    await world.ready("a")
    assert real.total() == {"servers": 1, "ports": 1, "volumes": 1}


async def test_what_people_do_to_a_volume_is_put_right_or_said(direct: CloudWorld, real: Real) -> None:
    """Unplugged: plugged in again. Deleted: made anew. In error: said with its id, left alone, until that is over."""
    await direct.create("a", **DATA)
    await direct.ready("a")
    server, part = await server_of(direct), "volume/data-data"
    ref = (await volumes(direct))[part][0]

    def unplug() -> None:
        real.sdk.compute.delete(f"/servers/{server}/os-volume_attachments/{ref}").raise_for_status()

    async def whole() -> bool:
        return (await volumes(direct)).get(part, ("",) * 4)[1:] == ("in-use", 1, server)

    unplug()
    real.until(lambda: real.sdk.block_storage.get_volume(ref).status != "in-use")
    await until(whole, PATIENCE, lambda: "it is not plugged in again")
    assert (await volumes(direct))[part][0] == ref

    reset = f"/volumes/{ref}/action"
    real.admin.block_storage.post(reset, json={"os-reset_status": {"status": "error"}}).raise_for_status()
    said = await direct.until("a", lambda o: because("ServerFailed")(o) and ref in message(o))
    assert "is in error" in message(said)
    assert real.total() == {"servers": 1, "ports": 1, "volumes": 1}
    real.admin.block_storage.post(reset, json={"os-reset_status": {"status": "in-use"}}).raise_for_status()
    await direct.ready("a")

    real.free(ref)  # an administrator's way to take what is in use
    real.sdk.block_storage.delete_volume(ref)
    real.until(lambda: ref not in {volume.id for volume in real.inventory()["volumes"]})
    await until(whole, PATIENCE, lambda: "it is not made anew")
    assert (await volumes(direct))[part][0] != ref
    assert await server_of(direct) == server


async def test_a_server_whose_root_volume_is_gone_is_another_one(direct: CloudWorld, real: Real) -> None:
    """Taken away behind everybody's back by an administrator: the server has nothing to run from, so both are made anew."""
    await direct.create("a", **ROOT)
    await direct.ready("a")
    server, ref = await server_of(direct), (await volumes(direct))["volume/root"][0]
    real.free(ref)
    real.sdk.block_storage.delete_volume(ref)

    async def whole() -> bool:
        root = (await volumes(direct)).get("volume/root", ("",) * 4)
        return root[0] not in ("", ref) and root[1] == "in-use" and root[3] not in ("", server)

    await until(whole, PATIENCE, lambda: "it is not made anew")
    await direct.ready("a")
    assert real.total() == {"servers": 1, "ports": 1, "volumes": 1}


async def test_a_volume_that_is_elsewhere_blocks_deletion_until_it_is_free(direct: CloudWorld, real: Real) -> None:
    """Plugged into somebody's server by hand: neither taken off nor deleted; said, and gone by itself once it is free."""
    theirs = real.server("theirs")
    await direct.create("a", **DATA)
    await direct.ready("a")
    ref, server = (await volumes(direct))["volume/data-data"][0], await server_of(direct)
    await direct.annotate("a", "anneal.dev/paused", "true")
    await direct.until("a", because("Paused", "Progressing"))
    real.sdk.compute.delete(f"/servers/{server}/os-volume_attachments/{ref}").raise_for_status()
    real.until(lambda: real.sdk.block_storage.get_volume(ref).status == "available")
    body = {"volumeAttachment": {"volumeId": ref}}
    real.sdk.compute.post(f"/servers/{theirs.id}/os-volume_attachments", json=body).raise_for_status()
    real.until(lambda: real.sdk.block_storage.get_volume(ref).status == "in-use")
    await direct.annotate("a", "anneal.dev/paused", None)
    said = await direct.until("a", lambda o: theirs.id in message(o))
    assert condition_of(said, "Ready")["status"] == "False"
    await direct.delete("a")
    await direct.until("a", lambda o: condition_of(o, "Deleting").get("reason") == "DeletionBlocked")
    assert real.total() == {"servers": 1, "volumes": 1}
    assert real.sdk.block_storage.get_volume(ref).status == "in-use"
    real.sdk.compute.delete(f"/servers/{theirs.id}/os-volume_attachments/{ref}").raise_for_status()
    await direct.gone("a")
    assert real.total() == {"servers": 1}


async def test_a_volume_that_cannot_be_made_is_said_and_no_server_is_made_without_it(direct: CloudWorld, real: Real) -> None:
    """Cinder accepts it and fails: in error, said, nothing made in its place; the Machine can be deleted at once."""
    kind = real.admin.block_storage.create_type(name="broken", extra_specs={"fake:fail": "create"})
    try:
        await direct.create("a", additionalBlockDevices=[disk("data", type="broken")])
        said = await direct.until("a", because("ServerFailed"))
        assert "volume/data-data" in message(said)
        assert real.total() == {"ports": 1, "volumes": 1}
        await direct.delete("a")
        await direct.gone("a")
        assert real.total() == {}
    finally:
        real.admin.block_storage.delete_type(kind)


async def test_volumes_that_were_left_behind_are_listed_and_removed(world: CloudWorld, real: Real) -> None:
    """onDelete: detach leaves server and volumes as they are; `anneal export` shows the server; `anneal gc` removes all of it."""
    cli, flags = Cli(world.daemon.root), ("--clouds-file", str(world.clouds), "--cloud", real.cloud)
    await world.create("a", spec={"managedOptions": {"onDelete": "detach"}}, **ROOT, **DATA)
    await world.ready("a")
    before = await volumes(world)
    await world.delete("a")
    await world.gone("a")
    assert real.total() == {"servers": 1, "ports": 1, "volumes": 2}
    assert {volume.status for volume in real.inventory()["volumes"]} == {"in-use"}

    exported = await asyncio.to_thread(cli, "export", "openstack", *flags)
    applied = await asyncio.to_thread(cli, "apply", "-f", "-", stdin=exported.out)
    assert applied.code == 0, applied
    (server,) = real.inventory()["servers"]
    name = next(line.split()[-1] for line in exported.out.splitlines() if line.strip().startswith("name: anneal"))
    obj = await world.ready(name)
    assert obj["status"]["providerID"] == f"openstack:///{server.id}"
    await world.delete(name)
    await world.gone(name)

    said = await asyncio.to_thread(cli, "gc", "--dry-run", *flags)
    listed = {line.split()[2] for line in said.lines if line.startswith("  - ")}
    assert listed == {server.id, *(row[0] for row in before.values()), *(port.id for port in real.inventory()["ports"])}
    said = await asyncio.to_thread(cli, "gc", "--yes", *flags)
    assert said.out.endswith("Removed 4.\n"), said
    real.until(lambda: real.total() == {})
