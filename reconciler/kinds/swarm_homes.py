"""Where what keeps data is at home: broker and store, each on one node, for as long as they live. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Seen
from reconciler.kinds import common
from reconciler.kinds.swarm_serving import service_of
from specs.model_deployment import ModelDeployment


def pinned(obj: ModelDeployment, seen: Seen) -> dict[str, str]:
    """Broker and store, each with its node: where it is, else where it was, else the first that can take it."""
    known = dict(obj.status.pins or {}) if obj.status else {}
    for name in ("store", "broker"):
        service = service_of(seen, f"service/{name}")
        constraints = service.spec["TaskTemplate"]["Placement"]["Constraints"] if service else ()
        for each in constraints:
            if each.startswith("node.id=="):
                known[name] = each.removeprefix("node.id==")
    nodes = ready_nodes(seen)
    for place, name in enumerate(("store", "broker")):
        if name not in known and nodes:
            known[name] = nodes[place % len(nodes)]["id"]
    return known


def ready_nodes(seen: Seen) -> list[Mapping[str, Any]]:
    """The nodes that take tasks, workers first."""
    cluster = common.live_object(seen, "cluster")
    rows = (cluster.status.get("nodes") or ()) if cluster else ()
    good = [row for row in rows if row.get("state") == "ready" and row.get("availability") == "active" and row.get("id")]
    return sorted(good, key=lambda row: (row.get("role") == "manager", str(row.get("name")), str(row["id"])))
