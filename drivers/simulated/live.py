"""What the simulated cloud shows of a server, a port, an address, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it was last seen."""

    id: str
    name: str
    state: str
    """The cloud's word: BUILD, ACTIVE, SHUTOFF, PAUSED, ERROR, SOFT_DELETED, DELETING."""
    fault: str
    """What the cloud says is wrong with it; empty if nothing."""
    flavor: str
    image: str
    metadata: Mapping[str, str]
    ports: tuple[str, ...]
    """Ids of its ports."""
    addresses: tuple[str, ...]
    """Its internal addresses."""
    created: str
    """RFC 3339, in the cloud's time."""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Server:
        """Read the cloud's JSON; KeyError or TypeError if it is something else."""
        plain = {name: raw[name] for name in ("id", "name", "state", "fault", "flavor", "image", "metadata", "created")}
        return cls(**plain, ports=tuple(raw["ports"]), addresses=tuple(raw["addresses"]))


@dataclass(frozen=True, slots=True)
class Port:
    """A network port."""

    id: str
    name: str
    network: str
    ip: str
    server: str | None
    """The server that uses it. While there is one, the port cannot be deleted."""
    state: str
    """ACTIVE, or DOWN without a server."""
    created: str

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Port:
        """Read the cloud's JSON."""
        return cls(**{name: raw[name] for name in ("id", "name", "network", "ip", "server", "state", "created")})


@dataclass(frozen=True, slots=True)
class Address:
    """An address that is reachable from outside."""

    id: str
    name: str
    ip: str
    server: str | None
    """The server it leads to."""
    state: str
    """ACTIVE, or DOWN without a server."""
    created: str

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Address:
        """Read the cloud's JSON."""
        return cls(**{name: raw[name] for name in ("id", "name", "ip", "server", "state", "created")})
