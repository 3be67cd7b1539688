"""Where a Swarm is found: from the SwarmCluster's name to a client of its managers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.contract import Driver, Fence, Unreachable
from drivers.swarm.client import Docker, Tls, connect
from drivers.swarm.fleet import Fleet
from drivers.swarm.items import NETWORKS, ItemDriver
from drivers.swarm.members import NodeDriver, SwarmDriver
from drivers.swarm.services import ServiceDriver
from reconciler.client import Client, ours
from specs import swarm_cluster


@dataclass(frozen=True, slots=True)
class Made:
    """The drivers of one fleet of engines."""

    key: object
    swarm: SwarmDriver
    nodes: NodeDriver


@dataclass(slots=True)
class Swarms:
    """One per daemon. Holds connections and nothing that could not be made again."""

    client: Client
    fence: Fence
    call_seconds: float = 30.0
    _made: dict[tuple[tuple[str, ...], Tls | None], Docker] = field(default_factory=dict)
    _fleets: dict[str, Made] = field(default_factory=dict)
    _extras: dict[tuple[str, str], Driver[Any]] = field(default_factory=dict)

    async def of(self, cluster: str, namespace: str) -> Docker:
        """The managers of this SwarmCluster. Unreachable: there is no such object, or it has no endpoint yet."""
        obj = await self.client.get(ours("swarmclusters"), namespace, cluster)
        if obj is None:
            raise Unreachable(f'cannot reach SwarmCluster "{cluster}": there is none in namespace "{namespace}"; create it')
        endpoints = (obj.get("status") or {}).get("endpoints") or (obj.get("spec") or {}).get("endpoints") or []
        if not endpoints:
            raise Unreachable(f'cannot reach SwarmCluster "{cluster}": it has no managers yet; waiting for them')
        found = (obj.get("spec") or {}).get("tls")
        return self.at(endpoints, Tls(found["caFile"], found["certFile"], found["keyFile"]) if found else None)

    def at(self, endpoints: Sequence[str], tls: Tls | None) -> Docker:
        """A client of these endpoints, made once."""
        key = (tuple(endpoints), tls)
        if key not in self._made:
            self._made[key] = connect(endpoints, tls, fence=self.fence, call_seconds=self.call_seconds)
        return self._made[key]

    def fleet(self, uid: str, engines: Mapping[str, str], tls: Tls | None, installation: str) -> Made:
        """The drivers of a Swarm of our making; made anew when its engines change."""
        key = (tuple(sorted(engines.items())), tls)
        if (made := self._fleets.get(uid)) is None or made.key != key:
            members = {name: self.at([url], tls) for name, url in engines.items()}
            fleet = Fleet(uid, members, uid, installation)
            made = self._fleets[uid] = Made(key, SwarmDriver(fleet), NodeDriver(fleet))
        return made

    def beside(self, part: str, managers: Docker, installation: str) -> Driver[Any]:
        """The driver of a network or of the registry."""
        kind = "network" if part.startswith("network/") else "service"
        if (kind, managers.name) not in self._extras:
            made: Driver[Any] = ServiceDriver(managers, installation=installation)
            if kind == "network":
                made = ItemDriver(managers, NETWORKS, installation=installation)
            self._extras[kind, managers.name] = made
        return self._extras[kind, managers.name]

    async def close(self) -> None:
        """Let go of every connection."""
        for docker in self._made.values():
            await docker.close()


def tls_of(spec: swarm_cluster.SwarmClusterSpec) -> Tls | None:
    """As the client wants it."""
    return None if spec.tls is None else Tls(spec.tls.ca_file, spec.tls.cert_file, spec.tls.key_file)
