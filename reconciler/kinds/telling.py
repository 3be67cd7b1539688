"""What is said of a ModelDeployment: one line, and its conditions. Pure."""

from __future__ import annotations

from drivers.contract import Plan, Seen, Wait
from drivers.local.folders import Folder
from drivers.objects import LiveObject
from reconciler.engine.events import ON_THE_WAY
from reconciler.engine.kind import Verdict
from reconciler.kinds import common, serving
from reconciler.kinds.rollout import REFERENCES, Row, Trial, View
from specs.meta import Reason
from specs.model_deployment import ModelDeployment

WORTH_SAYING = (Reason.NOT_BETTER, Reason.AWAITS_PROMOTION, Reason.DEPENDENCY_NOT_READY, Reason.DEPENDENCY_NOT_FOUND)
"""Why the newest model is not served, beside a model that is."""


def available(obj: ModelDeployment, folder: Folder, there: View, seen: Seen) -> bool:
    """Whether requests are answered."""
    if there.serving is None or not serving.web_ready(folder, seen):
        return False
    replicas = obj.spec.predictor.min_replicas
    return replicas == 0 or serving.workers_ready(folder, seen, there.serving["revision"], replicas) > 0


def line(obj: ModelDeployment, folder: Folder, there: View, seen: Seen) -> str:
    """One line: where, what, how many; and what became of the newest model, where it is not that."""
    if there.serving is None:
        return serving.url(obj, folder)
    replicas, number = obj.spec.predictor.min_replicas, there.serving["revision"]
    ready = serving.workers_ready(folder, seen, number, replicas)
    parts = [f"{serving.url(obj, folder)}, revision {number}, {ready}/{replicas} workers"]
    return "; ".join([*parts, *note(obj, there, seen)])


def note(obj: ModelDeployment, there: View, seen: Seen) -> list[str]:
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


def why_failed(row: Row) -> Reason:
    """What failed of a revision."""
    return Reason(row.get("reason") or Reason.PREFLIGHT_FAILED)


def _sources(seen: Seen) -> list[LiveObject]:
    """Where models come from, as far as it is there."""
    return [live for part in REFERENCES if (live := common.live_object(seen, part)) is not None]
