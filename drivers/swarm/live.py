"""What a Swarm and its nodes look like, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the managers list it."""

    id: str
    version: int
    hostname: str
    address: str
    role: str
    """manager or worker: what is wanted; a change takes a moment."""
    availability: str
    """active, pause or drain."""
    state: str
    """ready, down, disconnected or unknown."""
    leader: bool
    reachability: str
    """Of a manager: reachable, unreachable or unknown; of others empty."""
    changed: str
    """When its entry last changed, RFC 3339: of a node that is down, since when."""
    labels: Mapping[str, str] = field(hash=False)

    @property
    def votes(self) -> bool:
        """Whether the managers count it as one of them, reachable or not: its role says only what is wanted."""
        return bool(self.reachability)

    @property
    def up(self) -> bool:
        """Whether it is at work, and, if it is a manager, heard by the others."""
        return self.state == "ready" and self.reachability != "unreachable"

    @property
    def manager(self) -> bool:
        """Whether it takes part in the managers' votes, or is to."""
        return self.votes or self.role == "manager"


@dataclass(frozen=True, slots=True)
class Swarm:
    """A Swarm as one of its managers sees it."""

    id: str
    version: int
    labels: Mapping[str, str] = field(hash=False)
    nodes: tuple[Node, ...]
    asked: str
    """The endpoint that answered."""

    def node(self, ref: str | None) -> Node | None:
        """The node with this id."""
        return next((node for node in self.nodes if node.id == ref), None)

    @property
    def managers(self) -> tuple[Node, ...]:
        """Those that vote."""
        return tuple(node for node in self.nodes if node.manager)


@dataclass(frozen=True, slots=True)
class Membership:
    """One engine as a node of ours."""

    node: Node | None
    """The managers' entry of it; None if they have none any more."""
    engine: str
    """What the engine says itself: "active"; "inactive": it lost its state; "error": it cannot get in; "silent": no answer."""
    tasks: int
    """How many tasks run there, as far as the managers know."""
    managing: bool = False
    """Whether it says that it is a manager which hears the others."""


def failed(name: str) -> str:
    """How the engine of a node is referred to while it is in "error": it has no id then."""
    return f"failed:{name}"


def node_of(row: Mapping[str, Any]) -> Node:
    """From the Engine API's Node."""
    spec, status, manager = row["Spec"], row.get("Status") or {}, row.get("ManagerStatus") or {}
    # a manager lists itself under 0.0.0.0 where it was not told another address
    address = str(manager.get("Addr", "")).rpartition(":")[0] or str(status.get("Addr", ""))
    return Node(
        id=row["ID"], version=int(row["Version"]["Index"]), hostname=str(row.get("Description", {}).get("Hostname", "")),
        address=address, role=str(spec.get("Role", "worker")), availability=str(spec.get("Availability", "active")),
        state=str(status.get("State", "unknown")), leader=bool(manager.get("Leader")),
        reachability=str(manager.get("Reachability", "")), changed=str(row.get("UpdatedAt", "")), labels=spec.get("Labels") or {},
    )  # fmt: skip
