"""A service of a Swarm is kept as it is wanted, and what keeps it from that is said. Pure.

A change that needs no new tasks waits for an update that makes some: Docker would take it for that update's end, and end the
tasks of before at once, whether or not the new ones answer.

An update that Docker paused, or that does not end, is begun anew once; the service remembers that, in a label, until it is
changed. If that does not help, nothing does but a change: it is Stalled, and what ran before goes on.

A job's task that its node could not begin, since an image could not be pulled or a network not be joined, says nothing of what it
was to find out: it is begun again, twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drivers.contract import Plan, Seen, Step, Stop, Wait
from drivers.swarm.served import Service, differs
from reconciler.kinds.swarm.serving import service_of
from reconciler.kinds.swarm.specs import content_hash
from specs.meta import Reason

POLL_SECONDS = 0.5
FORCED = "anneal.dev/forced"
"""The label that says for which specification an update was begun anew."""
HALTED = ("paused", "rollback_paused", "rollback_completed")
"""Docker's words for an update that it will not go on with by itself."""
UNDER_WAY = ("updating", "rollback_started")
HELD_SECONDS = 20.0
"""So long after there is nothing left to wait for, Docker does not start a task any more. It waits for one of before, and if that
was given up before it had a node, its end never comes: https://github.com/moby/moby/issues/36699."""

AGAIN_SECONDS = 5.0
"""So long after a node could not begin a job it is begun again; twice as long after the second time."""


def keep(part: str, want: Mapping[str, Any], seen: Seen, now: datetime, deadline: float) -> Plan | None:
    """Have a service as it is wanted, and wait for its tasks. An update may take `deadline` seconds."""
    if part not in seen:
        return Wait(Reason.PENDING, f"{part} is to be made", 0.02)
    service = service_of(seen, part)
    if service is None:
        return (Step("create", part, "it is missing", {"spec": want}),)
    if differs(want, service.spec):
        if busy := next((p for p in seen if p != part and (o := service_of(seen, p)) and o.update == "updating"), None):
            return Wait(Reason.UPDATING, f"{short(part)} is to be changed once {short(busy)} is", POLL_SECONDS)
        same_tasks = not differs(want["TaskTemplate"], service.spec["TaskTemplate"])
        if same_tasks and service.outdated and not _stuck(service, now, deadline):
            return Wait(Reason.UPDATING, f"{short(part)} is to be changed once its update is over", POLL_SECONDS)
        anew = {**want, "Labels": {**want["Labels"], FORCED: ""}} if service.labels.get(FORCED) else want
        change = {"spec": anew, "version": service.version}
        return (Step("update", part, "it is not as it is wanted", change, ref=service.id, interrupts=_interrupts(part)),)
    why = _stuck(service, now, deadline)
    missing = not service.running or len(service.running) < _replicas(service)
    if service.outdated or missing or (service.held and (why or service.update in UNDER_WAY)):
        if why:
            return _once_more(part, want, service, why)
        return Wait(Reason.STARTING, f"{short(part)}: {how(service)}", POLL_SECONDS)
    return None


def _stuck(service: Service, now: datetime, deadline: float) -> str:
    """Why its update does not end by itself; empty if it may."""
    if service.update in HALTED:
        return f"its update is {service.update.replace('_', ' ')}"
    late = now.timestamp() - service.update_since
    if service.update in UNDER_WAY and service.update_since and late > deadline:
        return f"its update has been under way for {late:.0f} s"
    if service.held_since and (idle := now.timestamp() - service.held_since) > HELD_SECONDS:
        return f"a task has been ready for {idle:.0f} s, and Docker does not start it"
    return ""


def _once_more(part: str, want: Mapping[str, Any], service: Service, why: str) -> Plan:
    told, mark = f"{why}: {how(service)}", content_hash(want)
    if service.labels.get(FORCED) == mark:
        return Stop(Reason.STALLED, f"{short(part)}: {told}; it was begun anew once, which did not help. Change the spec")
    spec = {**_forced(want, service), "Labels": {**want["Labels"], FORCED: mark}}
    change = {"spec": spec, "version": service.version}
    return (Step("update", part, f"{told}; begun anew, once", change, ref=service.id, interrupts=_interrupts(part)),)


def begin_again(part: str, job: Service, now: datetime) -> Plan | None:
    """Have a job begun again that its node could not begin."""
    if (task := job.rejected) is None:
        return None
    why = f"its node could not begin it: {how(job)}"
    left = task.since + AGAIN_SECONDS * (job.begun_again + 1) - now.timestamp()
    if left > 0:
        return Wait(Reason.PENDING, f"{short(part)} is to be begun again; {why}", max(left, 0.05))
    change = {"spec": _forced(job.spec, job), "version": job.version}
    return (Step("update", part, f"{why}; begun again", change, ref=job.id),)


def _forced(spec: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """A specification that has Docker make new tasks, whatever else is in it."""
    return {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ForceUpdate": service.begun_again + 1}}


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
