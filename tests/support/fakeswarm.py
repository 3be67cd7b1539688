"""Docker Engines in memory, with what a Swarm remembers: they refuse what real ones refuse, and their power can be cut.

Only what the drivers of SwarmCluster ask of the Engine API. What they answer was copied from real engines; tests/swarm proves the
same of those.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from drivers.contract import Ambiguous, Fence, Unreachable
from drivers.swarm.errors import classify

T = TypeVar("T")
TURN = timedelta(seconds=2)
"""So long takes a change of role."""


class Refused(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass
class Cluster:
    """A Swarm as its managers remember it together."""

    id: str
    labels: dict[str, str]
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: int = 0
    version: int = 1


@dataclass
class FakeEngine:
    """One engine; `api` of the drivers."""

    name: str
    world: FakeSwarms
    power: bool = True
    node: str = ""
    cluster: Cluster | None = None
    base_url: str = "fake://"
    stuck: bool = False
    """It cannot get in, as a manager in the making whose host went: "error", until it leaves."""

    # --- what it says ---------------------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        if self.cluster is None:
            return {"Swarm": {"LocalNodeState": "inactive", "NodeID": "", "ControlAvailable": False}}
        if self.stuck:
            words = 'manager stopped: can\'t initialize raft node: connection error: desc = "dial tcp 10.0.0.1:2377: refused"'
            return {"Swarm": {"LocalNodeState": "error", "NodeID": "", "ControlAvailable": False, "Error": words}}
        entry = self.cluster.nodes.get(self.node)
        manager = entry is not None and entry["votes"]
        peers = [{"NodeID": id} for id, row in self.cluster.nodes.items() if row["votes"]]
        said = {"LocalNodeState": "active", "NodeID": self.node, "ControlAvailable": manager, "RemoteManagers": peers}
        if manager and self.world.quorum(self.cluster):
            said["Cluster"] = {"ID": self.cluster.id, "Spec": {"Labels": dict(self.cluster.labels)}}
        elif manager:
            said["Error"] = "rpc error: code = Unknown desc = The swarm does not have a leader."
        return {"Swarm": said}

    def inspect_swarm(self) -> dict[str, Any]:
        cluster = self._managed()
        tokens = {"Manager": f"SWMTKN-1-m{cluster.tokens}", "Worker": f"SWMTKN-1-w{cluster.tokens}"}
        spec = {"Name": "default", "Labels": dict(cluster.labels)}
        return {"ID": cluster.id, "Version": {"Index": cluster.version}, "Spec": spec, "JoinTokens": tokens}

    def nodes(self) -> list[dict[str, Any]]:
        cluster = self._managed()
        self.world.pass_a_moment(cluster)
        return [self.world.shown(cluster, id) for id in cluster.nodes]

    def tasks(self, filters: Any = None) -> list[dict[str, Any]]:
        return [{"NodeID": node, "Status": {"State": "running"}} for node in self.world.tasks]

    def inspect_node(self, node: str) -> dict[str, Any]:
        cluster = self._managed()
        if node not in cluster.nodes:
            raise Refused(404, f"node {node} not found")
        return self.world.shown(cluster, node)

    # --- what it does ---------------------------------------------------------------------------------------------------

    def init_swarm_raw(self, body: dict[str, Any]) -> str:
        self._alone()
        self.cluster = Cluster(f"swarm-{next(self.world.ids)}", dict(body["Spec"].get("Labels") or {}))
        self.world.enter(self, "manager", body["AdvertiseAddr"])
        return self.node

    def join_swarm_raw(self, body: dict[str, Any]) -> None:
        self._alone()
        found = [engine for engine in self.world.engines.values() if engine.power and engine.address in body["RemoteAddrs"]]
        cluster = next((e.cluster for e in found if e.cluster is not None and self.world.quorum(e.cluster)), None)
        if cluster is None:
            raise Refused(500, "rpc error: code = Unavailable desc = connection error")
        kind, number = body["JoinToken"].removeprefix("SWMTKN-1-")[0], int(body["JoinToken"].removeprefix("SWMTKN-1-")[1:])
        if number != cluster.tokens:
            raise Refused(400, "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster")
        self.cluster = cluster
        self.world.enter(self, "manager" if kind == "m" else "worker", body["AdvertiseAddr"])

    def leave_swarm(self, force: bool = False) -> None:
        if self.cluster is None:
            raise Refused(503, "This node is not part of a swarm")
        entry = self.cluster.nodes.get(self.node)
        if entry is not None and entry["votes"] and not force:
            raise Refused(503, "You are attempting to leave the swarm on a node that is participating as a manager.")
        if entry is not None and not self.stuck:
            entry["since"] = self.world.now
            if entry["votes"]:
                self.world.shake(self.cluster)
        self.cluster, self.node, self.stuck = None, "", False

    def remove_node(self, node: str, force: bool = False) -> None:
        cluster = self._managed()
        if node not in cluster.nodes:
            raise Refused(404, f"node {node} not found")
        if cluster.nodes[node]["votes"]:
            raise Refused(400, "rpc error: code = FailedPrecondition desc = node is a cluster manager and must be demoted")
        del cluster.nodes[node]

    def update_node_raw(self, node: str, version: int, spec: dict[str, Any]) -> None:
        cluster = self._managed()
        if self.inspect_node(node)["Version"]["Index"] != version:
            raise Refused(500, "rpc error: code = Unknown desc = update out of sequence")
        row = cluster.nodes[node]
        if (row["Spec"]["Role"], spec["Role"]) == ("manager", "worker"):
            if not row["votes"]:
                raise Refused(404, "rpc error: code = NotFound desc = can't find manager in raft memberlist")
            others = [id for id, other in cluster.nodes.items() if other["votes"] and id != node]
            if sum(self.world.up(cluster, id) for id in others) < len(others) // 2 + 1:
                words = "can't remove member from the raft: this would result in a loss of quorum"
                raise Refused(400, f"rpc error: code = FailedPrecondition desc = {words}")
            self.world.shake(cluster)
        row["Spec"], row["Version"], row["since"] = copy.deepcopy(spec), row["Version"] + 1, self.world.now

    def update_swarm_raw(self, version: int, spec: dict[str, Any], *, rotate: bool = False) -> None:
        cluster = self._managed()
        if cluster.version != version:
            raise Refused(500, "rpc error: code = Unknown desc = update out of sequence")
        cluster.labels, cluster.version = dict(spec["Labels"]), version + 1
        cluster.tokens += rotate

    @property
    def address(self) -> str:
        return f"10.0.0.{sorted(self.world.engines).index(self.name) + 1}:2377"

    def _alone(self) -> None:
        if self.cluster is not None:
            raise Refused(503, "This node is already part of a swarm. Use leave to leave this swarm and join another one.")

    def _managed(self) -> Cluster:
        entry = self.cluster.nodes.get(self.node) if self.cluster else None
        if self.cluster is None or entry is None or not entry["votes"] or self.stuck:
            raise Refused(503, "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.")
        if not self.world.quorum(self.cluster):
            raise Refused(500, "rpc error: code = Unknown desc = The swarm does not have a leader.")
        return self.cluster


@dataclass
class FakeSwarms:
    """So many engines, and the Swarms that they make."""

    names: tuple[str, ...]
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    tasks: list[str] = field(default_factory=list)
    """The ids of nodes on which tasks run."""
    lost: str = ""
    """"before": the next change is lost on its way; "after": its answer is."""
    mutations: int = 0
    ids: Any = field(default_factory=lambda: itertools.count(1))
    engines: dict[str, FakeEngine] = field(init=False)

    def __post_init__(self) -> None:
        self.engines = {name: FakeEngine(name, self) for name in self.names}

    def enter(self, engine: FakeEngine, role: str, address: str) -> None:
        assert engine.cluster is not None
        engine.node = f"node-{next(self.ids)}"
        spec = {"Role": role, "Availability": "active", "Labels": {}}
        engine.cluster.nodes[engine.node] = {
            "Spec": spec,
            "Version": 1,
            "Addr": address,
            "Hostname": engine.name,
            "since": self.now,
            "votes": role == "manager" and len(engine.cluster.nodes) == 0,
            "turning": None,
        }

    def pass_a_moment(self, cluster: Cluster) -> None:
        """Who is to become a manager, or to be none any more, is after a while."""
        for id, row in cluster.nodes.items():
            wanted = row["Spec"]["Role"] == "manager"
            if row["votes"] == wanted or not (self.up(cluster, id) or not wanted):
                row["turning"] = None
            elif (began := row["turning"]) is None:
                row["turning"] = self.now
            elif self.now - began >= TURN:
                row["votes"], row["turning"] = wanted, None

    def shake(self, cluster: Cluster) -> None:
        """A manager goes: one that is in the making never gets in."""
        for id, row in cluster.nodes.items():
            if row["Spec"]["Role"] == "manager" and not row["votes"]:
                for engine in self.engines.values():
                    if engine.cluster is cluster and engine.node == id:
                        engine.stuck, row["since"] = True, self.now

    def up(self, cluster: Cluster, node: str) -> bool:
        return any(e.power and not e.stuck and e.node == node and e.cluster is cluster for e in self.engines.values())

    def quorum(self, cluster: Cluster) -> bool:
        managers = [id for id, row in cluster.nodes.items() if row["votes"]]
        return sum(self.up(cluster, id) for id in managers) > len(managers) / 2

    def shown(self, cluster: Cluster, node: str) -> dict[str, Any]:
        """A node's entry as the Engine API shows it."""
        row, up = cluster.nodes[node], self.up(cluster, node)
        manager = row["votes"]
        reach = {"Reachability": "reachable" if up else "unreachable", "Addr": f"{row['Addr']}:2377"}
        return {
            "ID": node, "Version": {"Index": row["Version"]}, "Spec": copy.deepcopy(row["Spec"]),
            "Status": {"State": "ready" if up else "down", "Addr": row["Addr"]}, "Description": {"Hostname": row["Hostname"]},
            "UpdatedAt": row["since"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        } | ({"ManagerStatus": reach} if manager else {})  # fmt: skip

    def cut(self, name: str) -> None:
        """Cut an engine's power."""
        engine = self.engines[name]
        engine.power = False
        if engine.cluster is not None and engine.node in engine.cluster.nodes:
            engine.cluster.nodes[engine.node]["since"] = self.now

    def forget(self, name: str) -> None:
        """An engine loses what it knew."""
        engine = self.engines[name]
        if engine.cluster is not None and engine.node in engine.cluster.nodes:
            engine.cluster.nodes[engine.node]["since"] = self.now
        engine.power, engine.cluster, engine.node, engine.stuck = True, None, "", False


@dataclass
class FakeDocker:
    """drivers.swarm.client.Docker over one engine."""

    engine: FakeEngine
    fence: Fence = lambda: None
    name: str = "fake"

    async def read(self, doing: str, call: Callable[[Any], T]) -> T:
        try:
            return self._call(call)
        except Refused as refused:
            raise classify(doing, refused.status, refused.words, mutating=False) from refused

    async def look(self, doing: str, call: Callable[[Any], T]) -> T | None:
        try:
            return self._call(call)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise classify(doing, refused.status, refused.words, mutating=False) from refused

    async def write(self, doing: str, call: Callable[[Any], T]) -> T:
        self.fence()
        world = self.engine.world
        world.mutations += 1
        lost, world.lost = world.lost, ""
        if lost == "before":
            raise Ambiguous(f"cannot {doing}: the answer was lost")
        try:
            answer = self._call(call)
        except Refused as refused:
            raise classify(doing, refused.status, refused.words, mutating=True) from refused
        if lost == "after":
            raise Ambiguous(f"cannot {doing}: the answer was lost")
        return answer

    async def remove(self, doing: str, call: Callable[[Any], object]) -> None:
        try:
            await self.write(doing, call)
        except Exception as error:
            if not isinstance(error.__cause__, Refused) or error.__cause__.status != 404:
                raise

    async def close(self) -> None:
        """Nothing is open."""

    def _call(self, call: Callable[[Any], T]) -> T:
        if not self.engine.power:
            raise Unreachable(f"cannot reach {self.engine.name}: it does not answer; asking again")
        return call(self.engine)
