"""What a cloud refuses or fails to do: told apart, in its own words, with few requests; and it goes on by itself."""

from __future__ import annotations

import pytest

from tests.openstack.proxy import Fault
from tests.openstack.real import fake
from tests.openstack.world import posts
from tests.support.world import because, message

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(("limits", "words"), [({"cores": 0}, "cores"), ({"port": 1}, "port")], ids=["of Nova", "of Neutron"])
async def test_a_quota_is_said_with_its_numbers_and_passes(world, real, proxies, limits, words):
    """Fault 18: QuotaExceeded in the cloud's words, few creates, and no edit needed once it is raised."""
    with real.quota(**limits):
        await world.create("a")
        said = await world.until("a", because("QuotaExceeded"))
        assert words in message(said)
        assert "the cloud says" in message(said)
        assert "servers" not in real.total()
        assert posts(proxies, "/servers") + posts(proxies, "/ports") <= 8
    await world.ready("a")


async def test_a_policy_is_not_a_quota(world, real):
    """Fault 18: Nova's own 403 by policy is Forbidden, with the rule that says no; a spec without it goes on."""
    await world.create("a", availabilityZone="nova:fake1")
    said = await world.until("a", because("Forbidden"))
    assert "forced_host" in message(said)
    await world.edit("a", availabilityZone=None)
    await world.ready("a")


async def test_a_rate_limit_is_kept(world, proxies):
    """Fault 18: 429 with Retry-After: RateLimited, not asked again before that, and then it goes on."""
    proxies["network"].lie(Fault("rate_limited", "/ports$", ("POST",), retry_after=3, count=1))
    await world.create("a")
    said = await world.until("a", because("RateLimited"))
    assert "3 s" in message(said)
    await world.ready("a")
    assert posts(proxies, "/ports") == 2


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
    with real.quota(cores=-1, ram=-1):
        await world.create("a", spec={"remediation": {"maxRetry": 0}}, flavor={"filter": {"name": "m1.impossible"}})
        said = await world.until("a", because("ServerFailed"))
    assert "No valid host" in message(said)


async def test_a_server_that_breaks_later_is_replaced_with_its_port(world, real):
    """Fault 22: in ERROR by an administrator's hand: another server, the same port."""
    await world.create("a", spec={"remediation": {"maxRetry": 1, "retryPeriodSeconds": 0}})
    await world.ready("a")
    before = await world.of("a")
    ref = before["servers"][0].id
    real.admin.compute.post(f"/servers/{ref}/action", json={"os-resetState": {"state": "error"}}).raise_for_status()
    await world.until(
        "a", lambda o: ref not in str(o["status"].get("providerID")) and o["status"].get("instanceState") == "ACTIVE"
    )
    await world.ready("a")
    after = await world.of("a")
    assert [p.id for p in after["ports"]] == [p.id for p in before["ports"]]
    assert real.total() == {"servers": 1, "ports": 1}


async def test_a_resize_that_fails_is_asked_for_a_few_times(world, real, proxies):
    """Fault 22: the hypervisor cannot do it: the fault, or the flavor, is told, and it is not asked for for ever."""
    await world.create("a", spec={"remediation": {"maxRetry": 0}}, serverMetadata=fake(fail="resize"))
    await world.ready("a")
    await world.edit("a", flavor={"filter": {"name": "m1.small"}})
    await world.until(  # Nova writes ERROR first, and the fault a moment later
        "a",
        lambda o: (
            (because("ServerFailed")(o) and "as fake_fail asks" in message(o))
            or (because("InvalidConfiguration")(o) and "m1.small" in message(o))
        ),
    )
    actions = [path for method, path in proxies["compute"].log if method == "POST" and path.endswith("/action")]
    assert len(actions) <= 3
    assert real.total() == {"servers": 1, "ports": 1}


async def test_a_cloud_that_is_away_loses_nothing(world, real, proxies):
    """503 from every service: nothing is concluded, and it goes on by itself."""
    await world.create("a")
    await world.ready("a")
    before = [s.id for s in (await world.of("a"))["servers"]]
    for proxy in proxies.values():
        proxy.lie(Fault("unavailable"))
    await world.until("a", because("ProviderUnreachable"))
    for proxy in proxies.values():
        proxy.honest()
    await world.ready("a")
    assert [s.id for s in (await world.of("a"))["servers"]] == before
