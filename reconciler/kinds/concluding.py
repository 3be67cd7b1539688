"""What a rollout comes to, whatever the provider: what a preflight found, what is remembered, what is said first. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drivers.contract import Plan, Stop, Wait
from reconciler.engine.clock import to_text
from reconciler.kinds.rollout import Row, Trial, View, why_failed
from specs.meta import Reason
from specs.model_deployment import ModelDeployment

FAILED = (Reason.PREFLIGHT_FAILED, Reason.ROLLOUT_FAILED)


def most_urgent(waits: list[Wait | Stop]) -> Wait | Stop:
    """What failed, else what stands first, is what is said; the soonest is when to look again."""
    first = (*FAILED, Reason.STALLED)
    said = min(waits, key=lambda wait: first.index(wait.reason) if wait.reason in first else len(first))
    seconds = min((wait.seconds for wait in waits if isinstance(wait, Wait)), default=None)
    return said if seconds is None else Wait(said.reason, said.message, seconds)


def nothing_left(there: View) -> Stop | None:
    """Nothing is served, and the only model there is has failed."""
    if (failed := there.failed) is None:
        return None
    why = why_failed(failed)
    return Stop(why, f"{failed.get('message', '')}; it is not tried again before the spec or the model changes")


def troubles(found: Any, how_it_ended: str) -> str:
    """Why a model must not serve, by what its preflight found; empty if it may."""
    if not isinstance(found, Mapping) or not found:
        return f"preflight left no result: {how_it_ended}"
    if found.get("ok") is True:
        return ""
    error = found.get("error")
    said = error.get("message") if isinstance(error, Mapping) else error
    golden = found.get("golden") or {}
    return str(said or f"{golden.get('wrong')} of {golden.get('checked')} golden rows are predicted wrongly")


def concluded(row: Row, there: View, plan: Plan, obj: ModelDeployment, trial: Trial | None) -> Row:
    """A row as it is stored: what failed is remembered, with the spec that it failed under."""
    if trial is not None and trial.revision == row["revision"] and "createdTime" not in row:
        row = row | {"createdTime": to_text(datetime.fromtimestamp(trial.began, UTC))}
        engine = trial.found.get("engine")
        row |= {"engine": str(engine)} if engine else {}
    there_is = there.target is not None and row["revision"] == there.target["revision"]
    if there_is and isinstance(plan, Wait) and plan.reason in FAILED:
        failed = {"state": "Failed", "generation": obj.metadata.generation, "reason": str(plan.reason)}
        return row | failed | {"message": plan.message[:1024]}
    return row
