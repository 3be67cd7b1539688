"""From the engines that are there to the Swarm that is wanted of them: made, joined, promoted, labelled, drained, left. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from drivers.contract import Absent, Done, Duplicate, Foreign, Plan, Present, Seen, Step, Stop, Unknown, Wait
from drivers.swarm.live import Membership, Node, Swarm
from reconciler.kinds.quorum import Members, choose
from specs.meta import GROUP, Reason
from specs.swarm_cluster import SwarmCluster, SwarmNode

ROTATION, LABELS = f"{GROUP}/token-rotation", f"{GROUP}/labels"
"""Labels of ours: which rotation the tokens are of; which of a node's labels come from the spec."""
POLL_SECONDS, LOOK_SECONDS = 1.0, 15.0


def plan(obj: SwarmCluster, seen: Seen, now: datetime) -> Plan:
    """The next steps. A node that is silent keeps nobody else from what is to be done."""
    for part, observation in seen.items():
        if isinstance(observation, Foreign) and part.startswith("node/"):
            return Stop(Reason.NOT_OURS, observation.message)
    match seen["swarm"]:
        case Unknown(error=error):
            return Wait(error.reason, str(error), error.retry_after or LOOK_SECONDS)
        case Present(ref=ref, live=Swarm() as swarm):
            return _kept(obj, ref, swarm, seen, now)
    return _made(obj, seen)


def members(seen: Seen) -> Members:
    """What is known of the nodes, by name."""
    found: dict[str, Membership | None] = {}
    for part, observation in seen.items():
        kind, _, name = part.partition("/")
        match observation:
            case Present(live=Membership() as member) | Duplicate(keep=Present(live=Membership() as member)) if kind == "node":
                found[name] = member
            case Absent() if kind == "node":
                found[name] = None
    return found


def _made(obj: SwarmCluster, seen: Seen) -> Plan:
    """Every engine answered, and none is in a Swarm of ours: the first that may manage makes one."""
    able = [node for node in obj.spec.nodes or [] if node.role != "Worker" and isinstance(seen[f"node/{node.name}"], Absent)]
    stuck = [part for part, observation in seen.items() if part.startswith("node/") and isinstance(observation, Present)]
    if stuck:  # of a Swarm whose managers are all gone
        return (_leave(stuck[0], seen[stuck[0]], "its Swarm is no more"),)
    first = sorted(able, key=lambda node: node.role != "Manager")[0]
    change = {"node": first.name, "address": first.address}
    return (Step("create", "swarm", f"no engine is in a Swarm of ours; node {first.name} makes one", change),)


def _kept(obj: SwarmCluster, ref: str, swarm: Swarm, seen: Seen, now: datetime) -> Plan:
    wanted = {node.name: node for node in obj.spec.nodes or []}
    known = members(seen)
    chosen = choose(obj.spec, known, now)
    if (value := obj.spec.token_rotation) != swarm.labels.get(ROTATION, ""):
        why = "the spec asks for new join tokens"
        return (Step("update", "swarm", why, {"labels": {**_not_ours(swarm), ROTATION: value}, "rotate": True}, ref),)
    waits: list[Wait] = []
    for doing in _concerns(wanted, chosen, known, swarm, seen):
        if isinstance(doing, Wait):
            waits.append(doing)
        else:
            return (doing,)
    return min(waits, key=lambda wait: wait.seconds) if waits else Done(seconds=LOOK_SECONDS)


def _concerns(
    wanted: Mapping[str, SwarmNode], chosen: list[str], known: Members, swarm: Swarm, seen: Seen
) -> Iterator[Step | Wait]:
    """What there is to see to, the most urgent first."""
    for name in wanted:
        yield from _former_self(f"node/{name}", seen[f"node/{name}"])
    leaders = [node.address for node in swarm.managers if node.up]
    for name in sorted(wanted, key=lambda name: name not in chosen):
        if name in known and known[name] is None:
            change = {"address": wanted[name].address, "role": "manager" if name in chosen else "worker", "managers": leaders}
            yield Step("create", f"node/{name}", "its engine is in no Swarm", change)
    yield from _roles(chosen, known)
    for name, node in wanted.items():
        member = known.get(name)
        if member is not None and member.node is not None:
            yield from _drift(f"node/{name}", node, member.node)
    for name in [name for name in known if name not in wanted]:
        yield from _leaving(f"node/{name}", known[name])
    for name in wanted:
        if (trouble := trouble_of(name, seen.get(f"node/{name}"))) is not None:
            yield Wait(Reason.NODES_NOT_READY, trouble, LOOK_SECONDS)


def _former_self(part: str, observation: Any) -> Iterator[Step]:
    """An engine that lost its state left an entry behind; one whose entry was removed does not know it."""
    match observation:
        case Present(ref=ref, live=Membership(node=None)):
            yield Step("delete", part, "the Swarm does not know it any more: it leaves, and joins again", ref=ref, remedies=True)
        case Present(ref=ref, live=Membership(node=Node(manager=True), engine="inactive")):
            yield Step("update", part, "it lost its state: its vote is given up", {"role": "worker"}, ref)
        case Present(ref=ref, live=Membership(engine="inactive")):
            yield Step("delete", part, "it lost its state: its old entry goes, and it joins again", ref=ref, remedies=True)
        case Duplicate(extra=extra):
            yield Step("delete", part, "it joined again by itself: its old entry goes", ref=extra[0])


def _roles(chosen: list[str], known: Members) -> Iterator[Step | Wait]:
    """One promotion at a time, each heard before the next; nobody is demoted before his successor votes."""
    for name in chosen:
        member = known[name]
        if member is None or member.node is None:
            continue
        if member.node.role != "manager":
            why = "managers are missing, or one of them is down for too long"
            yield Step("update", f"node/{name}", why, {"role": "manager"}, member.node.id)
        elif member.node.reachability != "reachable" and member.node.state == "ready":
            yield Wait(Reason.UPDATING, f"node {name} becomes a manager", POLL_SECONDS)
            return
    for name, member in known.items():
        if name not in chosen and member is not None and member.node is not None and member.node.manager:
            if member.node.role == "manager":
                yield Step("update", f"node/{name}", "others are the managers now", {"role": "worker"}, member.node.id)
            yield Wait(Reason.UPDATING, f"node {name} gives up its vote", POLL_SECONDS)
            return


def _drift(part: str, want: SwarmNode, live: Node) -> Iterator[Step]:
    availability = want.availability.lower()
    if live.availability != availability:
        why = f"it is {live.availability}, the spec says {want.availability}"
        yield Step("update", part, why, {"availability": availability}, live.id)
    before = {key for key in live.labels.get(LABELS, "").split(",") if key}
    others = {key: value for key, value in live.labels.items() if key not in before and key != LABELS}
    labels = {**others, **want.labels} | ({LABELS: ",".join(sorted(want.labels))} if want.labels else {})
    if labels != live.labels:
        yield Step("update", part, "its labels differ from the spec", {"labels": labels}, live.id)


def _leaving(part: str, member: Membership | None) -> Iterator[Step | Wait]:
    """A node that is not in the spec any more: its tasks go elsewhere, then it leaves, then its entry goes."""
    if member is None:
        return
    node = member.node
    if node is not None and member.engine == "active" and node.state == "ready":
        if node.availability != "drain":
            yield Step(
                "update", part, "it is not in the spec any more: its tasks go elsewhere", {"availability": "drain"}, node.id
            )
        if member.tasks:
            yield Wait(Reason.NODES_NOT_READY, f"{part} is drained: {member.tasks} tasks still run there", POLL_SECONDS)
            return
    yield Step("delete", part, "it is not in the spec any more", ref=node.id if node else None)


def _leave(part: str, observation: Any, why: str) -> Step:
    return Step("delete", part, why, ref=observation.ref)


def _not_ours(swarm: Swarm) -> dict[str, str]:
    return {key: value for key, value in swarm.labels.items() if not key.startswith(f"{GROUP}/")}


def trouble_of(name: str, observation: Any) -> str | None:
    """What is the matter with a node; None if it is well."""
    match observation:
        case (
            Present(live=Membership(node=Node() as node, engine=engine))
            | Duplicate(keep=Present(live=Membership(node=Node() as node, engine=engine)))
        ):
            if node.state != "ready":
                return f"node {name} is {node.state}"
            if engine == "silent":
                return f"the engine of node {name} does not answer"
            return f"node {name} is not heard by the other managers" if node.reachability == "unreachable" else None
        case Unknown(error=error):
            return f"node {name}: {error.message}"
        case Foreign(message=message):
            return message
    return f"node {name} has not joined yet"


def teardown(obj: SwarmCluster, seen: Seen) -> Plan:
    """Workers leave first, then managers give up their votes and leave; the last one takes the Swarm with it."""
    match seen.get("swarm"):
        case Unknown(error=error):
            return Wait(error.reason, str(error), error.retry_after or LOOK_SECONDS)
    why = "the SwarmCluster is being deleted"
    there = {part: observation for part, observation in seen.items() if isinstance(observation, Present) and part != "swarm"}
    nodes = {part: observation for part, observation in there.items() if part.startswith("node/")}
    plain = [part for part, one in nodes.items() if one.live.node is None or not one.live.node.manager]
    if plain:
        return (_leave(plain[0], nodes[plain[0]], why),)
    managers = sorted(nodes, key=lambda part: nodes[part].live.node.leader)
    if len(managers) > 1:
        part, node = managers[0], nodes[managers[0]].live.node
        if node.role == "manager":
            return (Step("update", part, f"{why}: it gives up its vote", {"role": "worker"}, node.id),)
        return Wait(Reason.DELETING, f"{part} gives up its vote", POLL_SECONDS)
    if managers:
        return (Step("delete", managers[0], why, ref=nodes[managers[0]].ref, destroys="the Swarm and all that runs on it"),)
    blind = [part for part, observation in seen.items() if isinstance(observation, Unknown)]
    return Wait(Reason.DELETION_BLOCKED, f"{blind[0]} cannot be looked at", LOOK_SECONDS) if blind else Done()
