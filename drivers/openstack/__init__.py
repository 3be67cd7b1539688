"""OpenStack as a provider. Importing this costs nothing; openstacksdk is imported when the first call is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from drivers.contract import Driver, Fence
    from drivers.openstack.client import CloudClient


class Cloud(NamedTuple):
    """The drivers of one account of one cloud, over one client."""

    client: CloudClient
    drivers: Mapping[str, Driver[Any]]
    """By the name of what they drive: server, port, address, group, key, volume."""

    async def close(self) -> None:
        """Let go of the connections. The drivers may be used again: they open new ones."""
        for driver in self.drivers.values():
            await driver.close()


def connect(
    name: str,
    config: Callable[[], Mapping[str, Any]],
    fence: Fence = lambda: None,
    *,
    installation: str = "",
    settle_seconds: float = 60.0,
    call_seconds: float = 30.0,
) -> Cloud:
    """Make the drivers. Does no I/O.

    `name` tells accounts apart. `config` gives the entry of clouds.yaml as it is now, without I/O that waits; it is asked before
    each call, so that what was rotated needs no restart. `fence` is called in the sending thread right before each change.
    `settle_seconds` is how late the cloud may show what was created; `installation` narrows lists to what is ours.
    """
    from drivers.openstack.client import CloudClient
    from drivers.openstack.keys import KeyDriver
    from drivers.openstack.network import AddressDriver, GroupDriver, PortDriver
    from drivers.openstack.servers import ServerDriver
    from drivers.openstack.volumes import VolumeDriver

    client = CloudClient(name, config, fence, call_seconds)
    kinds = (ServerDriver, PortDriver, AddressDriver, GroupDriver, KeyDriver, VolumeDriver)
    drivers = {kind.singular: kind(client, installation=installation, settle_seconds=settle_seconds) for kind in kinds}
    return Cloud(client, drivers)
