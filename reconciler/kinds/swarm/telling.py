"""What is seen of a ModelDeployment on a Swarm: its Picture, the nodes that hold its data, its stalled updates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.contract import Plan, Seen, Stop, Wait
from reconciler.engine.kind import Verdict
from reconciler.kinds import telling
from reconciler.kinds.rollout import Trial, View, view
from reconciler.kinds.swarm import data, serving
from reconciler.kinds.swarm.homes import named, pinned, ready_nodes
from reconciler.kinds.swarm.serving import FIXED, service_of
from reconciler.kinds.telling import Picture
from specs.meta import Reason
from specs.model_deployment import ModelDeployment


def picture(obj: ModelDeployment, seen: Seen) -> Picture:
    """Where it answers, how many workers, whether requests are answered."""
    there = view(obj, seen)
    ready = _answering(there.serving["revision"], seen) if there.serving is not None else 0
    return Picture(obj, there, seen, _trial(there, seen), url(obj, seen), ready, _available(obj, there, seen, ready))


def status(obj: ModelDeployment, seen: Seen, plan: Plan) -> Mapping[str, Any]:
    """Where it answers, what it serves, what was served, and where its data is at home."""
    pins = pinned(obj, seen)
    homes = {"pins": pins, "homes": named(obj, seen, pins)}
    return telling.status(picture(obj, seen), plan) | {field: found for field, found in homes.items() if found}


def verdicts(obj: ModelDeployment, seen: Seen, plan: Plan) -> Iterable[Verdict]:
    """What is said of every deployment, and Stalled."""
    yield from telling.verdicts(picture(obj, seen), plan)
    if isinstance(plan, Wait | Stop) and plan.reason is Reason.STALLED:
        yield Verdict("Stalled", "True", Reason.STALLED, plan.message)
    else:
        yield Verdict("Stalled", "False", Reason.CONVERGED, "every update of its services came to its end, or goes on")


def url(obj: ModelDeployment, seen: Seen) -> str:
    """Where the entry answers: on this port of every node; the first of them is named."""
    nodes = ready_nodes(seen)
    return f"http://{nodes[0]['address']}:{serving.swarm_of(obj).entry.port}" if nodes and nodes[0].get("address") else ""


def _available(obj: ModelDeployment, there: View, seen: Seen, ready: int) -> bool:
    tiers = [service_of(seen, part) for part in FIXED]
    up = data.keeping(serving.swarm_of(obj), seen) and all(tier and tier.answering for tier in tiers)
    return there.serving is not None and up and (obj.spec.predictor.min_replicas == 0 or ready > 0)


def _answering(revision: int, seen: Seen) -> int:
    service = service_of(seen, serving.workers_part(revision))
    return len(service.answering) if service else 0


def _trial(there: View, seen: Seen) -> Trial | None:
    """The last preflight: revision, when it began, what it found, whether it is over."""
    for row in reversed(there.rows):
        if (service := service_of(seen, serving.preflight_part(row["revision"]))) is not None:
            began = min((task.since for task in service.tasks), default=0.0)
            return Trial(row["revision"], began, service.output, service.ended is not None)
    return None
