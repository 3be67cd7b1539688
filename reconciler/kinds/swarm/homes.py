"""Where what keeps data is at home: broker and store, each on one node, for as long as they live. Pure.

A node is known by its id, which is another one each time it joins, and by its name. Where the id has left the Swarm, the node of
that name is home: it has the volume. One of three members, and only such a one, moves to another node if there is none: the
others have what it had. A node that is down has not left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Seen
from reconciler.kinds import common
from reconciler.kinds.swarm import data
from reconciler.kinds.swarm.serving import service_of
from specs.model_deployment import ModelDeployment


def pinned(obj: ModelDeployment, seen: Seen) -> dict[str, str]:
    """Broker and store, each with the id of its node: where it is, else where it was, else the first that can take it."""
    known = dict(obj.status.pins or {}) if obj.status else {}
    assert obj.spec.swarm is not None
    names, members = data.keepers(obj.spec.swarm), data.brokers(obj.spec.swarm)
    for name in names:
        service = service_of(seen, f"service/{name}")
        constraints = service.spec["TaskTemplate"]["Placement"]["Constraints"] if service else ()
        for each in constraints:
            if each.startswith("node.id=="):
                known[name] = each.removeprefix("node.id==")
    for name, node in list(known.items()):
        if not left(node, seen):
            continue
        namesakes = [row for row in _nodes(seen) if row["name"] == remembered(obj).get(name)]
        if len(namesakes) == 1 and namesakes[0] in ready_nodes(seen):
            known[name] = namesakes[0]["id"]
        elif not namesakes and len(members) > 1 and name in members:
            del known[name]
    nodes = ready_nodes(seen)
    for place, name in enumerate(names):
        taken = {known.get(member) for member in members} if name in members else set()  # no two members on one node
        free = [node for node in nodes if node["id"] not in taken]
        if name not in known and free:
            known[name] = free[(place - sum(node["id"] in taken for node in nodes)) % len(free)]["id"]
    return {name: known[name] for name in names if name in known}


def named(obj: ModelDeployment, seen: Seen, pins: Mapping[str, str]) -> dict[str, str]:
    """The same by the names of the nodes; those of nodes that left are remembered."""
    now = {str(row["id"]): str(row["name"]) for row in _nodes(seen)}
    found = {name: now.get(node) or remembered(obj).get(name) for name, node in pins.items()}
    return {name: node for name, node in found.items() if node}


def remembered(obj: ModelDeployment) -> Mapping[str, str]:
    """The names of the nodes as they were last seen."""
    return (obj.status.homes or {}) if obj.status else {}


def left(node: str, seen: Seen) -> bool:
    """Whether a node, by its id, is no member of the Swarm any more. A Swarm that tells of no node tells of none that left."""
    rows = _nodes(seen)
    return bool(rows) and node not in {row["id"] for row in rows}


def _nodes(seen: Seen) -> list[Mapping[str, Any]]:
    cluster = common.live_object(seen, "cluster")
    return [row for row in (cluster.status.get("nodes") or ()) if row.get("id")] if cluster else []


def ready_nodes(seen: Seen) -> list[Mapping[str, Any]]:
    """The nodes that take tasks, workers first."""
    good = [row for row in _nodes(seen) if row.get("state") == "ready" and row.get("availability") == "active"]
    return sorted(good, key=lambda row: (row.get("role") == "manager", str(row.get("name")), str(row["id"])))
