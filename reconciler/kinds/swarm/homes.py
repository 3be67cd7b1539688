"""Where what keeps data is at home: broker and store, each on one node, for as long as they live. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Seen
from reconciler.kinds import common
from reconciler.kinds.swarm import data
from reconciler.kinds.swarm.serving import service_of
from specs.model_deployment import ModelDeployment


def pinned(obj: ModelDeployment, seen: Seen) -> dict[str, str]:
    """Broker and store, each with its node: where it is, else where it was, else the first that can take it."""
    known = dict(obj.status.pins or {}) if obj.status else {}
    assert obj.spec.swarm is not None
    names, members = data.keepers(obj.spec.swarm), data.brokers(obj.spec.swarm)
    for name in names:
        service = service_of(seen, f"service/{name}")
        constraints = service.spec["TaskTemplate"]["Placement"]["Constraints"] if service else ()
        for each in constraints:
            if each.startswith("node.id=="):
                known[name] = each.removeprefix("node.id==")
    nodes = ready_nodes(seen)
    for place, name in enumerate(names):
        taken = {known.get(member) for member in members} if name in members else set()  # no two members on one node
        free = [node for node in nodes if node["id"] not in taken]
        if name not in known and free:
            known[name] = free[(place - sum(node["id"] in taken for node in nodes)) % len(free)]["id"]
    return {name: known[name] for name in names if name in known}


def ready_nodes(seen: Seen) -> list[Mapping[str, Any]]:
    """The nodes that take tasks, workers first."""
    cluster = common.live_object(seen, "cluster")
    rows = (cluster.status.get("nodes") or ()) if cluster else ()
    good = [row for row in rows if row.get("state") == "ready" and row.get("availability") == "active" and row.get("id")]
    return sorted(good, key=lambda row: (row.get("role") == "manager", str(row.get("name")), str(row["id"])))
