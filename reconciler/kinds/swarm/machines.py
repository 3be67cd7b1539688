"""Nodes that are Machines: where their engines are, and what keeps that from being known. Pure.

A Machine's address is taken when the Machine is ready, and kept in the status: one that is not ready for a while keeps its place,
and one that is built anew somewhere else is noticed. Until its address is known, its engine counts as one that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any

from drivers.contract import Absent, Seen, Unknown, Unreachable, Wait
from reconciler.client import ours
from reconciler.engine.kind import Reference
from reconciler.kinds import common
from specs.meta import Reason
from specs.swarm_cluster import EngineAccess, SwarmCluster, SwarmNode

PREFERRED = ("InternalIP", "ExternalIP")
TLS_PORT = 2376


class NoAddress(Unreachable):
    """A node's Machine is not there, or not ready yet."""

    reason = Reason.DEPENDENCY_NOT_READY


def of_machines(obj: SwarmCluster) -> dict[str, str]:
    """Node → Machine, of the nodes that are Machines."""
    return {node.name: node.machine_ref.name for node in obj.spec.nodes or [] if node.machine_ref is not None}


def references(obj: SwarmCluster) -> Iterator[Reference]:
    """The Machines: when one of them changes, we look."""
    for machine in of_machines(obj).values():
        yield Reference(ours("machines"), common.namespace(obj), machine)


def imported(obj: SwarmCluster) -> dict[str, str]:
    """The parts that are looked at for it."""
    return {f"machine/{node}": f"{common.namespace(obj)}/{machine}" for node, machine in of_machines(obj).items()}


def placed(obj: SwarmCluster) -> SwarmCluster:
    """The same object, with an endpoint and an address for each node whose Machine's address is known."""
    if obj.spec.nodes is None or not of_machines(obj):
        return obj
    known = obj.status.machines if obj.status else {}
    nodes = [_placed(node, known.get(node.name)) for node in obj.spec.nodes]
    return obj.model_copy(update={"spec": obj.spec.model_copy(update={"nodes": nodes})})


def addresses(obj: SwarmCluster, seen: Seen) -> dict[str, str]:
    """Node → address, for the status: what a ready Machine says now, else what it said last."""
    known = dict(obj.status.machines) if obj.status else {}
    found = {}
    for node in of_machines(obj):
        live = common.live_object(seen, f"machine/{node}")
        now = address_of(live.status) if live is not None and live.ready else None
        if address := now or known.get(node):
            found[node] = address
    return found


def address_of(status: Mapping[str, Any]) -> str | None:
    """The address of a Machine under which other nodes reach it."""
    for kind in PREFERRED:
        for row in status.get("addresses") or ():
            if row["type"] == kind and _is_v4(row["address"]):
                return str(row["address"])
    return None


def news(obj: SwarmCluster, seen: Seen) -> Wait | None:
    """An address that is not on record yet: what is there is looked at from the next pass on."""
    found = addresses(obj, seen)
    known = obj.status.machines if obj.status else {}
    moved = sorted(node for node, address in found.items() if known.get(node) != address)
    return Wait(Reason.PENDING, f"node {moved[0]} is at {found[moved[0]]}", 0.05) if moved else None


def completed(obj: SwarmCluster, seen: Seen) -> Seen:
    """What is seen, and for each node that has no address yet, why it cannot be looked at.

    Its engine may be in a Swarm of ours all the same: that there is none cannot be said without it.
    """
    known = obj.status.machines if obj.status else {}
    blind = {node: _why(node, machine, seen) for node, machine in of_machines(obj).items() if node not in known}
    if not blind:
        return seen
    more: dict[str, Any] = {f"node/{node}": Unknown(error) for node, error in blind.items()}
    if isinstance(seen.get("swarm"), Absent):
        more["swarm"] = Unknown(next(iter(blind.values())))
    return {**seen, **more}


def _why(node: str, machine: str, seen: Seen) -> NoAddress:
    held = common.dependency("Machine", machine, seen.get(f"machine/{node}"))
    text = held.message if held is not None else f"Machine/{machine} has no IPv4 address"
    return NoAddress(f"cannot look at node {node}: {text}; waiting for it", retry_after=held.seconds if held else None)


def _placed(node: SwarmNode, address: str | None) -> SwarmNode:
    if node.machine_ref is None or address is None:
        return node
    access = node.engine or EngineAccess()
    host = f"{access.user}@{address}" if access.user else address
    port = access.port or (TLS_PORT if access.protocol == "tcp" else None)
    url = f"{access.protocol}://{host}" + (f":{port}" if port else "")
    return node.model_copy(update={"endpoint": url, "address": address})


def _is_v4(text: str) -> bool:
    try:
        return bool(IPv4Address(text))
    except ValueError:
        return False
