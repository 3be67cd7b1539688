"""The drivers of what a deployment has on a Swarm, made once for each Swarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from drivers.contract import Driver
from drivers.swarm.answers import AnswersDriver
from drivers.swarm.client import Docker
from drivers.swarm.items import CONFIGS, NETWORKS, SECRETS, ItemDriver
from drivers.swarm.parcels import Parcels
from drivers.swarm.services import ServiceDriver
from modelstore.store import Store


class Swarms(Protocol):
    """Where a Swarm is found by the name of its object."""

    async def of(self, cluster: str, namespace: str) -> Docker:
        """Its client. Raises DriverError if there is no such object, or it has no endpoint yet."""


@dataclass(slots=True)
class Stacks:
    """One per daemon."""

    swarms: Swarms
    store: Store
    """Where models are read from."""
    installation: str = ""
    _made: dict[str, Mapping[str, Driver[Any]]] = field(default_factory=dict)

    async def of(self, cluster: str, namespace: str) -> Mapping[str, Driver[Any]]:
        """The drivers of a SwarmCluster, by the first word of the parts that they look after. Raises DriverError."""
        docker = await self.swarms.of(cluster, namespace)
        if docker.name not in self._made:
            parcels = Parcels(docker, self.store, self.installation)
            self._made[docker.name] = {
                "service": ServiceDriver(docker, installation=self.installation),
                "config": ItemDriver(docker, CONFIGS, installation=self.installation, parcels=parcels),
                "secret": ItemDriver(docker, SECRETS, installation=self.installation),
                "network": ItemDriver(docker, NETWORKS, installation=self.installation),
                "answers": AnswersDriver(docker),
            }
        return self._made[docker.name]
