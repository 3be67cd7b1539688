"""What is said of a ModelDeployment, on whatever it runs: its status, one line, its conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from drivers.contract import Plan, Seen, Stop, Wait
from drivers.objects import LiveObject
from reconciler.engine.events import ON_THE_WAY
from reconciler.engine.kind import Verdict
from reconciler.kinds import common
from reconciler.kinds.concluding import concluded
from reconciler.kinds.rollout import REFERENCES, Row, Trial, View, why_failed
from specs.meta import Reason
from specs.model_deployment import ModelDeployment

WORTH_SAYING = (Reason.NOT_BETTER, Reason.AWAITS_PROMOTION, Reason.DEPENDENCY_NOT_READY, Reason.DEPENDENCY_NOT_FOUND)
"""Why the newest model is not served, beside a model that is."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is seen of a deployment, on whatever it runs."""

    obj: ModelDeployment
    there: View
    seen: Seen
    trial: Trial | None
    url: str
    """Where requests are answered; empty while that is not known."""
    ready: int
    """Workers of the revision that serves which answer."""
    available: bool
    """Whether requests are answered."""


def status(picture: Picture, plan: Plan) -> dict[str, Any]:
    """Where it answers, what it serves, what was served."""
    obj, there = picture.obj, picture.there
    out: dict[str, Any] = {"revisions": [concluded(row, there, plan, obj, picture.trial) for row in there.rows]}
    if there.choice.challenger is not None:
        out["challenger"] = there.choice.challenger
    if picture.url:
        out["url"] = picture.url
    if (row := there.serving) is not None:
        out |= {"revision": row["revision"], "digest": row["digest"], "modelVersion": row.get("modelVersion")}
        out |= {"replicas": obj.spec.predictor.min_replicas, "readyReplicas": picture.ready}
    return out


def verdicts(picture: Picture, plan: Plan) -> Iterable[Verdict]:
    """Ready, Available, Preflight, Promoted, RolledBack."""
    there = picture.there
    said = line(picture) if picture.available else ""
    if said and isinstance(plan, Wait | Stop):
        said = f"{said}; {plan.message}"
    ready = Verdict("Ready", "True", Reason.AVAILABLE, said) if said else common.ready(picture.seen, plan, Reason.AVAILABLE)
    yield ready
    yield Verdict("Available", ready.status, ready.reason, ready.message)
    yield tried_out(there, picture.trial, plan)
    yield promoted(picture.obj, there, picture.seen)
    yield taken_back(there)


def line(picture: Picture) -> str:
    """One line: where, what, how many; and what became of the newest model, where it is not that."""
    row = picture.there.serving
    if row is None:
        return picture.url
    workers = f"{picture.ready}/{picture.obj.spec.predictor.min_replicas} workers"
    return "; ".join([f"{picture.url}, revision {row['revision']}, {workers}", *_note(picture.obj, picture.there, picture.seen)])


def _note(obj: ModelDeployment, there: View, seen: Seen) -> list[str]:
    """What became of the newest model, where it is not the one that is served."""
    parts = []
    if failed := there.failed:
        parts.append(f"revision {failed['revision']} failed: {failed.get('message', '')}")
    decided = promoted(obj, there, seen)
    if decided.status == "False" and decided.reason in WORTH_SAYING:
        parts.append(decided.message)
    if obj.spec.rollout and (obj.spec.rollout.paused or obj.spec.rollout.revision is not None):
        parts.append("rollouts are paused; `anneal rollout resume` lets them go on")
    return parts


def promoted(obj: ModelDeployment, there: View, seen: Seen) -> Verdict:
    """Whether the newest model is the one that is served, and if not, who decided so."""
    wish, served, other = obj.spec.rollout, there.serving, there.choice.challenger
    if wish and (wish.paused or wish.revision is not None):
        return Verdict("Promoted", "Unknown", Reason.PAUSED, "rollouts are paused; `anneal rollout resume` lets them go on")
    if failed := there.failed:
        return Verdict("Promoted", "False", why_failed(failed), str(failed.get("message", "")))
    if served is None or (there.target is not None and there.target is not served):
        return Verdict("Promoted", "False", Reason.ROLLING_OUT, "the newest model is not served yet")
    if (wait := there.choice.wait) is not None:
        if any(live.condition().get("reason") in ON_THE_WAY for live in _sources(seen)):
            return Verdict("Promoted", "Unknown", wait.reason, "the next model is on its way")
        return Verdict("Promoted", "False", wait.reason, wait.message)
    if other is None or other["digest"] == served["digest"]:
        return Verdict("Promoted", "True", Reason.AVAILABLE, "the newest model is served")
    name, scores = other.get("modelVersion"), f"{other.get('metric')} {other.get('score')} against {other.get('incumbentScore')}"
    if other["decision"] == "NotBetter":
        return Verdict("Promoted", "False", Reason.NOT_BETTER, f"{name} is not better ({scores})")
    if other["decision"] == "AwaitsPromotion":
        message = f"{name} is better ({scores}) and waits for `anneal rollout promote`"
        return Verdict("Promoted", "False", Reason.AWAITS_PROMOTION, message)
    return Verdict("Promoted", "Unknown", Reason.CHECKING, f"{name} is being scored against the served one")


def taken_back(there: View) -> Verdict:
    """Whether the newest revision failed and the one before serves on: both, by model and image."""
    failed, served = there.failed, there.serving
    if failed is None or served is None:
        return Verdict("RolledBack", "False", Reason.CONVERGED, "no newer revision has failed")
    said = f"{_named(failed)} failed ({why_failed(failed)}); {_named(served)} serves: {failed.get('message', '')}"
    return Verdict("RolledBack", "True", Reason.ROLLED_BACK, said)


def _named(row: Row) -> str:
    image = f", image {row['image']}" if row.get("image") else ""
    return f"revision {row['revision']} (model {row['digest']}{image})"


def tried_out(there: View, trial: Trial | None, plan: Plan) -> Verdict:
    """What came of the last preflight."""
    if isinstance(plan, Wait) and plan.reason is Reason.PREFLIGHT_FAILED:
        return Verdict("Preflight", "False", Reason.PREFLIGHT_FAILED, plan.message)
    if (failed := there.failed) and why_failed(failed) is Reason.PREFLIGHT_FAILED:
        return Verdict("Preflight", "False", Reason.PREFLIGHT_FAILED, str(failed.get("message", "")))
    if trial is None:
        return Verdict("Preflight", "Unknown", Reason.PENDING, "no model was tried out yet")
    if not trial.over:
        return Verdict("Preflight", "Unknown", Reason.CHECKING, "a model is being tried out")
    found = trial.found
    latency = (found.get("latencyMs") or {}).get("p50")
    golden = found.get("golden") or {}
    said = f"{golden.get('checked')} golden rows, {found.get('engine')}" + (f", {latency:.2g} ms a row" if latency else "")
    return Verdict("Preflight", "True", Reason.PREFLIGHT_PASSED, said)


def _sources(seen: Seen) -> list[LiveObject]:
    """Where models come from, as far as it is there."""
    return [live for part in REFERENCES if (live := common.live_object(seen, part)) is not None]
