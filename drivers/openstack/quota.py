"""How much of its quotas a project has used: one read per service, for all Machines of the account together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from drivers.contract import Forbidden, InvalidConfiguration, Unreachable
from drivers.openstack.client import CloudClient


class Use(NamedTuple):
    """One quota."""

    resource: str
    """In the words of `openstack quota show`: instances, cores, ram (MiB), ports, floating-ips, secgroups, volumes, gigabytes."""
    used: int
    limit: int | None
    """None: there is none."""


COMPUTE = {"instances": ("totalInstancesUsed", "maxTotalInstances"), "cores": ("totalCoresUsed", "maxTotalCores"),
           "ram": ("totalRAMUsed", "maxTotalRAMSize")}  # fmt: skip
VOLUME = {"volumes": ("totalVolumesUsed", "maxTotalVolumes"), "gigabytes": ("totalGigabytesUsed", "maxTotalVolumeGigabytes")}
NETWORK = {"ports": "port", "floating-ips": "floatingip", "secgroups": "security_group"}


async def usage(client: CloudClient) -> list[Use]:
    """What the project of this account has used, and of how much. Services that it has not, or that do not tell, are left out.

    Raises DriverError if the compute service does not answer.
    """
    found = await _read(client, "compute", "/limits", partial(_limits, names=COMPUTE))
    path = f"/quotas/{await client.project()}/details"
    for service, where, read in (("network", path, _details), ("volume", "/limits", partial(_limits, names=VOLUME))):
        try:
            found += await _read(client, service, where, read)
        except (InvalidConfiguration, Forbidden):  # there is no such service, or it tells only administrators
            continue
    return found


async def _read(client: CloudClient, service: str, path: str, read: Callable[[Mapping[str, Any]], Iterator[Use]]) -> list[Use]:
    doing = f"read the quotas of {service}"
    answer = await client.read(doing, service, path)
    if answer.status == 404:
        raise InvalidConfiguration(f"cannot {doing}: the cloud has no such question; do without it")
    try:
        return list(read(answer.body))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreachable(f"cannot {doing}: the answer makes no sense ({error!r}); asking again") from error


def _limits(body: Mapping[str, Any], names: Mapping[str, tuple[str, str]]) -> Iterator[Use]:
    absolute = body["limits"]["absolute"]
    for resource, (used, limit) in names.items():
        if used in absolute and limit in absolute:
            yield Use(resource, int(absolute[used]), _most(absolute[limit]))


def _details(body: Mapping[str, Any]) -> Iterator[Use]:
    quota = body["quota"]
    for resource, name in NETWORK.items():
        if row := quota.get(name):
            yield Use(resource, int(row["used"]) + int(row.get("reserved") or 0), _most(row["limit"]))


def _most(limit: Any) -> int | None:
    return int(limit) if int(limit) >= 0 else None
