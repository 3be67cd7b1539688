"""Who of a Swarm's nodes manages: one change at a time, and none that would cost the quorum. Pure.

A manager in the making is let in by another one. If that one goes meanwhile, the new one never gets in: its engine ends in the
state "error", tries again at growing distances, and may never find another way. So whoever comes or goes is seen to have come or
gone before the next one does.
"""

from __future__ import annotations

from collections.abc import Iterator

from drivers.contract import Step, Wait
from drivers.swarm.live import Membership, Node, Swarm
from reconciler.kinds.quorum import Members
from specs.meta import Reason

POLL_SECONDS = 1.0


def changes(chosen: list[str], known: Members, swarm: Swarm) -> Iterator[Step | Wait]:
    """Promotions first, so that nobody gives up his vote before his successor has one."""
    busy = under_way(swarm, known)
    for name in chosen:
        match known[name]:
            case Membership(node=Node(role="worker") as node, engine=engine):
                why = "managers are missing, or one of them is down for too long"
                step = Step("update", f"node/{name}", why, {"role": "manager"}, node.id)
                well = node.state == "ready" and engine == "active" and not node.votes
                yield busy or (step if well else _wait(f"node {name} is to manage, once it is well"))
                return
    if busy is not None:
        yield busy
    leaving = {name: member.node for name, member in known.items() if name not in chosen and member and member.node}
    voters = [name for name, node in leaving.items() if node.votes]
    if voters:
        name = min(voters, key=lambda name: last_of_all(leaving[name]))
        yield demotion(f"node/{name}", leaving[name], swarm, known, "others are the managers now")


def last_of_all(node: Node) -> tuple[bool, bool]:
    """The order in which managers go: first who is not heard, since he can always be spared; last who leads."""
    return node.leader, node.reachability == "reachable"


def demotion(part: str, node: Node, swarm: Swarm, known: Members, why: str) -> Step | Wait:
    """How a node that votes stops to: asked for, then awaited."""
    if node.role != "manager":
        return _wait(f"{part} gives up its vote")
    if busy := under_way(swarm, known, besides=node.id):
        return busy
    if not spared(swarm, node):
        return _wait(f"{part} keeps its vote: without it the managers that answer could not decide any more")
    return Step("update", part, why, {"role": "worker"}, node.id)


def under_way(swarm: Swarm, known: Members, besides: str = "") -> Wait | None:
    """The change that has to end before another one begins. One that cannot end is not waited for."""
    engines = {member.node.id: (name, member) for name, member in known.items() if member is not None and member.node is not None}
    for node in swarm.nodes:
        name, member = engines.get(node.id, (node.hostname, None))
        if node.id == besides:
            continue
        if node.role == "manager" and node.state == "ready" and not _manages(node, member):
            lost = node.reachability == "unreachable" and (member is None or not member.managing)
            return _wait(f"node {name} is not heard by the other managers" if lost else f"node {name} becomes a manager")
        if node.role == "worker" and node.votes and spared(swarm, node):
            return _wait(f"node {name} gives up its vote")
    return None


def spared(swarm: Swarm, node: Node) -> bool:
    """Whether the others can decide without it; Docker asks the same before it lets a manager go."""
    others = [one for one in swarm.nodes if one.votes and one.id != node.id]
    return sum(one.reachability == "reachable" for one in others) >= len(others) // 2 + 1


def _manages(node: Node, member: Membership | None) -> bool:
    """Whether the others hear it, and it hears them: by its engine's own word, where that can be had."""
    return node.reachability == "reachable" and (member is None or member.engine != "active" or member.managing)


def _wait(message: str) -> Wait:
    return Wait(Reason.UPDATING, message, POLL_SECONDS)
