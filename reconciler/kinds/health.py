"""When a Machine counts as unhealthy, and when so many do that none is replaced (spec.machineHealthCheck). Pure.

What cannot be told is never unhealthy, nor is what anneal is at work on itself: only a plan that has nothing to do but wait, or
nothing at all, is looked at. The time counts from when the condition last turned, and not before there was a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from drivers.contract import Plan, Present, Seen, Stop, Wait
from reconciler.engine.clock import from_text, to_text
from reconciler.engine.kind import Verdict
from reconciler.kinds.servers import Past, replace_failed
from specs.health import MachineHealthCheck
from specs.machine import Machine
from specs.meta import Reason

LEFT_ALONE = ("ERROR", "DELETING", "DELETED", "SOFT_DELETED")
"""What the plan deals with itself, or what a person has to."""
LOOK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Ailment:
    """What is wrong, and when that becomes a reason to replace the server."""

    why: str
    due: datetime


def remedied(obj: Machine, seen: Seen, plan: Plan, verdicts: Iterable[Verdict], now: datetime) -> Plan:
    """The plan, or in its place the replacement of a server that was unhealthy for too long.

    `verdicts` are what the plan says of the Machine now; the status knows since when it does.
    """
    check = obj.spec.machine_health_check
    match seen.get("server"):
        case Present(ref=ref, live=live) if check and isinstance(plan, Wait | Stop) and live.state not in LEFT_ALONE:
            found = ailment(obj, check, verdicts, from_text(live.created), now)
        case _:
            return plan
    if found is None:
        return plan
    if found.due <= now:
        return replace_failed(ref, "", obj.spec.remediation, Past.of(obj, now), cause=found.why)
    left = (found.due - now).total_seconds()
    if isinstance(plan, Wait):
        return replace(plan, seconds=min(plan.seconds, left))
    return Wait(plan.reason, f"{plan.message}; replaced at {to_text(found.due)} if it stays so", left)


def ailment(
    obj: Machine, check: MachineHealthCheck, verdicts: Iterable[Verdict], born: datetime, now: datetime
) -> Ailment | None:
    """The unhealthy condition that is due first; None if none holds."""
    said = {verdict.type: verdict for verdict in verdicts}
    before = {row.type: row for row in obj.status.conditions} if obj.status else {}
    found = []
    for bad in check.unhealthy_conditions:
        verdict, past = said.get(bad.type), before.get(bad.type)
        if verdict is None or verdict.status != bad.status:
            continue
        turned = from_text(past.last_transition_time) if past and past.status == bad.status else now
        why = f"{bad.type} is {bad.status} for {bad.timeout_seconds} s: {verdict.message or verdict.reason}"
        found.append(Ailment(why, max(turned, born) + timedelta(seconds=bad.timeout_seconds)))
    return min(found, key=lambda one: one.due, default=None)


def pool(obj: Machine) -> str:
    """The UID of the set that the Machine belongs to; empty if it stands alone."""
    return next((owner.uid for owner in obj.metadata.owner_references or () if owner.kind == "MachineSet"), "")


def crowd(check: MachineHealthCheck, peers: Sequence[dict[str, Any]]) -> Wait | None:
    """Why nothing is replaced now, although it should be: too many of `peers` (the Machine among them) are unhealthy."""
    types = {bad.type: bad.status for bad in check.unhealthy_conditions}
    sick = sum(any(types.get(row["type"]) == row["status"] for row in _conditions(peer)) for peer in peers)
    least, most = 0, len(peers)
    if check.max_unhealthy is not None:
        number = check.max_unhealthy.removesuffix("%")
        most = len(peers) * int(number) // 100 if number != check.max_unhealthy else int(number)
        limit = f"maxUnhealthy is {check.max_unhealthy}"
    elif check.unhealthy_range is not None:
        least, most = (int(number) for number in check.unhealthy_range.strip("[]").split("-"))
        limit = f"unhealthyRange is {check.unhealthy_range}"
    else:
        return None
    if least <= sick <= most:
        return None
    message = f"{sick} of {len(peers)} Machines are unhealthy, and {limit}: nothing is replaced until that changes"
    return Wait(Reason.BREAKER_OPEN, message, LOOK_SECONDS)


def _conditions(peer: dict[str, Any]) -> list[dict[str, Any]]:
    return (peer.get("status") or {}).get("conditions") or []
