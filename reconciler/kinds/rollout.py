"""Which model a ModelDeployment should serve, and which it does: revisions, champion and challenger. Pure.

A revision is a model that was, is or should be served. What is served is what the routing table says; all else is derived from
that, from the object's status and from the objects that it refers to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from drivers.contract import Seen, Wait
from drivers.objects import LiveObject
from reconciler.kinds import common, processes
from reconciler.kinds.routing import main_route, rolled_back, table
from specs.meta import Reason
from specs.model_deployment import ModelDeployment

Row = dict[str, Any]
REFERENCES = ("experiment", "model")
"""The parts that are where models come from."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that is wanted, and what it is to be served with."""

    digest: str | None
    """None: there is none yet."""
    model_version: str | None = None
    why: str = ""
    wait: Wait | None = None
    """Why there is none, or why a newer one is not taken yet."""
    challenger: Row | None = None
    """How the newest model compares; None: nothing to compare."""
    scoring: tuple[str, str] | None = None
    """Challenger and incumbent that are still to be scored."""
    image: str | None = None
    """The image of an earlier revision that is wanted again; None: that of the spec."""


@dataclass(frozen=True, slots=True)
class View:
    """Where the deployment stands."""

    rows: tuple[Row, ...]
    serving: Row | None
    """The revision that gets the requests."""
    target: Row | None
    """The revision that should; the same, or one that is still to be brought up."""
    choice: Choice

    @property
    def failed(self) -> Row | None:
        """The newest revision, if it failed."""
        return self.rows[-1] if self.rows and self.rows[-1]["state"] == "Failed" else None


@dataclass(frozen=True, slots=True)
class Trial:
    """The last preflight, as it is seen."""

    revision: int
    began: float
    """Unix time."""
    found: Mapping[str, Any]
    """Its result; empty as long as there is none."""
    over: bool


def view(obj: ModelDeployment, seen: Seen) -> View:
    """Derive all of it."""
    rows = [row.model_dump(mode="json", exclude_none=True) for row in obj.status.revisions] if obj.status else []
    serving = _serving(rows, seen)
    if serving is None and obj.spec.swarm is not None:  # somebody took the table away: what it said last is on record
        serving = next((row for row in rows if row["state"] == "Serving"), None)
    for row in rows:
        if row is serving:
            row["state"] = "Serving"
        elif row["state"] == "Serving":
            row["state"] = "Superseded"
    _dated(rows, serving, table(seen).get("switched"))
    for number, why in rolled_back(seen).items():
        _fail(rows, number, why)
    choice = choose(obj, seen, rows, serving)
    target = _target(obj, rows, serving, choice)
    for row in rows:
        if row["state"] == "Pending" and row is not target:
            row["state"] = "Superseded"
    limit, before = obj.spec.revision_history_limit, table(seen).get("previous")  # which may have the requests back
    kept = [row for row in rows[:-limit] if row is serving or row is target or row["revision"] == before] + rows[-limit:]
    return View(tuple(kept), serving, target, choice)


def _dated(rows: list[Row], serving: Row | None, switched: str | None) -> None:
    """Since when and until when each got the requests, by the moment at which the table was last replaced."""
    if serving is None or switched is None:
        return
    serving.setdefault("servedFrom", switched)
    serving.pop("servedUntil", None)
    for row in rows:
        if row is not serving and "servedFrom" in row:
            row.setdefault("servedUntil", switched)


def _fail(rows: list[Row], number: int, why: Mapping[str, Any]) -> None:
    """A revision that served and was taken back: the table says so, whatever else is on record."""
    for row in rows:
        if row["revision"] == number:
            row |= {"state": "Failed", "reason": str(Reason.ROLLED_BACK), **why}


def _serving(rows: list[Row], seen: Seen) -> Row | None:
    if (route := main_route(seen)) is None:
        return None
    for row in rows:
        if row["revision"] == route["revision"]:
            return row
    found = {name: route[name] for name in ("revision", "digest", "image") if route.get(name)} | {"state": "Serving"}
    rows.append(found)
    rows.sort(key=lambda row: int(row["revision"]))
    return found


def _target(obj: ModelDeployment, rows: list[Row], serving: Row | None, choice: Choice) -> Row | None:
    if choice.digest is None:
        return serving
    image = choice.image or (obj.spec.swarm.image if obj.spec.swarm else None)
    if serving is not None and (serving["digest"], serving.get("image")) == (choice.digest, image):
        return serving
    asked = [row for row in rows if (row["digest"], row.get("image")) == (choice.digest, image)]
    newest = [row for row in asked if row["state"] in ("Pending", "Failed")]
    if newest and (newest[-1]["state"] == "Pending" or newest[-1].get("generation") == obj.metadata.generation):
        return newest[-1] if newest[-1]["state"] == "Pending" else serving
    number = max((int(row["revision"]) for row in rows), default=0) + 1
    row: Row = {"revision": number, "digest": choice.digest, "state": "Pending", "message": choice.why}
    if choice.model_version:
        row["modelVersion"] = choice.model_version
    if image:
        row["image"] = image
        if serving is not None and serving["digest"] == choice.digest:
            row["message"] = "the serving image changed"
    rows.append(row)
    return row


def choose(obj: ModelDeployment, seen: Seen, rows: list[Row], serving: Row | None) -> Choice:
    """Say which model should be served."""
    stay = Choice(serving["digest"], serving.get("modelVersion")) if serving else Choice(None)
    wish = obj.spec.rollout
    if wish is not None and wish.revision is not None:
        for row in rows:
            if row["revision"] == wish.revision:
                why = f"`anneal rollout undo` to revision {wish.revision}"
                return Choice(row["digest"], row.get("modelVersion"), why, image=row.get("image"))
        return Choice(stay.digest, wait=Wait(Reason.INVALID_CONFIGURATION, f"there is no revision {wish.revision}", 60.0))
    if wish is not None and wish.paused and serving is not None:
        return replace(stay, image=serving.get("image"))
    if obj.spec.predictor.model.model_version_ref is not None:
        return _of_version(obj, seen, stay)
    return _of_experiment(obj, seen, serving, stay)


def _of_version(obj: ModelDeployment, seen: Seen, stay: Choice) -> Choice:
    ref = obj.spec.predictor.model.model_version_ref
    assert ref is not None
    if missing := common.dependency("ModelVersion", ref.name, seen.get("model")):
        return Choice(stay.digest, stay.model_version, wait=missing)
    live = common.live_object(seen, "model")
    if live is None or not live.status.get("digest"):
        return Choice(stay.digest, stay.model_version, wait=_without(f"ModelVersion/{ref.name}"))
    return Choice(str(live.status["digest"]), ref.name, f"spec.predictor.model names ModelVersion/{ref.name}")


def _of_experiment(obj: ModelDeployment, seen: Seen, serving: Row | None, stay: Choice) -> Choice:
    source = obj.spec.predictor.model.from_experiment
    assert source is not None
    if missing := common.dependency("Experiment", source.name, seen.get("experiment")):
        under_way = obj.status.challenger if obj.status else None
        known = under_way.model_dump(mode="json", exclude_none=True) if under_way else None
        return Choice(stay.digest, stay.model_version, wait=missing, challenger=known)
    live = common.live_object(seen, "experiment")
    assert live is not None
    model = live.status.get("model") or {}
    if not model.get("digest"):
        return Choice(stay.digest, stay.model_version, wait=_without(f"Experiment/{source.name}"))
    newest, name = str(model["digest"]), str(model.get("name"))
    if serving is None:
        return Choice(newest, name, f"the first model of Experiment/{source.name}")
    if newest == serving["digest"]:
        return Choice(newest, name)
    return _compare(obj, seen, live, serving, stay, newest, name)


def _without(whom: str) -> Wait:
    return Wait(Reason.DEPENDENCY_NOT_READY, f"{whom} has no model yet", common.PATIENCE)


def _compare(
    obj: ModelDeployment, seen: Seen, experiment: LiveObject, serving: Row, stay: Choice, newest: str, name: str
) -> Choice:
    """Challenger and incumbent, by their scores on the same rows."""
    table, against = str(experiment.status.get("datasetDigest")), str(serving["digest"])
    objective = experiment.spec.get("objective") or {}
    metric = str(objective.get("objectiveMetricName"))
    row: Row = {"digest": newest, "modelVersion": name, "against": against, "datasetDigest": table, "metric": metric}
    scores = _scores(obj, seen, row)
    if scores is None:
        return Choice(stay.digest, stay.model_version, challenger=row | {"decision": "Scoring"}, scoring=(newest, against))
    row |= {key: value for key, value in scores.items() if value is not None}
    source = obj.spec.predictor.model.from_experiment
    assert source is not None
    agreed = obj.spec.rollout is not None and obj.spec.rollout.promote == newest
    better = beats(scores.get("score"), scores.get("incumbentScore"), objective.get("type") == "maximize", source.min_improvement)
    if not better and not agreed:
        return Choice(stay.digest, stay.model_version, challenger=row | {"decision": "NotBetter"})
    if source.promotion == "Manual" and not agreed:
        return Choice(stay.digest, stay.model_version, challenger=row | {"decision": "AwaitsPromotion"})
    why = f"{metric} {scores.get('score')} against {scores.get('incumbentScore')} on {scores.get('rows')} held-out rows"
    return Choice(newest, name, why, challenger=row | {"decision": "Promoted"})


def _scores(obj: ModelDeployment, seen: Seen, row: Row) -> Row | None:
    """What the scoring of this very pair on this very table found: by its job, else on record."""
    unit = processes.unit_of(seen, "score")
    label = f"{row['digest']} {row['against']} {row['datasetDigest']}"
    if unit is not None and unit.label == label and unit.state == "Exited" and (found := unit.outputs.get("result.json")):
        if found.get("error"):
            return None
        scores: Mapping[str, Any] = found.get("scores") or {}
        challenger, incumbent = (_metric(scores, row[name], row["metric"]) for name in ("digest", "against"))
        return {"score": challenger, "incumbentScore": incumbent, "rows": found.get("rows")}
    known = obj.status.challenger if obj.status else None
    same = ("digest", "against", "dataset_digest", "metric")
    if known is None or known.decision == "Scoring":
        return None
    if tuple(getattr(known, name) for name in same) != (row["digest"], row["against"], row["datasetDigest"], row["metric"]):
        return None
    return {"score": known.score, "incumbentScore": known.incumbent_score, "rows": known.rows}


def _metric(scores: Mapping[str, Any], digest: str, metric: str) -> str | None:
    value = ((scores.get(digest) or {}).get("metrics") or scores.get(digest) or {}).get(metric)
    return f"{value:.6g}" if isinstance(value, int | float) else None


def beats(challenger: str | None, incumbent: str | None, maximize: bool, margin: float) -> bool:
    """Whether the challenger is better by at least `margin`; with a margin of 0, whether it is not worse.

    An incumbent that cannot be scored (the table has lost a column that it needs) is beaten by whoever can.
    """
    if challenger is None:
        return False
    if incumbent is None:
        return True
    gain = float(challenger) - float(incumbent) if maximize else float(incumbent) - float(challenger)
    return gain >= margin - 1e-12


def why_failed(row: Row) -> Reason:
    """What failed of a revision."""
    return Reason(row.get("reason") or Reason.PREFLIGHT_FAILED)
