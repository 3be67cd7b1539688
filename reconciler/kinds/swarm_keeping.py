"""A service of a Swarm is kept as it is wanted, and what keeps it from that is said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Plan, Seen, Step, Wait
from drivers.swarm.served import Service, differs
from reconciler.kinds.swarm_serving import service_of
from specs.meta import Reason

POLL_SECONDS = 0.5


def keep(part: str, want: Mapping[str, Any], seen: Seen) -> Plan | None:
    """Have a service as it is wanted, and wait for its tasks."""
    if part not in seen:
        return Wait(Reason.PENDING, f"{part} is to be made", 0.02)
    service = service_of(seen, part)
    if service is None:
        return (Step("create", part, "it is missing", {"spec": want}),)
    if differs(want, service.spec):
        if busy := next((p for p in seen if p != part and (o := service_of(seen, p)) and o.update == "updating"), None):
            return Wait(Reason.UPDATING, f"{short(part)} is to be changed once {short(busy)} is", POLL_SECONDS)
        change = {"spec": want, "version": service.version}
        return (Step("update", part, "it is not as it is wanted", change, ref=service.id, interrupts=_interrupts(part)),)
    if service.outdated or not service.running or len(service.running) < _replicas(service):
        return Wait(Reason.STARTING, f"{short(part)}: {how(service)}", POLL_SECONDS)
    return None


def how(service: Service) -> str:
    """How its tasks are, for people."""
    live = [task for task in service.tasks if task.current]
    said = next((task.message for task in sorted(live, key=lambda t: -t.since) if task.message), "")
    states = ", ".join(sorted({task.state for task in live})) or "no task yet"
    return f"{states}{f' ({said})' if said else ''}"


def short(part: str) -> str:
    """A service's part, for people."""
    return part.removeprefix("service/")


def _replicas(service: Service) -> int:
    mode = service.spec.get("Mode") or {}
    return int((mode.get("Replicated") or {}).get("Replicas", 1))


def _interrupts(part: str) -> str | None:
    return "requests get 503 while it starts anew" if part in ("service/store", "service/broker") else None  # not of one of three
