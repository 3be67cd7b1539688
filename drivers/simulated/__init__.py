"""The simulated cloud as a provider. Importing this costs nothing: the cloud's own process does it too, and starts often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.contract import Driver, Fence
    from drivers.simulated.driver import CloudDriver
    from drivers.simulated.live import Address, Port, Server


class Cloud(NamedTuple):
    """The drivers of one account of one cloud, over one client."""

    servers: CloudDriver[Server]
    ports: CloudDriver[Port]
    addresses: CloudDriver[Address]

    @property
    def drivers(self) -> Mapping[str, Driver[Any]]:
        """By the name of what they drive: server, port, address."""
        return {"server": self.servers, "port": self.ports, "address": self.addresses}

    async def close(self) -> None:
        """Let go of the connections. The drivers may be used again: they open new ones."""
        for driver in self:
            await driver.close()


def connect(
    endpoint: str,
    token: Callable[[], str] | None = None,
    fence: Fence = lambda: None,
    *,
    installation: str = "",
    settle_seconds: float = 30.0,
    call_seconds: float = 30.0,
) -> Cloud:
    """Make the three drivers. Does no I/O.

    `token` is called at first use, and again when the cloud refuses what it said. `fence` is called right before each change is
    sent. `settle_seconds` is how late the cloud may show what was created; `call_seconds` is how long a call may take.
    `installation` narrows surveys to what is ours; without it they hold what any anneal made there.
    """
    from drivers.simulated.client import CloudClient
    from drivers.simulated.driver import CloudDriver
    from drivers.simulated.live import Address, Port, Server

    client = CloudClient(endpoint, token=token, fence=fence, call_seconds=call_seconds)
    return Cloud(
        CloudDriver(client, "server", "servers", Server.parse, installation=installation, settle_seconds=settle_seconds),
        CloudDriver(client, "port", "ports", Port.parse, installation=installation, settle_seconds=settle_seconds),
        CloudDriver(client, "address", "addresses", Address.parse, installation=installation, settle_seconds=settle_seconds),
    )
