"""What goes wrong with a cloud, against the real services: lost answers, quotas, failed servers, people, credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.openstack.proxy import Fault, FaultProxy
from tests.openstack.real import Real
from tests.openstack.world import PATIENCE, CloudWorld, of_uid, running
from tests.support.daemon import DaemonProcess, until
from tests.support.world import because, message

Homes = Callable[[str], DaemonProcess]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def world(real: Real, proxies: dict[str, FaultProxy], homes: Homes, tmp_path: Path) -> AsyncIterator[CloudWorld]:
    """A daemon that reaches Nova and Neutron through proxies."""
    for proxy in proxies.values():
        proxy.honest()
        proxy.log.clear()
    clouds = real.yaml_for(tmp_path / "clouds.yaml", {name: proxy.url for name, proxy in proxies.items()})
    async with running(real, homes("proxied"), clouds) as there:
        yield there
        for proxy in proxies.values():
            proxy.honest()
    for proxy in proxies.values():
        proxy.honest()


def posts(proxies: dict[str, FaultProxy], path: str) -> int:
    """How many creates arrived."""
    return len([1 for proxy in proxies.values() for method, p in proxy.log if method == "POST" and p.endswith(path)])


def fake(**metadata: str) -> list[dict[str, str]]:
    """Metadata that the fake hypervisor obeys."""
    return [{"key": f"fake_{key}", "value": value} for key, value in metadata.items()]


@pytest.mark.parametrize("fault", ["ack_then_500", "drop_after", "drop_before"])
@pytest.mark.parametrize(("service", "path"), [("compute", "/servers"), ("network", "/ports")])
async def test_a_create_whose_answer_is_lost_is_made_once(world, real, proxies, fault, service, path):
    """Fault 2: whether it happened or not, in the end there is one server with one port, and nothing without an owner."""
    proxies[service].fault = Fault(fault, path + "$", ("POST",), count=1)
    await world.create("a")
    await world.ready("a")
    there = await world.of("a")
    assert (len(there["servers"]), len(there["ports"])) == (1, 1)
    assert real.total() == {"servers": 1, "ports": 1}
    assert posts(proxies, path) == (2 if fault == "drop_before" else 1)


async def test_no_part_leaks_when_the_server_is_refused(world, real, proxies):
    """Fault 5: the port was made, the server is refused; deleted, the Machine leaves nothing."""
    proxies["compute"].fault = Fault("forbidden", "/servers$", ("POST",))
    await world.create("a", floatingIP={})
    await world.until("a", because("Forbidden"))
    assert set(real.total()) == {"ports", "addresses"}
    await world.delete("a")
    await world.gone("a")
    assert real.total() == {}


async def test_lists_that_lie_lead_to_no_second_server(world, real, proxies):
    """Fault 8: empty lists, in good health: what has a recorded id is asked for by id."""
    await world.create("a")
    await world.ready("a")
    before = await world.of("a")
    proxies["compute"].fault = Fault("empty_lists", "/servers", ("GET",))
    proxies["network"].fault = Fault("empty_lists", "/ports", ("GET",))
    start = len(proxies["compute"].log)
    await until(lambda: len(proxies["compute"].log) > start + 6, PATIENCE, lambda: "the daemon does not look")
    for proxy in proxies.values():
        proxy.honest()
    after = await world.of("a")
    assert [s.id for s in after["servers"]] == [s.id for s in before["servers"]]
    assert real.total() == {"servers": 1, "ports": 1}


@contextmanager
def quota(real: Real, **limits: int) -> Iterator[None]:
    """Small quotas of the project, for a while."""
    compute = {key: value for key, value in limits.items() if key in ("cores", "instances")}
    network = {key: value for key, value in limits.items() if key == "port"}
    set_quota(real, compute, network)
    try:
        yield
    finally:
        set_quota(real, dict.fromkeys(compute, 200), dict.fromkeys(network, 500))


def set_quota(real: Real, compute: dict[str, int], network: dict[str, int]) -> None:
    """By the administrator."""
    if compute:
        path = f"/os-quota-sets/{real.project}"
        real.admin.compute.put(path, json={"quota_set": compute}, microversion="2.79").raise_for_status()
    if network:
        real.admin.network.put(f"/quotas/{real.project}", json={"quota": network}).raise_for_status()


@pytest.mark.parametrize(("limits", "words"), [({"cores": 0}, "cores"), ({"port": 1}, "port")], ids=["of Nova", "of Neutron"])
async def test_a_quota_is_said_with_its_numbers_and_passes(world, real, proxies, limits, words):
    """Fault 18: QuotaExceeded in the cloud's words, few creates, and no edit needed once it is raised."""
    with quota(real, **limits):
        await world.create("a")
        said = await world.until("a", because("QuotaExceeded"))
        assert words in message(said)
        assert "the cloud says" in message(said)
        assert "servers" not in real.total()
        assert posts(proxies, "/servers") + posts(proxies, "/ports") <= 8
    await world.ready("a")


async def test_a_policy_is_not_a_quota(world, real, proxies):
    """Fault 18: 403 by policy is Forbidden, with what is missing."""
    proxies["network"].fault = Fault("forbidden", "/ports$", ("POST",), "rule:create_port is disallowed by policy")
    await world.create("a")
    said = await world.until("a", because("Forbidden"))
    assert "disallowed by policy" in message(said)
    proxies["network"].honest()
    await world.ready("a")


async def test_deleted_while_it_is_being_built(world, real):
    """Fault 20: no wait for the end of the boot, and nothing is left."""
    obj = await world.create("a", serverMetadata=fake(spawn_seconds="60"), floatingIP={})
    await world.until("a", because("Building"))
    await world.delete("a")
    await world.gone("a")
    assert not any(of_uid(real, obj["metadata"]["uid"]).values())


async def test_a_server_in_error_is_replaced_and_then_left_with_its_fault(world, real):
    """Fault 22: bounded replacements, the cloud's words, and a deletion that works at once."""
    spec = {"remediation": {"maxRetry": 1, "retryPeriodSeconds": 0}}
    await world.create("a", spec=spec, serverMetadata=fake(fail="spawn"))
    said = await world.until("a", lambda o: because("ServerFailed")(o) and "replaced 1 times" in message(o))
    assert "as fake_fail asks" in message(said)
    assert len((await world.of("a"))["servers"]) == 1
    await world.delete("a")
    await world.gone("a")
    assert real.total() == {}


async def test_no_host_is_a_fault_with_the_schedulers_words(world, real):
    """Fault 22: "No valid host" is not hidden."""
    spec = {"remediation": {"maxRetry": 0}}
    with quota(real, cores=10_000, instances=100):
        await world.create("a", spec=spec, flavor={"filter": {"name": "m1.impossible"}})
        said = await world.until("a", because("ServerFailed"))
    assert "No valid host" in message(said) or "quota" in message(said).lower()


STATES = {"stopped": ("os-stop", "SHUTOFF"), "paused": ("pause", "PAUSED"), "suspended": ("suspend", "SUSPENDED")}


@pytest.mark.parametrize("state", STATES)
async def test_what_people_do_to_a_server_is_said_and_left_alone(world, real, state):
    """Fault 30: SHUTOFF, PAUSED, SUSPENDED: Stopped, no call; started again it is Ready."""
    action, word = STATES[state]
    await world.create("a")
    await world.ready("a")
    server = (await world.of("a"))["servers"][0]
    real.admin.compute.post(f"/servers/{server.id}/action", json={action: None}).raise_for_status()
    said = await world.until("a", because("Stopped"))
    assert word in message(said)
    assert [s.id for s in (await world.of("a"))["servers"]] == [server.id]


async def test_a_tag_that_was_taken_off_makes_it_not_ours(world, real):
    """Faults 13 and 30: without our tag it is nobody's to touch, and no second one is made beside it."""
    await world.create("a")
    await world.ready("a")
    server = (await world.of("a"))["servers"][0]
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


async def test_rotated_credentials_are_picked_up(world, real, proxies):
    """Fault 35: the password changes: CredentialsInvalid, nothing lost; the new clouds.yaml needs no restart.

    The services would remember the old token for minutes; the proxies forget it at once.
    """
    await world.create("a")
    await world.ready("a")
    before = [s.id for s in (await world.of("a"))["servers"]]
    identity, old = real.admin.identity, world.clouds.read_text()
    identity.update_user(identity.find_user(real.user), password="another")
    for proxy in proxies.values():
        proxy.fault = Fault("unauthorized")
    try:
        said = await world.until("a", because("CredentialsInvalid"))
        assert "another" not in message(said)
        config: Any = yaml.safe_load(old)
        config["clouds"]["mini"]["auth"]["password"] = "another"
        for proxy in proxies.values():
            proxy.honest()
        world.clouds.write_text(yaml.safe_dump(config))
        await world.ready("a")
    finally:
        real.restore_password()
        real.until(real.may_enter)
    world.clouds.write_text(old)
    assert [s.id for s in real.inventory()["servers"]] == before


async def test_a_cloud_that_is_away_loses_nothing(world, real, proxies):
    """503 from every service: nothing is concluded, and it goes on by itself."""
    await world.create("a")
    await world.ready("a")
    before = [s.id for s in (await world.of("a"))["servers"]]
    for proxy in proxies.values():
        proxy.fault = Fault("unavailable")
    await world.until("a", because("ProviderUnreachable"))
    for proxy in proxies.values():
        proxy.honest()
    await world.ready("a")
    assert [s.id for s in (await world.of("a"))["servers"]] == before
