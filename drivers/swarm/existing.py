"""A Swarm that is there already: looked at through its managers, never changed."""

from __future__ import annotations

from drivers.contract import DriverError, Observation, Owner, Present, Unknown
from drivers.looked_at import LookedAt
from drivers.swarm.client import Api, Docker
from drivers.swarm.live import Swarm, node_of


class SwarmDriver(LookedAt):
    """The one Swarm behind these endpoints. Its reference is what the endpoints are called."""

    def __init__(self, docker: Docker) -> None:
        self.name = f"swarm/existing@{docker.name}"
        self._docker = docker

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Swarm]:
        """See the contract."""
        try:
            return Present(ref or self._docker.name, await self._docker.read("look at the Swarm", look))
        except DriverError as error:
            return Unknown(error)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._docker.close()


def look(api: Api) -> Swarm:
    """One look at a Swarm, by one of its managers; an engine that is none refuses."""
    swarm = api.inspect_swarm()
    nodes = tuple(sorted((node_of(row) for row in api.nodes()), key=lambda node: (node.hostname, node.id)))
    return Swarm(swarm["ID"], int(swarm["Version"]["Index"]), swarm["Spec"].get("Labels") or {}, nodes, api.base_url)
