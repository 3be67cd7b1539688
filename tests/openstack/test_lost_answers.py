"""Answers that are lost, lists that lie, deletion in the middle: one server with its parts, whatever happens; then none."""

from __future__ import annotations

import asyncio

import pytest

from tests.openstack.proxy import Fault
from tests.openstack.real import fake
from tests.openstack.world import NET, PATIENCE, of_uid, posts
from tests.support.daemon import condition_of, until
from tests.support.world import because, message, parts

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("fault", ["ack_then_500", "drop_after", "drop_before"])
@pytest.mark.parametrize(("service", "path"), [("compute", "/servers"), ("network", "/ports")])
async def test_a_create_whose_answer_is_lost_is_made_once(world, real, proxies, fault, service, path):
    """Fault 2: whether it happened or not, in the end there is one server with one port, and nothing without an owner.

    Even though clouds.yaml asks for retries.
    """
    proxies[service].lie(Fault(fault, path + "$", ("POST",), count=1))
    await world.create("a")
    await world.ready("a")
    there = await world.of("a")
    assert (len(there["servers"]), len(there["ports"])) == (1, 1)
    assert real.total() == {"servers": 1, "ports": 1}
    assert posts(proxies, path) == (2 if fault == "drop_before" else 1)


async def test_no_part_leaks_when_the_server_is_refused(world, real, proxies):
    """Fault 5: the port was made, the server is refused; deleted, the Machine leaves nothing."""
    proxies["compute"].lie(Fault("forbidden", "/servers$", ("POST",)))
    await world.create("a", floatingIP={})
    await world.until("a", because("Forbidden"))
    assert set(real.total()) == {"ports", "addresses"}
    await world.delete("a")
    await world.gone("a")
    assert real.total() == {}


async def test_servers_that_fail_share_one_port_and_one_address(world, real):
    """Fault 5: three servers fail one after another, and the parts are made once; a corrected spec goes on with the same ones."""
    before = real.made()
    spec = {"remediation": {"maxRetry": 2, "retryPeriodSeconds": 0}}
    await world.create("a", spec=spec, ports=2, floatingIP={}, serverMetadata=fake(fail="spawn"))
    await world.until("a", lambda o: because("ServerFailed")(o) and "replaced 2 times" in message(o))
    assert {name: count - before[name] for name, count in real.made().items() if count != before[name]} == {
        "servers": 3,
        "ports": 2,
        "addresses": 1,
    }
    ports = {port.id for port in (await world.of("a"))["ports"]}
    await world.edit("a", serverMetadata=[], userData="#cloud-config\n{}")
    await world.ready("a")
    assert {port.id for port in (await world.of("a"))["ports"]} == ports
    assert real.total() == {"servers": 1, "ports": 2, "addresses": 1}


async def test_a_key_that_does_not_exist_is_said_and_asked_for_once(world, real, proxies):
    """Fault 5: Nova's own words; one create; the corrected spec uses the port that was made."""
    await world.create("a", sshKeyName="nobody's")
    said = await world.until("a", because("InvalidConfiguration"))
    assert "Invalid key_name" in message(said)
    ports = [port.id for port in (await world.of("a"))["ports"]]
    assert posts(proxies, "/servers") == 1
    await world.edit("a", sshKeyName=None)
    await world.ready("a")
    assert [port.id for port in (await world.of("a"))["ports"]] == ports


async def test_lists_that_lie_lead_to_no_second_server(world, real, proxies):
    """Fault 8: empty lists, in good health: what has a recorded id is asked for by id."""
    await world.create("a")
    await world.ready("a")
    before = await world.of("a")
    proxies["compute"].lie(Fault("empty_lists", "/servers", ("GET",)))
    proxies["network"].lie(Fault("empty_lists", "/ports", ("GET",)))
    start = len(proxies["compute"].log)
    await until(lambda: len(proxies["compute"].log) > start + 6, PATIENCE, lambda: "the daemon does not look")
    for proxy in proxies.values():
        proxy.honest()
    after = await world.of("a")
    assert [s.id for s in after["servers"]] == [s.id for s in before["servers"]]
    assert real.total() == {"servers": 1, "ports": 1}


async def test_the_loss_of_all_servers_at_once_waits_for_a_person(world, real, proxies):
    """Fault 8: the cloud has none of them, by list and by id: none is made anew; it closes by itself once they are back."""
    names = [f"m-{number}" for number in range(5)]
    await asyncio.gather(*(world.create(name) for name in names))
    for name in names:
        await world.ready(name)
    before, made = {s.id for s in real.inventory()["servers"]}, real.made()
    proxies["compute"].lie(Fault("empty_lists", "/servers/detail", ("GET",)), Fault("gone", r"/servers/[0-9a-f-]{36}", ("GET",)))
    for name in names:
        await world.until(name, lambda o: condition_of(o, "Progressing").get("reason") == "BreakerOpen")
    proxies["compute"].honest()
    for name in names:
        await world.ready(name)
    assert {s.id for s in real.inventory()["servers"]} == before
    assert real.made() == made


MOMENTS = {
    "a port": ("network", "/ports$"),
    "the address": ("network", "/floatingips$"),
    "the server": ("compute", "/servers$"),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_deleted_while_a_part_is_being_made(world, real, proxies, moment):
    """Fault 20: the request is under way when deletion comes; in the end nothing is left."""
    service, path = MOMENTS[moment]
    proxies[service].lie(Fault("slow", path, ("POST",), seconds=3.0))
    await world.create("a", floatingIP={})
    await until(lambda: posts(proxies, path.removesuffix("$")), PATIENCE, lambda: "it is not asked for")
    await world.delete("a")
    await world.gone("a")
    assert real.total() == {}


async def test_deleted_while_it_is_being_built(world, real):
    """Fault 20: no wait for the end of the boot, and nothing is left."""
    obj = await world.create("a", serverMetadata=fake(spawn_seconds="60"), floatingIP={})
    await world.until("a", because("Building"))
    await world.delete("a")
    await world.gone("a")
    assert not any(of_uid(real, obj["metadata"]["uid"]).values())


async def test_a_part_that_may_not_be_deleted_is_named(world, real, proxies):
    """Fault 20: the address may not go: the Machine stays and says so; what others wait for goes on."""
    await world.create("stuck", floatingIP={})
    await world.create("free")
    await world.ready("stuck")
    await world.ready("free")
    proxies["network"].lie(Fault("delete_forbidden", "/floatingips/", ("DELETE",)))
    await world.delete("stuck")
    await world.delete("free")
    await world.gone("free")
    said = await world.until("stuck", lambda o: "address" in message(o, "Deleting") and "Policy" in message(o, "Deleting"))
    assert "address" in parts(said)
    proxies["network"].honest()
    await world.gone("stuck")
    assert real.total() == {}


async def test_a_port_that_is_no_longer_wanted_goes_although_its_answer_is_lost(world, real, proxies):
    """Fault 2: a detach and a delete whose answers are lost are looked after, and done once."""
    await world.create("a", ports=2)
    await world.ready("a")
    proxies["compute"].lie(Fault("drop_after", "/os-interface/", ("DELETE",), count=1))
    proxies["network"].lie(Fault("drop_after", "/ports/", ("DELETE",), count=1))
    await world.edit("a", ports=[NET])
    await world.ready("a")
    assert real.total() == {"servers": 1, "ports": 1}
