"""What is said of a ModelDeployment on a Swarm: its status, one line, its conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.contract import Plan, Seen, Stop, Wait
from reconciler.engine.kind import Verdict
from reconciler.kinds import common, swarm_data
from reconciler.kinds import swarm_serving as serving
from reconciler.kinds.concluding import concluded
from reconciler.kinds.rollout import Trial, View, view
from reconciler.kinds.swarm_homes import pinned, ready_nodes
from reconciler.kinds.swarm_serving import FIXED, service_of
from reconciler.kinds.telling import note, promoted, taken_back, tried_out
from specs.meta import Reason
from specs.model_deployment import ModelDeployment


def status(obj: ModelDeployment, seen: Seen, plan: Plan) -> Mapping[str, Any]:
    """Where it answers, what it serves, what was served."""
    there = view(obj, seen)
    trial = _trial(there, seen)
    out: dict[str, Any] = {"revisions": [concluded(row, there, plan, obj, trial) for row in there.rows]}
    if there.choice.challenger is not None:
        out["challenger"] = there.choice.challenger
    if pins := pinned(obj, seen):
        out["pins"] = pins
    if address := url(obj, seen):
        out["url"] = address
    if (row := there.serving) is not None:
        out |= {"revision": row["revision"], "digest": row["digest"], "modelVersion": row.get("modelVersion")}
        out |= {"replicas": obj.spec.predictor.min_replicas, "readyReplicas": _answering(row["revision"], seen)}
    return out


def verdicts(obj: ModelDeployment, seen: Seen, plan: Plan) -> Iterable[Verdict]:
    """Ready, Available, Preflight, Promoted, RolledBack, Stalled."""
    there = view(obj, seen)
    said = line(obj, there, seen) if available(obj, there, seen) else ""
    if said and isinstance(plan, Wait | Stop):
        said = f"{said}; {plan.message}"
    ready = Verdict("Ready", "True", Reason.AVAILABLE, said) if said else common.ready(seen, plan, Reason.AVAILABLE)
    yield ready
    yield Verdict("Available", ready.status, ready.reason, ready.message)
    yield tried_out(there, _trial(there, seen), plan)
    yield promoted(obj, there, seen)
    yield taken_back(there)
    stalled = isinstance(plan, Wait | Stop) and plan.reason is Reason.STALLED
    said = (
        plan.message if stalled and isinstance(plan, Wait | Stop) else "every update of its services came to its end, or goes on"
    )
    yield Verdict("Stalled", "True" if stalled else "False", Reason.STALLED if stalled else Reason.CONVERGED, said)


def available(obj: ModelDeployment, there: View, seen: Seen) -> bool:
    """Whether requests are answered."""
    tiers = [service_of(seen, part) for part in FIXED]
    if (
        there.serving is None
        or not swarm_data.keeping(serving.swarm_of(obj), seen)
        or not all(tier and tier.running for tier in tiers)
    ):
        return False
    return obj.spec.predictor.min_replicas == 0 or _answering(there.serving["revision"], seen) > 0


def line(obj: ModelDeployment, there: View, seen: Seen) -> str:
    """One line: where, what, how many; and what became of the newest model, where it is not that."""
    if there.serving is None:
        return url(obj, seen)
    number = there.serving["revision"]
    parts = [f"{url(obj, seen)}, revision {number}, {_answering(number, seen)}/{obj.spec.predictor.min_replicas} workers"]
    return "; ".join([*parts, *note(obj, there, seen)])


def url(obj: ModelDeployment, seen: Seen) -> str:
    """Where the entry answers: on this port of every node; the first of them is named."""
    nodes = ready_nodes(seen)
    return f"http://{nodes[0]['address']}:{serving.swarm_of(obj).entry.port}" if nodes and nodes[0].get("address") else ""


def _answering(revision: int, seen: Seen) -> int:
    service = service_of(seen, serving.workers_part(revision))
    return len(service.running) if service else 0


def _trial(there: View, seen: Seen) -> Trial | None:
    """The last preflight: revision, when it began, what it found, whether it is over."""
    for row in reversed(there.rows):
        if (service := service_of(seen, serving.preflight_part(row["revision"]))) is not None:
            began = min((task.since for task in service.tasks), default=0.0)
            return Trial(row["revision"], began, service.output, service.ended is not None)
    return None
