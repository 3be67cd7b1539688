"""Challenger and incumbent are scored on the same held-out rows by a job on the daemon's machine, wherever they serve. Pure."""

from __future__ import annotations

from datetime import datetime

from drivers.contract import Plan, Seen, Wait
from reconciler.kinds import common, processes, serving
from reconciler.kinds.local import Local
from reconciler.kinds.progress import last_words
from reconciler.kinds.rollout import View
from specs.meta import Reason


def score(local: Local, there: View, seen: Seen, now: datetime) -> Plan | None:
    """Have challenger and incumbent scored; None where there is nothing to score."""
    experiment = common.live_object(seen, "experiment")
    if there.choice.scoring is None or experiment is None:
        return None
    want = serving.score(local, experiment.object, there.choice.scoring)
    if (doing := processes.run("score", want, seen, now, "a new model challenges the served one")) is not None:
        return doing
    unit = processes.unit_of(seen, "score")
    assert unit is not None
    if unit.state == "Running":
        return Wait(Reason.CHECKING, "scoring the new model against the served one", 2.0)
    error = (unit.outputs.get("result.json") or {}).get("error") or {}
    said = error.get("message") or last_words(unit)
    again = processes.restart("score", want, unit, now)
    return Wait(Reason.CHECKING, f"cannot score the new model: {said}", again.seconds) if isinstance(again, Wait) else again
