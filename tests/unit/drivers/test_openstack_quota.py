"""What a project has used of its quotas, out of what Nova, Neutron and Cinder answer."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.contract import DriverError, Forbidden, InvalidConfiguration, Unreachable
from drivers.openstack.client import Answer, CloudClient
from drivers.openstack.quota import Use, usage

NOVA = {"limits": {"absolute": {
    "maxTotalInstances": 10, "totalInstancesUsed": 2, "maxTotalCores": 20, "totalCoresUsed": 4, "maxTotalRAMSize": -1,
    "totalRAMUsed": 512,
}}}  # fmt: skip
NEUTRON = {"quota": {
    "port": {"limit": 500, "used": 3, "reserved": 1}, "floatingip": {"limit": -1, "used": 1, "reserved": 0},
    "security_group": {"limit": 10, "used": 1},
}}  # fmt: skip
CINDER = {"limits": {"absolute": {
    "maxTotalVolumes": 10, "totalVolumesUsed": 1, "maxTotalVolumeGigabytes": 100, "totalGigabytesUsed": 40,
}}}  # fmt: skip


class Services(CloudClient):
    """Answers for each service: a body, or a refusal."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("test", dict, lambda: None)
        self.answers, self.asked = answers, list[str]()

    async def project(self) -> str:
        return "p-1"

    async def read(self, doing, service, path, query=None):
        self.asked.append(f"{service} {path}")
        if isinstance(found := self.answers[service], DriverError):
            raise found
        return Answer(200 if found else 404, found)


async def test_all_that_counts_in_one_call_each():
    """Servers, cores and memory of Nova, ports, addresses and groups of Neutron, volumes of Cinder; -1 is no limit."""
    services = Services(compute=NOVA, network=NEUTRON, volume=CINDER)
    assert await usage(services) == [
        Use("instances", 2, 10), Use("cores", 4, 20), Use("ram", 512, None), Use("ports", 4, 500), Use("floating-ips", 1, None),
        Use("secgroups", 1, 10), Use("volumes", 1, 10), Use("gigabytes", 40, 100),
    ]  # fmt: skip
    assert services.asked == ["compute /limits", "network /quotas/p-1/details", "volume /limits"]


@pytest.mark.parametrize("silent", [InvalidConfiguration("none"), Forbidden("no"), None], ids=["no service", "policy", "404"])
async def test_what_a_cloud_does_not_tell_is_left_out(silent):
    """A cloud without block storage, or that tells only administrators: the rest is told."""
    found = await usage(Services(compute=NOVA, network=silent, volume=silent))
    assert [use.resource for use in found] == ["instances", "cores", "ram"]


@pytest.mark.parametrize("answer", [{"limits": {}}, {"limits": {"absolute": {"maxTotalCores": "x", "totalCoresUsed": 1}}}, []])
async def test_an_answer_that_makes_no_sense_is_none(answer):
    """Unreachable, as any silence."""
    with pytest.raises((Unreachable, InvalidConfiguration)):
        await usage(Services(compute=answer, network=NEUTRON, volume=CINDER))
