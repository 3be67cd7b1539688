"""What a spec says is what the cloud has, field by field, as the cloud itself tells it; and a change of it, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.openstack.harness import PUBLIC
from tests.openstack.real import Real
from tests.openstack.world import CloudWorld, running
from tests.support.daemon import DaemonProcess

pytestmark = pytest.mark.timeout(900)
PRIVATE = {"filter": {"name": "private"}}
MAC = "fa:16:3e:00:12:34"
SSH = {"protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22, "remoteIPPrefix": "192.0.2.0/24"}
HTTP = {"protocol": "tcp", "portRangeMin": 80, "portRangeMax": 81}


@pytest.fixture
async def world(real: Real, homes: Callable[[str], DaemonProcess]) -> AsyncIterator[CloudWorld]:
    async with running(real, homes("direct")) as there:
        yield there


@pytest.fixture
def theirs(real: Real) -> Iterator[dict[str, Any]]:
    """What a person made before: a key, a security group, a server group."""
    compute, network = real.sdk.compute, real.sdk.network
    group = compute.create_server_group(name="apart", policy="soft-anti-affinity")
    made = {
        "key": compute.create_keypair(name="mine", public_key=PUBLIC),
        "security": network.create_security_group(name="web"),
        "group": group,
    }
    yield made
    compute.delete_server_group(group)
    compute.delete_keypair(made["key"])
    network.delete_security_group(made["security"])


def ports(**first: Any) -> list[dict[str, Any]]:
    """One with everything that a port can have, one with its guard down."""
    fixed = {"subnet": PRIVATE, "ipAddress": "10.0.7.7"}
    pair = {"ipAddress": "10.0.99.1"}
    every = {"fixedIPs": [fixed], "allowedAddressPairs": [pair], "macAddress": MAC, "description": "up link", "tags": ["blue"]}
    every |= {"securityGroups": [{"filter": {"name": "web"}}]}
    return [{"network": PRIVATE} | every | first, {"network": PRIVATE, "disablePortSecurity": True}]


def described(port: Any) -> tuple[Any, ...]:
    """What of a port a person would compare."""
    pairs = sorted(pair["ip_address"] for pair in port.allowed_address_pairs)
    return [ip["ip_address"] for ip in port.fixed_ips], pairs, port.mac_address, port.is_port_security_enabled


async def test_every_field_reaches_the_cloud_and_changes_there_in_place(
    real: Real, theirs: dict[str, Any], world: CloudWorld
) -> None:
    """Ports to the last detail, groups by name and rule, key, server group, zone, drive; edited, the same server has the rest."""
    await world.create(
        "a", ports=ports(), sshKeyName="mine", serverGroup={"filter": {"name": "apart"}}, availabilityZone="nova",
        configDrive=True, floatingIP={"network": {"filter": {"name": "public"}}}, tags=["green"], resyncPeriodSeconds=10,
        securityGroups=[{"rules": [SSH]}],
    )  # fmt: skip
    await world.ready("a")
    there = await world.of("a")
    (server,), (address,), (group,) = there["servers"], there["addresses"], there["groups"]
    first, second = sorted(there["ports"], key=lambda port: port.mac_address != MAC)
    assert described(first) == (["10.0.7.7"], ["10.0.99.1"], MAC, True)
    assert theirs["security"].id in first.security_group_ids
    assert "up link" in first.description
    assert "blue" in first.tags
    assert not second.is_port_security_enabled
    assert address.port_id == first.id
    assert [(rule["port_range_min"], rule["remote_ip_prefix"]) for rule in group.security_group_rules if rule["protocol"]] == [
        (22, "192.0.2.0/24")
    ]
    full = real.sdk.compute.get_server(server.id)
    assert (full.key_name, str(full.has_config_drive), full.availability_zone) == ("mine", "True", "nova")
    assert full.id in real.sdk.compute.get_server_group(theirs["group"].id).member_ids
    assert "green" in full.tags

    more = {"allowedAddressPairs": [{"ipAddress": "10.0.99.2"}, {"ipAddress": "10.0.99.3"}], "description": "down link"}
    await world.edit("a", ports=ports(**more, tags=["red"]), securityGroups=[{"rules": [HTTP]}], tags=["yellow"])
    await world.ready("a")
    now = await world.of("a")
    assert [each.id for each in now["servers"]] == [server.id]
    assert {each.id for each in now["ports"]} == {first.id, second.id}
    changed = next(port for port in now["ports"] if port.id == first.id)
    assert described(changed) == (["10.0.7.7"], ["10.0.99.2", "10.0.99.3"], MAC, True)
    assert "down link" in changed.description
    assert {"red"} == set(changed.tags) & {"red", "blue"}
    rules = [rule for rule in now["groups"][0].security_group_rules if rule["protocol"]]
    assert [(rule["port_range_min"], rule["port_range_max"]) for rule in rules] == [(80, 81)]
    assert {"yellow"} == set(now["servers"][0].tags) & {"yellow", "green"}
