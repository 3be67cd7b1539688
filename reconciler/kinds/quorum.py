"""Which nodes manage a Swarm: as many as are wanted, those that do already, others in the place of those that are lost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from drivers.swarm.live import Membership, Swarm
from reconciler.engine.clock import from_text
from specs.swarm_cluster import SwarmClusterSpec, SwarmNode

Members = Mapping[str, Membership | None]
"""By the node's name; None: it is no node yet. A node of which nothing is known is not in it."""


def choose(spec: SwarmClusterSpec, members: Members, now: datetime) -> list[str]:
    """The names of the nodes that should manage, the best first. As few as are wanted, or fewer where no more can."""
    nodes = [node for node in spec.nodes or [] if node.role != "Worker" and node.name in members]
    lost = [node for node in nodes if is_lost(members[node.name], now, spec.manager_replacement_seconds)]

    def rank(node: SwarmNode) -> tuple[bool, bool, bool, int]:
        member = members[node.name]
        manages = member is not None and member.node is not None and member.node.manager
        return node in lost, node.role != "Manager", not manages, nodes.index(node)

    return [node.name for node in sorted(nodes, key=rank) if node not in lost or _manages(members[node.name])][
        : spec.wanted_managers
    ]


def is_lost(member: Membership | None, now: datetime, seconds: float) -> bool:
    """Whether it was down for so long that somebody else takes its place."""
    if member is None:
        return False
    if member.node is None or member.engine == "inactive":  # it lost its state: what it knew of the votes is gone
        return True
    # whether it is heard is said without a time; that it is down is written into its entry
    return member.node.state in ("down", "disconnected") and (now - from_text(member.node.changed)).total_seconds() >= seconds


def _manages(member: Membership | None) -> bool:
    return member is not None and member.node is not None and member.node.manager


def healthy(swarm: Swarm) -> tuple[bool, str]:
    """Whether the managers can decide, and how many of them answer, for people."""
    managers = swarm.managers
    up = [node for node in managers if node.up]
    text = f"{len(up)} of {len(managers)} managers answer"
    if len(managers) == 2:
        text += "; two managers survive no failure: make it one, or three"
    elif len(up) < len(managers) and len(up) == len(managers) // 2 + 1:
        text += "; one more lost and nothing can be changed"
    return len(up) > len(managers) / 2, text
