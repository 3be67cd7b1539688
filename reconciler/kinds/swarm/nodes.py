"""From the engines that are there to the Swarm that is wanted of them: made, joined, promoted, labelled, drained, left. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from drivers.contract import Absent, Done, Duplicate, Foreign, Plan, Present, Seen, Step, Stop, Unknown, Wait
from drivers.swarm.live import Membership, Node, Swarm, failed
from reconciler.engine.clock import from_text
from reconciler.kinds.quorum import Members, choose
from reconciler.kinds.swarm import tokens, votes
from specs.meta import GROUP, Reason
from specs.swarm_cluster import SwarmCluster, SwarmNode

LABELS = f"{GROUP}/labels"
"""A label of ours: which of a node's labels come from the spec."""
POLL_SECONDS, LOOK_SECONDS = 1.0, 15.0
HEAL_SECONDS = 30.0
"""So long is an engine in "error" left to itself: it tries again, at growing distances."""


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
    return _made(obj, seen, now)


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


def _made(obj: SwarmCluster, seen: Seen, now: datetime) -> Plan:
    """Every engine answered, and none is in a Swarm of ours: the first that may manage makes one."""
    able = [node for node in obj.spec.nodes or [] if node.role != "Worker" and isinstance(seen[f"node/{node.name}"], Absent)]
    stuck = [part for part, observation in seen.items() if part.startswith("node/") and isinstance(observation, Present)]
    if stuck:  # of a Swarm whose managers are all gone
        return (_leave(stuck[0], seen[stuck[0]], "its Swarm is no more"),)
    first = sorted(able, key=lambda node: node.role != "Manager")[0]
    change = {"node": first.name, "address": first.address, "labels": tokens.labels(obj.spec, now)}
    return (Step("create", "swarm", f"no engine is in a Swarm of ours; node {first.name} makes one", change),)


def _kept(obj: SwarmCluster, ref: str, swarm: Swarm, seen: Seen, now: datetime) -> Plan:
    wanted = {node.name: node for node in obj.spec.nodes or []}
    known = members(seen)
    chosen = choose(obj.spec, known, now)
    if (telling := tokens.step(obj.spec, ref, swarm, known, now)) is not None:
        return (telling,)
    waits: list[Wait] = []
    for doing in _concerns(wanted, chosen, known, swarm, seen, now):
        if isinstance(doing, Wait):
            waits.append(doing)
        else:
            return (doing,)
    return min(waits, key=lambda wait: wait.seconds) if waits else Done(seconds=LOOK_SECONDS)


def _concerns(
    wanted: Mapping[str, SwarmNode], chosen: list[str], known: Members, swarm: Swarm, seen: Seen, now: datetime
) -> Iterator[Step | Wait]:
    """What there is to see to, the most urgent first."""
    for name in wanted:
        yield from _former_self(name, seen[f"node/{name}"], swarm, known, now)
    for name in sorted((name for name in wanted if name in known and known[name] is None), key=lambda name: name not in chosen):
        yield _joining(wanted[name], name in chosen, swarm, known)
    yield from votes.changes(chosen, known, swarm)
    for name, node in wanted.items():
        member = known.get(name)
        if member is not None and member.node is not None:
            yield from _drift(f"node/{name}", node, member.node)
    for name in [name for name in known if name not in wanted]:
        yield from _leaving(name, known[name], seen[f"node/{name}"])
    for name in wanted:
        if (trouble := trouble_of(name, seen.get(f"node/{name}"))) is not None:
            yield Wait(Reason.NODES_NOT_READY, trouble, LOOK_SECONDS)


def _former_self(name: str, observation: Any, swarm: Swarm, known: Members, now: datetime) -> Iterator[Step | Wait]:
    """An engine that lost its state left an entry behind; one whose entry was removed does not know it; one may be stuck."""
    part = f"node/{name}"
    match observation:
        case Present(ref=ref, live=Membership(node=None)):
            yield Step("delete", part, "the Swarm does not know it any more: it leaves, and joins again", ref=ref, remedies=True)
        case Present(live=Membership(node=Node() as node, engine="error")):
            if node.state != "ready" and (now - from_text(node.changed)).total_seconds() >= HEAL_SECONDS:
                yield Step("delete", part, "its engine is stuck: it leaves, and joins again", ref=failed(name), remedies=True)
        case Present(live=Membership(node=Node(votes=True) as node, engine="inactive")):
            yield votes.demotion(part, node, swarm, known, "it lost its state: its vote is given up")
        case Present(ref=ref, live=Membership(engine="inactive")):
            yield Step("delete", part, "it lost its state: its old entry goes, and it joins again", ref=ref, remedies=True)
        case Duplicate(extra=extra):
            yield Step("delete", part, "it joined again by itself: its old entry goes", ref=extra[0])


def _joining(want: SwarmNode, manages: bool, swarm: Swarm, known: Members) -> Step | Wait:
    """A manager that joins is let in by another one: by one that stays."""
    hosts = [node.address for node in swarm.managers if node.up and node.role == "manager" and node.votes]
    change = {"address": want.address, "role": "manager" if manages else "worker", "managers": hosts}
    step = Step("create", f"node/{want.name}", "its engine is in no Swarm", change)
    return (votes.under_way(swarm, known) if manages else None) or step


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


def _leaving(name: str, member: Membership | None, observation: Any) -> Iterator[Step | Wait]:
    """A node that is not in the spec any more: tasks and vote go elsewhere, then it leaves, then its entry goes."""
    if member is None:
        return
    node, part, why = member.node, f"node/{name}", "it is not in the spec any more"
    if node is not None and member.engine == "active" and node.state == "ready":
        if node.availability != "drain":
            yield Step("update", part, f"{why}: its tasks go elsewhere", {"availability": "drain"}, node.id)
        if member.tasks:
            yield Wait(Reason.NODES_NOT_READY, f"{part} is drained: {member.tasks} tasks still run there", POLL_SECONDS)
            return
    if not _manages(member):
        yield _leave(part, observation, why)


def _manages(member: Membership) -> bool:
    """Whether it has a vote, or is about to get one."""
    node = member.node
    return node is not None and (node.votes or (node.role == "manager" and member.engine == "active" and node.state == "ready"))


def _leave(part: str, observation: Any, why: str) -> Step:
    kept = observation.keep if isinstance(observation, Duplicate) else observation
    stuck = kept.live.engine == "error"  # then it does not know its own id
    return Step("delete", part, why, ref=failed(part.partition("/")[2]) if stuck else kept.ref)


def trouble_of(name: str, observation: Any) -> str | None:
    """What is the matter with a node; None if it is well."""
    match observation:
        case (
            Present(live=Membership(node=Node() as node, engine=engine))
            | Duplicate(keep=Present(live=Membership(node=Node() as node, engine=engine)))
        ):
            if engine == "error":
                return f"the engine of node {name} cannot get in ({node.state}); if it stays so, it leaves and joins again"
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


def all_joined(obj: SwarmCluster, seen: Seen) -> bool:
    """Whether every node that is wanted is one, well or not: then the Swarm can be used as long as it can decide."""
    known = members(seen)
    return all((member := known.get(node.name)) is not None and member.node is not None for node in obj.spec.nodes or [])


def teardown(obj: SwarmCluster, seen: Seen) -> Plan:
    """Workers leave first, then managers give up their votes and leave; the last one takes the Swarm with it."""
    match seen.get("swarm"):
        case Unknown(error=error):
            return Wait(error.reason, str(error), error.retry_after or LOOK_SECONDS)
    why = "the SwarmCluster is being deleted"
    there = {f"node/{name}": member for name, member in members(seen).items() if member is not None}
    plain = [part for part, member in there.items() if not _manages(member)]
    if plain:
        return (_leave(plain[0], seen[plain[0]], why),)
    managers = {part: member.node for part, member in there.items() if member.node is not None}
    match seen.get("swarm"):
        case Present(live=Swarm() as swarm) if len(managers) > 1:
            part = min(managers, key=lambda part: votes.last_of_all(managers[part]))
            doing = votes.demotion(part, managers[part], swarm, members(seen), f"{why}: it gives up its vote")
            return (doing,) if isinstance(doing, Step) else doing
    if managers:
        last = next(iter(managers))
        return (Step("delete", last, why, ref=managers[last].id, destroys="the Swarm and all that runs on it"),)
    blind = [part for part, observation in seen.items() if isinstance(observation, Unknown)]
    return Wait(Reason.DELETION_BLOCKED, f"{blind[0]} cannot be looked at", LOOK_SECONDS) if blind else Done()
