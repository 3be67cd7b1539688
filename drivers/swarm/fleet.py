"""The engines that a SwarmCluster is made of, looked at together: what each says of itself, and what our Swarm's managers say.

One reading serves all parts of the cluster. Whose a Swarm is, its own labels tell: they are set by the call that makes it, and
every node that joins it is thereby tagged too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.contract import DriverError, Unreachable
from drivers.swarm import tags
from drivers.swarm.client import Api, Docker
from drivers.swarm.existing import look
from drivers.swarm.live import Swarm
from specs.meta import Reason

BUSY = ("assigned", "accepted", "preparing", "ready", "starting", "running")


class QuorumLost(Unreachable):
    """The managers that answer have no leader: more than half of them are gone."""

    reason = Reason.QUORUM_LOST


@dataclass(frozen=True, slots=True)
class Said:
    """What an engine says of itself."""

    state: str
    """inactive, pending, active, error, locked."""
    node: str
    """The id of the node that it is; empty if it is none."""
    manager: bool
    cluster: str
    """The id of its Swarm, if it is one of its managers and hears the others."""
    labels: Mapping[str, str]
    """Of its Swarm, likewise."""
    peers: frozenset[str]
    """The ids of the managers that it knows."""
    error: str


@dataclass(frozen=True, slots=True)
class Reading:
    """All engines at one time."""

    taken: float
    engines: Mapping[str, Said | DriverError]
    """By the node's name."""
    swarm: Swarm | None
    """Ours, as its managers see it; None if no engine is a manager of ours that hears the others."""
    tasks: Mapping[str, int]
    """Node id → tasks that run there, or are about to."""
    blind: DriverError | None
    """Why it cannot be said whether our Swarm is there, or what it holds; None if that is known."""

    def silent(self) -> list[str]:
        """The nodes whose engines do not answer."""
        return [name for name, said in self.engines.items() if isinstance(said, DriverError)]


class Fleet:
    """One per SwarmCluster. `engines` by the node's name."""

    def __init__(self, name: str, engines: Mapping[str, Docker], owner_uid: str, installation: str) -> None:
        self.name, self.engines, self.uid, self.installation = name, engines, owner_uid, installation
        self._lock = asyncio.Lock()
        self._last: Reading | None = None

    async def read(self, after: float) -> Reading:
        """A reading that was taken at `after` or later. Never raises DriverError."""
        async with self._lock:
            if self._last is None or self._last.taken < after:
                self._last = await self._read()
            return self._last

    def is_ours(self, labels: Mapping[str, str]) -> bool:
        """Whether a Swarm with these labels is this cluster's."""
        return (labels.get(tags.OWNER), labels.get(tags.INSTALLATION)) == (self.uid, self.installation)

    async def manager(self) -> Docker:
        """The engine of a manager of ours that hears the others. Raises what keeps it from being found."""
        reading = await self.read(time.monotonic())
        for name, said in reading.engines.items():
            if isinstance(said, Said) and said.cluster and self.is_ours(said.labels):
                return self.engines[name]
        raise reading.blind or Unreachable("cannot ask the Swarm: none of its managers answers; asking again")

    async def close(self) -> None:
        """Let go of every connection."""
        for engine in self.engines.values():
            await engine.close()

    async def _read(self) -> Reading:
        taken = time.monotonic()
        answers = await asyncio.gather(*(self._ask(name) for name in self.engines))
        engines = dict(zip(self.engines, answers, strict=True))
        ours = [name for name, said in engines.items() if isinstance(said, Said) and said.cluster and self.is_ours(said.labels)]
        error: DriverError | None = None
        for name in ours:
            try:
                swarm, tasks = await self.engines[name].read("look at the Swarm", _look)
                return Reading(taken, engines, swarm, tasks, None)
            except DriverError as failed:
                error = failed
        return Reading(taken, engines, None, {}, error or _blind(engines))

    async def _ask(self, name: str) -> Said | DriverError:
        try:
            return said_by(await self.engines[name].read(f"ask the engine of node {name}", lambda api: api.info()))
        except DriverError as error:
            return error


def said_by(info: Mapping[str, Any]) -> Said:
    """From the Engine API's answer to "info"."""
    swarm = info.get("Swarm") or {}
    cluster = swarm.get("Cluster") or {}
    return Said(
        state=str(swarm.get("LocalNodeState") or "inactive"), node=str(swarm.get("NodeID") or ""),
        manager=bool(swarm.get("ControlAvailable")), cluster=str(cluster.get("ID") or ""),
        labels=(cluster.get("Spec") or {}).get("Labels") or {},
        peers=frozenset(str(peer.get("NodeID")) for peer in swarm.get("RemoteManagers") or ()),
        error=str(swarm.get("Error") or ""),
    )  # fmt: skip


def _blind(engines: Mapping[str, Said | DriverError]) -> DriverError | None:
    """Why the Swarm cannot be seen, though it may be there: managers without a leader, or engines that are silent."""
    for said in engines.values():
        if isinstance(said, Said) and said.manager and not said.cluster:
            words = said.error or "a manager does not hear the others"
            return QuorumLost(f"cannot ask the Swarm: {words.removeprefix('rpc error: ')}; waiting for the other managers")
    return next((said for said in engines.values() if isinstance(said, DriverError)), None)


def _look(api: Api) -> tuple[Swarm, Mapping[str, int]]:
    tasks = api.tasks(filters={"desired-state": ["running", "shutdown"]})
    busy = Counter(row.get("NodeID", "") for row in tasks if (row.get("Status") or {}).get("State") in BUSY)
    return look(api), busy
