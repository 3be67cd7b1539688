"""What a server, its ports and its addresses look like in any cloud: the drivers return these, the kinds plan with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Server:
    """One server, as the cloud describes it."""

    id: str
    name: str
    state: str
    """The cloud's own word: BUILD, ACTIVE, ERROR, SHUTOFF, PAUSED, SOFT_DELETED, DELETED, …"""
    flavor: str
    image: str
    created: str
    fault: str = ""
    """What the cloud says went wrong, when state is ERROR."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    """Ids of the ports that are plugged into it, in order."""
    addresses: tuple[str, ...] = ()
    """Its internal IP addresses."""


@dataclass(frozen=True, slots=True)
class Port:
    """One network port."""

    id: str
    network: str
    ip: str = ""
    server: str = ""
    """Id of the server that it is plugged into, if any."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address that is reachable from outside."""

    id: str
    ip: str
    server: str = ""
    """Id of the server that it leads to, if any."""
