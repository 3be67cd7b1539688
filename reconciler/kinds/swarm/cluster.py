"""SwarmCluster: what is wanted of a Swarm, of ours or of somebody else's, and how it is. Pure, but for drivers()."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drivers.contract import Absent, Done, Driver, Plan, Present, Seen, Stop, Unknown
from drivers.swarm.existing import SwarmDriver as ExistingDriver
from drivers.swarm.ipvs import Ipvs, IpvsDriver
from drivers.swarm.live import Node, Swarm
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import common
from reconciler.kinds.quorum import healthy
from reconciler.kinds.swarm import extras, machines
from reconciler.kinds.swarm import nodes as swarm_nodes
from reconciler.kinds.swarms import Swarms, tls_of
from specs.meta import Reason
from specs.swarm_cluster import SwarmCluster

LOOK_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class SwarmClusterKind:
    """How SwarmClusters are reconciled; implements reconciler.engine.kind.Kind."""

    swarms: Swarms
    installation: str
    objects: Callable[[str], Driver[Any]]
    """The objects of one kind, by its plural, as parts of others."""
    ipvs: IpvsDriver = field(default_factory=IpvsDriver)
    resource: type[SwarmCluster] = SwarmCluster

    def references(self, obj: SwarmCluster) -> Iterable[Reference]:
        """The Machines that are nodes; an existing Swarm stands for itself."""
        return machines.references(obj)

    def provider(self, obj: SwarmCluster) -> str:
        """The engines."""
        return "swarm@" + ",".join(obj.spec.endpoints or [str(obj.metadata.uid)])

    def finalizes(self, obj: SwarmCluster) -> bool:
        """An existing Swarm stays; what we put onto it goes."""
        return obj.spec.nodes is not None or bool(extras.wanted(obj.spec) | extras.on_record(obj))

    async def drivers(self, obj: SwarmCluster) -> Mapping[str, Driver[Any]]:
        """The Swarm, its nodes, its networks and its registry."""
        found: dict[str, Driver[Any]] = {"ipvs": self.ipvs}
        found |= {part: self.objects("machines") for part in machines.imported(obj)}
        if obj.spec.endpoints is not None:
            managers = self.swarms.at(obj.spec.endpoints, tls_of(obj.spec))
            found["swarm"] = ExistingDriver(managers)
        else:
            made = self.swarms.fleet(str(obj.metadata.uid), engines(obj), tls_of(obj.spec), self.installation)
            found |= {"swarm": made.swarm} | {f"node/{name}": made.nodes for name in engines(obj)}
            managers = self.swarms.at(endpoints(obj), tls_of(obj.spec))
        swarm = getattr(obj.status, "swarm_id", "")
        if swarm or obj.spec.endpoints is not None:  # before that there is nowhere to look
            for part in sorted(extras.wanted(obj.spec) | extras.on_record(obj)):
                found[part] = self.swarms.beside(part, managers, self.installation)
        return found

    def imported(self, obj: SwarmCluster) -> Mapping[str, str]:
        """An existing Swarm, and the kernel of its first manager."""
        first = {"ipvs": next(iter(endpoints(obj)), "")} | machines.imported(obj)
        return first | ({"swarm": ",".join(obj.spec.endpoints)} if obj.spec.endpoints else {})

    def resolve(self, obj: SwarmCluster) -> Mapping[str, Any] | None:
        """The node that keeps the registry's images, chosen for life."""
        return extras.resolve(obj)

    def plan(self, obj: SwarmCluster, seen: Seen, now: datetime) -> Plan:
        """From what is seen to the Swarm that is wanted."""
        if moved := machines.news(obj, seen):
            return moved
        obj, seen = machines.placed(obj), machines.completed(obj, seen)
        if obj.spec.nodes is None:
            if blind := common.blind(seen):
                return blind
            first: Plan = Done(seconds=LOOK_SECONDS)
        else:
            first = swarm_nodes.plan(obj, seen, now)
        if isinstance(first, tuple | Stop) or not isinstance(seen.get("swarm"), Present):
            return first
        return extras.plan(obj, seen) or _said(first, seen)

    def teardown(self, obj: SwarmCluster, seen: Seen, now: datetime) -> Plan:
        """What we put onto it first; then, if it is of our making, the Swarm itself."""
        others = {"ipvs", *machines.imported(obj)}
        mine = {part: observation for part, observation in seen.items() if part not in others}
        if obj.spec.nodes is None:
            return common.blind(mine) or extras.teardown(mine)
        if isinstance(mine.get("swarm"), Present) and not isinstance(ending := extras.teardown(mine), Done):
            return ending
        return swarm_nodes.teardown(obj, mine)

    def status(self, obj: SwarmCluster, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """The nodes, where the managers are reached, how ports are published, and why so."""
        found = publishing(obj, seen) | {"machines": machines.addresses(obj, seen)}
        match seen.get("swarm"):
            case Present(live=Swarm() as swarm):
                return found | of_swarm(obj, swarm, seen) | extras.status(obj, swarm, seen)
            case Absent():
                return found | {"swarmID": "", "nodes": [], "managers": "", "workers": 0}
        return found

    def verdicts(self, obj: SwarmCluster, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready, QuorumHealthy, NodesReady."""
        seen = machines.completed(obj, seen)
        quorum, nodes = _quorum(seen), _nodes(obj, seen)
        usable = quorum.status == "True" and (obj.spec.nodes is None or swarm_nodes.all_joined(obj, seen) or common.held(obj))
        line = "; ".join(dict.fromkeys(text for text in (*_line(seen), quorum.message, nodes.message) if text))
        yield common.ready(seen, plan, Reason.HEALTHY, serving=line if usable else "")
        yield quorum
        yield nodes


def engines(obj: SwarmCluster) -> dict[str, str]:
    """Node name → endpoint, of the nodes that are wanted and of those that were."""
    found = {node.name: node.endpoint for node in obj.status.nodes if node.endpoint} if obj.status else {}
    return found | {node.name: node.endpoint for node in machines.placed(obj).spec.nodes or [] if node.endpoint}


def endpoints(obj: SwarmCluster) -> list[str]:
    """Where its managers are reached: as they were last seen, else as they may be."""
    if obj.spec.endpoints is not None:
        return list(obj.spec.endpoints)
    known = list(obj.status.endpoints) if obj.status else []
    able = [node for node in machines.placed(obj).spec.nodes or [] if node.role != "Worker"]
    return known or [node.endpoint for node in able if node.endpoint]


def publishing(obj: SwarmCluster, seen: Seen) -> dict[str, Any]:
    """How ports are published: ingress only where IPVS was seen, or where the spec says that it is there."""
    match seen.get("ipvs"):
        case Present(live=Ipvs(there=there, how=how)):
            ingress = obj.spec.publish == "Ingress" or (obj.spec.publish == "Auto" and there is True)
            chosen = f"the spec says {obj.spec.publish}" if obj.spec.publish != "Auto" else how
            mode = ("ingress", "vip") if ingress else ("host", "dnsrr")
            return {"publishMode": mode[0], "endpointMode": mode[1], "ipvs": chosen}
    return {}


def of_swarm(obj: SwarmCluster, swarm: Swarm, seen: Seen) -> dict[str, Any]:
    """What the managers say."""
    names, urls = _names(seen), engines(obj)
    rows = [_row(node, names.get(node.id, node.hostname if obj.spec.nodes is None else ""), urls) for node in swarm.nodes]
    managers = [node for node in swarm.managers if node.up]
    reached = [urls[names[node.id]] for node in managers if names.get(node.id) in urls]
    return {
        "swarmID": swarm.id, "nodes": [row for row in rows if row["name"]],
        "endpoints": list(obj.spec.endpoints) if obj.spec.endpoints else sorted(reached, key=list(urls.values()).index),
        "managers": f"{len(managers)}/{len(swarm.managers)}", "workers": len(swarm.nodes) - len(swarm.managers),
    }  # fmt: skip


def _row(node: Node, name: str, urls: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name, "id": node.id, "hostname": node.hostname, "endpoint": urls.get(name, ""), "address": node.address,
        "role": "manager" if node.manager else "worker", "state": node.state, "availability": node.availability,
        "leader": node.leader,
    }  # fmt: skip


def _names(seen: Seen) -> dict[str, str]:
    """Node id → the name that the spec gives it."""
    return {
        member.node.id: name
        for name, member in swarm_nodes.members(seen).items()
        if member is not None and member.node is not None
    }


def _quorum(seen: Seen) -> Verdict:
    match seen.get("swarm"):
        case Present(live=Swarm() as swarm):
            good, text = healthy(swarm)
            return Verdict("QuorumHealthy", "True" if good else "False", Reason.HEALTHY if good else Reason.QUORUM_LOST, text)
        case Unknown(error=error):
            lost = error.reason is Reason.QUORUM_LOST
            return Verdict("QuorumHealthy", "False" if lost else "Unknown", error.reason, error.message)
    return Verdict("QuorumHealthy", "False", Reason.PENDING, "there is no Swarm yet")


def _nodes(obj: SwarmCluster, seen: Seen) -> Verdict:
    match seen.get("swarm"):
        case Present(live=Swarm() as swarm):
            if obj.spec.nodes is None:
                wrong = [f"node {node.hostname} is {node.state}" for node in swarm.nodes if node.state != "ready"]
            else:
                said = [swarm_nodes.trouble_of(node.name, seen.get(f"node/{node.name}")) for node in obj.spec.nodes]
                wrong = [text for text in said if text is not None]
            if wrong:
                return Verdict("NodesReady", "False", Reason.NODES_NOT_READY, "; ".join(wrong)[:1000])
            return Verdict("NodesReady", "True", Reason.HEALTHY, "")
        case Unknown(error=error):
            return Verdict("NodesReady", "Unknown", error.reason, error.message)
    return Verdict("NodesReady", "False", Reason.PENDING, "there is no Swarm yet")


def _said(plan: Plan, seen: Seen) -> Plan:
    """Done says what there is."""
    if not isinstance(plan, Done):
        return plan
    match seen.get("swarm"):
        case Present(live=Swarm() as swarm):
            return Done("; ".join((*_line(seen), healthy(swarm)[1])), plan.seconds)
    return plan


def _line(seen: Seen) -> tuple[str, ...]:
    match seen.get("swarm"):
        case Present(live=Swarm(nodes=nodes)):
            return (f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}",)
    return ()
