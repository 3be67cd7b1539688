"""The conditions that the engine says of every kind, around those that the kind says itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from drivers.contract import Done, Plan, Seen, Stop, Unknown, Wait
from reconciler.engine.kind import Verdict
from specs.meta import Reason

VERBS = {"create": Reason.CREATING, "update": Reason.UPDATING, "delete": Reason.DELETING}


def progressing(plan: Plan) -> Verdict:
    """False means one thing: nothing more will happen until the spec or the world changes."""
    match plan:
        case Done(message=message):
            return Verdict("Progressing", "False", Reason.CONVERGED, message)
        case Stop(reason=reason, message=message):
            return Verdict("Progressing", "False", reason, message)
        case Wait(reason=reason, message=message):
            return Verdict("Progressing", "True", reason, message)
        case (step, *_):
            return Verdict("Progressing", "True", VERBS[step.verb], f"{step.verb} {step.part}: {step.why}")
        case _:
            assert_never(plan)  # type: ignore[arg-type]


def observed(seen: Seen) -> Verdict:
    """Whether the outside world could be looked at."""
    for part, observation in seen.items():
        if isinstance(observation, Unknown):
            return Verdict("Observed", "Unknown", observation.error.reason, f"{part}: {observation.error}")
    return Verdict("Observed", "True", Reason.OBSERVED)


def deleting(plan: Plan) -> Verdict:
    """How a deletion is going. False: something refuses, and the object stays until that is mended."""
    match plan:
        case Done():
            return Verdict("Deleting", "True", Reason.DELETING, "nothing is left outside")
        case Stop(message=message):
            return Verdict("Deleting", "False", Reason.DELETION_BLOCKED, message)
        case Wait(reason=Reason.DELETING, message=message):
            return Verdict("Deleting", "True", Reason.DELETING, message)
        case Wait(message=message):
            return Verdict("Deleting", "False", Reason.DELETION_BLOCKED, message)
        case (step, *_):
            return Verdict("Deleting", "True", Reason.DELETING, f"{step.verb} {step.part}: {step.why}")
        case _:
            assert_never(plan)  # type: ignore[arg-type]


def combined(kinds: Iterable[Verdict], engines: Iterable[Verdict]) -> list[Verdict]:
    """All conditions: Ready first, the engine's after the kind's; a type that the kind speaks of is the kind's."""
    own = list(kinds)
    said = {verdict.type for verdict in own}
    return sorted(own, key=lambda verdict: verdict.type != "Ready") + [v for v in engines if v.type not in said]
