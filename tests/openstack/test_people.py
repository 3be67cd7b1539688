"""What people do to servers behind the daemon's back: each a condition and an action that docs/openstack.md lists."""

from __future__ import annotations

import pytest

from specs.meta import PAUSED_ANNOTATION
from tests.openstack.proxy import Fault
from tests.openstack.world import PATIENCE
from tests.support.daemon import until
from tests.support.world import because, message

pytestmark = pytest.mark.timeout(900)
STATES = {"stopped": ("os-stop", "SHUTOFF"), "paused": ("pause", "PAUSED"), "suspended": ("suspend", "SUSPENDED")}


def act(real, ref, **action):
    """As an administrator."""
    real.admin.compute.post(f"/servers/{ref}/action", json=action).raise_for_status()


async def the_server(world, name="a"):
    """The one server of a Machine, as Nova shows it."""
    (server,) = (await world.of(name))["servers"]
    return server


@pytest.mark.parametrize("state", STATES)
async def test_what_people_do_to_a_server_is_said_and_left_alone(world, real, state):
    """Fault 30: SHUTOFF, PAUSED, SUSPENDED: Stopped, and the server stays."""
    action, word = STATES[state]
    await world.create("a")
    await world.ready("a")
    server = await the_server(world)
    act(real, server.id, **{action: None})
    said = await world.until("a", because("Stopped"))
    assert word in message(said)
    assert (await the_server(world)).id == server.id


async def test_what_was_deleted_is_made_anew_once(world, real):
    """Fault 30: deleted in Horizon: one more server with the same port and address."""
    await world.create("a", floatingIP={})
    await world.ready("a")
    before, made = await world.of("a"), real.made()
    real.sdk.compute.delete_server(before["servers"][0].id)
    await world.until("a", lambda o: before["servers"][0].id not in str(o["status"].get("providerID")))
    await world.ready("a")
    after = await world.of("a")
    for table in ("ports", "addresses"):
        assert [thing.id for thing in after[table]] == [thing.id for thing in before[table]]
    assert {name: count - made[name] for name, count in real.made().items() if count != made[name]} == {"servers": 1}


async def test_another_size_by_hand_is_taken_back(world, real):
    """Fault 30: VERIFY_RESIZE with a flavor that nobody wants here: reverted, the same server."""
    await world.create("a")
    await world.ready("a")
    server = await the_server(world)
    small = real.sdk.compute.find_flavor("m1.small").id
    real.sdk.compute.resize_server(server.id, small)
    real.until(lambda: real.sdk.compute.get_server(server.id).status in ("RESIZE", "VERIFY_RESIZE", "REVERT_RESIZE"))

    async def back() -> bool:
        now = await the_server(world)
        return (now.id, now.status, now.flavor.original_name) == (server.id, "ACTIVE", "m1.tiny")

    await until(back, PATIENCE, lambda: "it is not taken back")
    await world.ready("a")


async def test_what_the_cloud_keeps_for_a_while_is_said_and_purged_in_the_end(world, real, proxies):
    """Fault 30: SOFT_DELETED (shown by the proxy: this cloud deletes at once): said, nothing made; deletion purges it."""
    await world.create("a")
    await world.ready("a")
    proxies["compute"].lie(Fault("shows", "/servers", ("GET",), words=('"status": "ACTIVE"', '"status": "SOFT_DELETED"')))
    await world.until("a", because("ExternalDeleted"))
    assert real.total() == {"servers": 1, "ports": 1}
    await world.delete("a")
    await world.gone("a")
    assert real.total() == {}


async def test_a_port_and_an_address_that_were_taken_off_are_put_back(world, real):
    """Fault 30: detached by hand, and the address led nowhere: the same ones, back in place."""
    await world.create("a", floatingIP={})
    await world.ready("a")
    there = await world.of("a")
    server, port, address = (there[table][0] for table in ("servers", "ports", "addresses"))
    real.sdk.network.update_ip(address.id, port_id=None)
    real.sdk.compute.delete_server_interface(port.id, server=server.id)

    def whole() -> bool:
        c = real.sdk.network
        return (c.get_port(port.id).device_id, c.get_ip(address.id).port_id) == (server.id, port.id)

    await until(whole, PATIENCE, lambda: "it is not put back")
    await world.ready("a")
    assert real.total() == {"servers": 1, "ports": 1, "addresses": 1}


async def test_a_tag_that_was_taken_off_makes_it_not_ours(world, real):
    """Faults 13 and 30: without our tag it is nobody's to touch, and no second one is made beside it."""
    await world.create("a")
    await world.ready("a")
    server = await the_server(world)
    tags = list(server.tags)
    real.sdk.compute.put(f"/servers/{server.id}/tags", json={"tags": []}, microversion="2.79").raise_for_status()
    await world.until("a", because("NotOurs"))
    assert len(real.inventory()["servers"]) == 1
    real.sdk.compute.put(f"/servers/{server.id}/tags", json={"tags": tags}, microversion="2.79").raise_for_status()
    await world.ready("a")


async def test_a_namesake_without_our_tag_is_left_alone(world, real):
    """Fault 13: a name proves nothing, however well it fits."""
    theirs = real.server("anneal-default-a-00000000-server")
    await world.create("a")
    await world.ready("a")
    await world.delete("a")
    await world.gone("a")
    assert [s.id for s in real.inventory()["servers"]] == [theirs.id]


async def test_of_two_with_our_tag_the_recorded_one_stays(world, real):
    """Fault 13: a copy with the very same tags, made by hand: it goes, the recorded one and others' servers stay."""
    await world.create("a")
    await world.ready("a")
    server, theirs = await the_server(world), real.server("somebody")
    copy = real.server("copy", tags=list(server.tags))
    await until(lambda: copy.id not in {s.id for s in real.inventory()["servers"]}, PATIENCE, lambda: "the copy stays")
    await world.ready("a")
    assert {s.id for s in real.inventory()["servers"]} == {server.id, theirs.id}


async def test_a_paused_machine_gets_no_call(world, real, proxies):
    """Fault 13: paused, its server is deleted and its spec is changed: nothing is sent that changes anything."""
    await world.create("a")
    await world.ready("a")
    await world.annotate("a", PAUSED_ANNOTATION, "true")
    await world.until("a", because("Paused", "Progressing"))
    proxies["compute"].log.clear()
    real.sdk.compute.delete_server((await the_server(world)).id)
    real.until(lambda: not real.inventory()["servers"])
    await world.edit("a", tags=["other"])
    await world.create("b")  # a whole life of another one meanwhile
    await world.ready("b")
    assert (await world.of("a"))["servers"] == []
    await world.annotate("a", PAUSED_ANNOTATION, None)
    await world.ready("a")


async def test_a_name_is_not_a_pattern(world, real):
    """Fault 13: "a.b" does not find the server "aXb": nothing is adopted, and nothing is made."""
    real.server("aXb")
    await world.create("a", spec={"managementPolicy": "unmanaged", "import": {"filter": {"name": "a.b"}}}, ports=0)
    said = await world.until("a", because("InvalidConfiguration"))
    assert '"a.b"' in message(said)
    assert real.total() == {"servers": 1}


async def test_an_imported_server_that_is_deleted_stays_deleted(world, real):
    """Fault 30: it was somebody else's: said, and never made anew."""
    theirs = real.server("theirs")
    await world.create("a", spec={"managementPolicy": "unmanaged", "import": {"id": theirs.id}}, ports=0)
    await world.ready("a")
    made = real.made()
    real.sdk.compute.delete_server(theirs.id)
    await world.until("a", because("ExternalDeleted"))
    assert real.made() == made
