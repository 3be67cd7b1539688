"""What people type about a cloud: gc, export and apply, logs, plan. The real command line against a daemon and the real cloud."""

from __future__ import annotations

import asyncio

import pytest
import yaml

from tests.openstack.proxy import FaultProxy
from tests.openstack.real import Real
from tests.openstack.world import CloudWorld, of_uid
from tests.support.cli import Cli

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def cli(world: CloudWorld) -> Cli:
    """`anneal` on the daemon's home."""
    return Cli(world.daemon.root)


async def test_what_was_left_behind_is_listed_and_removed(world: CloudWorld, real: Real, cli: Cli) -> None:
    """`anneal gc`: server, address and port of a Machine that is gone; what others made and what has a Machine stay."""
    theirs = real.server("somebody")
    await world.create("kept")
    uid = (await world.create("gone", spec={"managedOptions": {"onDelete": "detach"}}, floatingIP={}))["metadata"]["uid"]
    await world.ready("kept")
    await world.ready("gone")
    kept = await world.of("kept")
    await world.delete("gone")
    await world.gone("gone")
    left = [things[0].id for things in of_uid(real, uid).values() if things]
    flags = ("--clouds-file", str(world.clouds), "--cloud", real.cloud)
    said = await asyncio.to_thread(cli, "gc", "--dry-run", *flags)
    assert sorted(line.split()[2] for line in said.lines if line.startswith("  - ")) == sorted(left)
    assert len(real.inventory()["servers"]) == 3
    said = await asyncio.to_thread(cli, "gc", "--yes", *flags)
    assert said.out.endswith("Removed 3.\n"), said
    real.until(lambda: len(real.inventory()["servers"]) == 2)
    assert {s.id for s in real.inventory()["servers"]} == {theirs.id, kept["servers"][0].id}
    assert real.total() == {"servers": 2, "ports": 1}
    assert (await asyncio.to_thread(cli, "gc", *flags)).out == "Nothing was left behind.\n"
    await world.ready("kept")


async def test_what_exists_becomes_yaml_that_changes_nothing(
    world: CloudWorld, real: Real, cli: Cli, proxies: dict[str, FaultProxy]
) -> None:
    """`anneal export openstack`, applied: each server is shown as a Machine and gets no call; its console is read."""
    theirs = real.server("Their Server", metadata={"a": "b"})
    exported = await asyncio.to_thread(cli, "export", "openstack", "--clouds-file", str(world.clouds), "--cloud", real.cloud)
    assert exported.code == 0, exported
    applied = await asyncio.to_thread(cli, "apply", "-f", "-", stdin=exported.out)
    assert applied.code == 0, applied
    obj = await world.ready("their-server")
    assert obj["status"]["providerID"] == f"openstack:///{theirs.id}"
    planned = await asyncio.to_thread(cli, "plan", "machine/their-server")
    assert planned.code == 0, planned
    assert {method for proxy in proxies.values() for method, _ in proxy.log} == {"GET"}
    said = await asyncio.to_thread(cli, "logs", "machine/their-server")
    assert "FAKE CONSOLE OUTPUT" in said.out, said
    after = real.sdk.compute.get_server(theirs.id)
    assert (after.status, after.metadata, after.updated_at) == ("ACTIVE", {"a": "b"}, theirs.updated_at)


async def test_plan_says_what_will_happen_and_what_is_lost(world: CloudWorld, cli: Cli) -> None:
    """In place, with an interruption, or by replacement: `anneal plan` says which before it happens, and changes nothing."""
    obj = await world.create("a")
    await world.ready("a")
    server = (await world.of("a"))["servers"][0]

    async def plan(**changed: object) -> str:
        spec = {**obj["spec"], "openstack": {**obj["spec"]["openstack"], **changed}}
        manifest = {"apiVersion": obj["apiVersion"], "kind": "Machine", "metadata": {"name": "a"}, "spec": spec}
        said = await asyncio.to_thread(cli, "plan", "-f", "-", stdin=yaml.safe_dump(manifest))
        assert said.code in (0, 2), said
        return said.out

    assert "metadata differs" in await plan(serverMetadata=[{"key": "a", "value": "b"}])
    assert "the server reboots" in await plan(flavor={"filter": {"name": "m1.small"}})
    assert "its local disk" in await plan(userData="#cloud-config\n{}")
    assert [s.id for s in (await world.of("a"))["servers"]] == [server.id]
