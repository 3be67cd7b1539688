"""What an Experiment's job says of itself, as status, conditions and one line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from drivers.contract import Plan
from drivers.local.unit import Unit
from reconciler.engine.clock import to_text
from reconciler.engine.kind import Verdict
from reconciler.kinds import common
from reconciler.kinds.run import Run
from specs.experiment import Experiment
from specs.meta import Reason

STATES: Mapping[str, tuple[Any, Reason]] = {
    "Pending": ("Unknown", Reason.PENDING),
    "Running": ("False", Reason.TRAINING),
    "Succeeded": ("True", Reason.SUCCEEDED),
    "Skipped": ("True", Reason.NOT_REQUIRED),
    "Failed": ("False", Reason.TRAINING_FAILED),
}
MAX_FEATURES = 200


def result(unit: Unit | None) -> Mapping[str, Any] | None:
    """What the job left, once it has ended; None if it died before. What an earlier start left is cleared by the next."""
    if unit is None or unit.state != "Exited":
        return None
    found = unit.outputs.get("result.json")
    return found if isinstance(found, Mapping) else None


def of(unit: Unit | None) -> Mapping[str, Any]:
    """How far the job is; empty before it said anything."""
    found = unit.outputs.get("progress.json") if unit else None
    return found if isinstance(found, Mapping) else {}


def line(obj: Experiment, unit: Unit) -> str:
    """One line for the table: the stage, the trials, the best."""
    now = of(unit)
    parts = [str(now.get("stage") or "starting").lower()]
    trials = now.get("trials") or {}
    if done := int(trials.get("succeeded") or 0) + int(trials.get("failed") or 0) + int(trials.get("earlyStopped") or 0):
        parts.append(f"{done}/{obj.spec.max_trial_count} trials")
    elif rows := now.get("candidates"):
        over = sum(row.get("state") not in ("Pending", "Running") for row in rows)
        parts.append(f"{over}/{len(rows)} candidates")
    if best := _best(obj, now):
        parts.append(best)
    if unit.starts > 1:
        parts.append(f"started {unit.starts} times")
    return ", ".join(parts)


def summary(obj: Experiment, found: Mapping[str, Any]) -> str:
    """One line when it is over: trials, the best, what it scores on rows it never saw."""
    metric = obj.spec.objective.objective_metric_name
    status = obj.status
    done = (status.trials_succeeded or 0) + (status.trials_early_stopped or 0) if status else 0
    held = (found.get("heldout") or found.get("metrics") or {}).get(metric)
    best = status.current_optimal_trial.best_trial_name if status and status.current_optimal_trial else ""
    parts = [f"{done}/{obj.spec.max_trial_count} trials"]
    if held is not None:
        parts.append(f"{metric} {held:.4g} on rows it never saw" + (f" ({best})" if best else ""))
    return ", ".join(parts)


def _best(obj: Experiment, now: Mapping[str, Any]) -> str:
    best, metric = now.get("best") or {}, obj.spec.objective.objective_metric_name
    value = (best.get("metrics") or {}).get(metric)
    return f"best {metric} {value:.4g} ({best.get('trial')})" if isinstance(value, int | float) else ""


def status(obj: Experiment, run: Run, unit: Unit | None, plan: Plan) -> dict[str, Any]:
    """The kind's own fields. What is about to be started is recorded before it is."""
    before = obj.status if obj.status and obj.status.run_id == run.id else None
    attempt = unit.starts if unit and unit.label == run.id else 0
    if (
        isinstance(plan, tuple)
        and plan[0].part == "job"
        and plan[0].verb in ("create", "update")
        and not plan[0].change.get("stop")
    ):
        attempt += 1
    out: dict[str, Any] = {
        "runId": run.id,
        "attempt": attempt,
        "submissionId": f"{run.id}-{attempt}",
        "datasetDigest": run.dataset["digest"],
        "resolved": {
            "dataset": {key: run.dataset[key] for key in ("path", "digest", "target", "types")},
            "code": run.code,
            "counts": run.counts,
        },
    }
    if before is None:
        cleared = ("stage", "startTime", "completionTime", "currentOptimalTrial")
        out |= dict.fromkeys(cleared) | {"candidates": [], "features": [], "failedTrials": []}
        out |= dict.fromkeys(("trials", "trialsSucceeded", "trialsFailed", "trialsRunning", "trialsEarlyStopped"), 0)
    if unit is None or unit.label != run.id:
        return out
    if before is None or before.start_time is None:
        out["startTime"] = _time(unit.started)
    out |= _counts(of(unit)) | _ended(obj, run, unit)
    return out


def stages(unit: Unit | None) -> Iterable[Verdict]:
    """A condition per stage, as the job names them."""
    for row in of(unit).get("stages") or ():
        name = str(row.get("name") or "")
        state, reason = STATES.get(str(row.get("state")), ("Unknown", Reason.PENDING))
        if name.isalpha():
            yield Verdict(f"{name[0].upper()}{name[1:]}Done", state, reason, str(row.get("message") or "")[:1024])


def last_words(unit: Unit) -> str:
    """The end of its log, in one line."""
    lines = [line.strip() for line in unit.last_words.splitlines() if line.strip()]
    return " · ".join(lines[-3:])[-500:] or "it said nothing; see its log with `anneal logs`"


def _counts(now: Mapping[str, Any]) -> dict[str, Any]:
    if not now:
        return {}
    trials, best = now.get("trials") or {}, now.get("best")
    out: dict[str, Any] = {
        "stage": now.get("stage"),
        "trials": trials.get("total"),
        "trialsSucceeded": trials.get("succeeded"),
        "trialsFailed": trials.get("failed"),
        "trialsRunning": trials.get("running"),
        "trialsEarlyStopped": trials.get("earlyStopped"),
        "candidates": [_candidate(row) for row in (now.get("candidates") or ())[:64]],
        "features": [_feature(row) for row in (now.get("features") or ())[:MAX_FEATURES]],
        "failedTrials": [str(row)[:1024] for row in (now.get("failures") or ())[-16:]],
    }
    if best:
        parameters = (best.get("parameters") or {}).items()
        out["currentOptimalTrial"] = {
            "bestTrialName": str(best.get("trial")),
            "candidate": str(best.get("candidate") or ""),
            "parameterAssignments": [{"name": key, "value": _text(value)} for key, value in parameters][:64],
            "observation": {"metrics": common.texts(best.get("metrics"))},
        }
    return out


def _ended(obj: Experiment, run: Run, unit: Unit) -> dict[str, Any]:
    found = result(unit)
    if found is None or found.get("error"):
        return {"completionTime": None} if unit.state != "Exited" else {}
    digest = found["modelDigest"]
    return {
        "completionTime": _time(unit.ended or unit.started),
        "trialsRunning": 0,
        "metrics": common.texts(found.get("heldout") or found.get("metrics")),
        "model": {"name": run.model_name(obj, digest), "digest": digest},
    }


def _candidate(row: Mapping[str, Any]) -> dict[str, Any]:
    score = row.get("score")
    return {
        "name": str(row.get("name")),
        "estimator": str(row.get("estimator") or ""),
        "state": str(row.get("state") or ""),
        "score": None if score is None else f"{score:.6g}",
        "message": str(row.get("message") or "")[:1024],
    }


def _feature(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        return {"name": str(row)[:511], "score": None, "chosen": True}
    score = row.get("score")
    return {
        "name": str(row.get("name"))[:511],
        "score": None if score is None else f"{score:.6g}",
        "chosen": bool(row.get("chosen", True)),
    }


def _text(value: Any) -> str:
    return (f"{value:.6g}" if isinstance(value, float) else str(value))[:255]


def _time(seconds: float) -> str:
    return to_text(datetime.fromtimestamp(seconds, UTC))
