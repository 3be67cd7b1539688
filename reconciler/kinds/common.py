"""What the kinds say alike: what keeps them from planning, what an object that is referred to says, Ready. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from drivers.contract import Absent, Done, Observation, Plan, Present, Seen, Step, Stop, Unknown, Wait
from drivers.objects import LiveObject
from reconciler.engine.kind import Verdict
from reconciler.engine.verdicts import VERBS
from reconciler.kinds.servers import blind
from specs.meta import Reason, Resource

__all__ = ["blind", "condition", "dependency", "held", "live_object", "ready", "texts"]

PATIENCE = 60.0
"""What is referred to wakes who refers to it; this is for a wake-up that was lost."""


def namespace(obj: Resource) -> str:
    """Its namespace."""
    return obj.metadata.namespace or "default"


def live_object(seen: Seen, part: str) -> LiveObject | None:
    """The object of a part, if it is there."""
    match seen.get(part):
        case Present(live=LiveObject() as live):
            return live
    return None


def dependency(kind: str, name: str, observation: Observation[Any] | None) -> Wait | None:
    """Why an object that is needed cannot be used yet; None if it can."""
    match observation:
        case Present(live=LiveObject() as live):
            if live.ready:
                return None
            said = live.condition()
            message = said.get("message") or "it was not looked at yet"
            return Wait(Reason.DEPENDENCY_NOT_READY, f"{kind}/{name} is not ready: {message}", PATIENCE)
        case Absent() | None:
            return Wait(Reason.DEPENDENCY_NOT_FOUND, f'there is no {kind} "{name}"; create it', PATIENCE)
        case Unknown(error=error):
            return Wait(error.reason, f"cannot look at {kind}/{name}: {error}", error.retry_after or 15.0)
    return Wait(Reason.DEPENDENCY_NOT_READY, f"{kind}/{name} cannot be used", PATIENCE)


def condition(obj: Resource, kind: str, status: Mapping[str, Any] | None = None) -> str:
    """The status of one of the object's own conditions, as long as it speaks of the spec as it is now; "Unknown" otherwise."""
    rows = getattr(getattr(obj, "status", None), "conditions", ())
    for row in rows:
        if row.type == kind and row.observed_generation == obj.metadata.generation:
            return str(row.status)
    return "Unknown"


def held(obj: Resource) -> bool:
    """Whether it was ready, for this very spec, when it was last looked at."""
    return condition(obj, "Ready") == "True"


def ready(seen: Seen, plan: Plan, good: Reason, *, serving: str = "") -> Verdict:
    """The Ready condition. `serving` says in what way it can be used although there is something to do; empty: it cannot."""
    match plan:
        case Done(message=message):
            return Verdict("Ready", "True", good, message)
        case Stop(reason=reason, message=message):
            return Verdict("Ready", "False", reason, message)
        case _ if serving:
            return Verdict("Ready", "True", good, serving)
        case Wait(reason=reason, message=message):
            unknown = not seen or any(isinstance(observation, Unknown) for observation in seen.values())
            return Verdict("Ready", "Unknown" if unknown else "False", reason, message)
        case (Step() as step, *_):
            return Verdict("Ready", "False", VERBS[step.verb], f"{step.verb} {step.part}: {step.why}")
        case _:
            assert_never(plan)  # type: ignore[arg-type]


def texts(values: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Metrics as Katib writes them: name and value as text."""
    rows = []
    for name, value in (values or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            rows.append({"name": name[:63], "latest": f"{value:.6g}"})
    return rows[:32]
