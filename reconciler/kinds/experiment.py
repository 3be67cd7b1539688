"""Experiment: the whole of what we know about wanting the best model of a table. Pure; a job of its own does the work.

The job is a part that is told apart by its run: a hash of table, code and spec. A changed table is another run, and another job;
a raised count is the same run, and the same job goes on. What the job says of itself is in progress.py, its request in run.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.contract import Absent, Done, Driver, Plan, Present, Seen, Step, Stop, Wait
from drivers.local.unit import Unit, UnitSpec
from reconciler.client import ours
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import common, processes, progress
from reconciler.kinds.local import Local
from reconciler.kinds.run import Run, job
from specs.experiment import Experiment
from specs.meta import Reason

PROGRESS_POLL_SECONDS = 1.0
TRY_AGAIN = ("RayUnreachable", "Interrupted")
"""Errors of a job that another attempt may mend: finished trials are kept."""


@dataclass(frozen=True, slots=True)
class ExperimentKind:
    """How Experiments are reconciled; implements reconciler.engine.kind.Kind."""

    local: Local
    code_digest: str
    """Of the code that trains: other code is another run."""
    resource: type[Experiment] = Experiment

    def references(self, obj: Experiment) -> Iterable[Reference]:
        """The table and the cluster."""
        yield Reference(ours("datasets"), common.namespace(obj), obj.spec.dataset_ref.name)
        yield Reference(ours("rayclusters"), common.namespace(obj), obj.spec.cluster_ref.name)

    def provider(self, obj: Experiment) -> str:
        """The job is a process of this machine."""
        return "local"

    def finalizes(self, obj: Experiment) -> bool:
        """The job and its folder."""
        return True

    async def drivers(self, obj: Experiment) -> Mapping[str, Driver[Any]]:
        """The job; the models it made; the table and the cluster, which are only looked at."""
        objects, recorded = self.local.objects, model_parts(obj)
        looked_at: dict[str, Driver[Any]] = {"dataset": objects("datasets"), "cluster": objects("rayclusters")}
        return {"job": self.local.units, **dict.fromkeys(recorded, objects("modelversions")), **looked_at}

    def imported(self, obj: Experiment) -> Mapping[str, str]:
        """The table and the cluster."""
        space = common.namespace(obj)
        return {"dataset": f"{space}/{obj.spec.dataset_ref.name}", "cluster": f"{space}/{obj.spec.cluster_ref.name}"}

    def resolve(self, obj: Experiment) -> Mapping[str, Any] | None:
        """What is stored before the job starts is the run: see status()."""
        return None

    def plan(self, obj: Experiment, seen: Seen, now: datetime) -> Plan:
        """From what is seen to the best model of the table as it is now."""
        if blind := common.blind(seen):
            return blind
        if missing := common.dependency("Dataset", obj.spec.dataset_ref.name, seen.get("dataset")):
            return missing
        run = Run.of(obj, seen, self.code_digest)
        if run is None:
            return Wait(Reason.DEPENDENCY_NOT_READY, "the table has no content yet", common.PATIENCE)
        if isinstance(run, Stop):
            return run
        unit = processes.unit_of(seen, "job")
        if unit is not None and unit.label != run.id:
            return processes.gone(("job",), seen, now, "the table, the code or the spec changed: it is another run")
        if unit is None or unit.state == "Exited":
            return self._idle(obj, run, unit, seen, now)
        if unit.state == "Stopping":
            return processes.stopping("job", unit, now)
        if unit.counts != run.counts:
            return (Step("update", "job", "its counts changed: it goes on with the new ones", {"stop": True}, ref=unit.id),)
        return Wait(Reason.TRAINING, progress.line(obj, unit), PROGRESS_POLL_SECONDS)

    def teardown(self, obj: Experiment, seen: Seen, now: datetime) -> Plan:
        """The job ends and its folder goes; the models go with the object, by their owner references."""
        mine = {part: observation for part, observation in seen.items() if part not in ("dataset", "cluster")}
        if blind := common.blind(mine):
            return blind
        return processes.gone(sorted(mine), mine, now, "the Experiment is being deleted")

    def status(self, obj: Experiment, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """The run, how far it is, what it made."""
        run = Run.of(obj, seen, self.code_digest)
        if not isinstance(run, Run):
            return {}
        return progress.status(obj, run, processes.unit_of(seen, "job"), plan)

    def verdicts(self, obj: Experiment, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready, Succeeded, and one for each stage."""
        ready = common.ready(seen, plan, Reason.SUCCEEDED)
        yield ready
        yield Verdict("Succeeded", ready.status, ready.reason, ready.message)
        yield from progress.stages(processes.unit_of(seen, "job"))

    def _idle(self, obj: Experiment, run: Run, unit: Unit | None, seen: Seen, now: datetime) -> Plan:
        """No job is at work: start it, start it again, or see to what it made."""
        result = progress.result(unit)
        if unit is not None and result is not None and unit.counts == run.counts:
            if not (error := result.get("error")):
                return self._made(obj, run, result, seen)
            if error["reason"] not in TRY_AGAIN:
                known = Reason.RESTORE_UNAVAILABLE if error["reason"] == "RestoreUnavailable" else Reason.TRAINING_FAILED
                return Stop(known, f"{error['message']}. Change the table or the spec to try again")
        if missing := common.dependency("RayCluster", obj.spec.cluster_ref.name, seen.get("cluster")):
            return missing
        return self._start(obj, unit, job(self.local, obj, run, seen), now)

    def _start(self, obj: Experiment, unit: Unit | None, want: UnitSpec, now: datetime) -> Plan:
        if unit is None:
            return (Step("create", "job", "the table was not searched yet", want.change()),)
        if unit.counts != want.counts:
            return (Step("update", "job", "its counts changed: it goes on with the new ones", want.change(), ref=unit.id),)
        if unit.starts > obj.spec.backoff_limit and not unit.stopped:
            said = progress.last_words(unit)
            return Stop(Reason.TRAINING_FAILED, f"the job died {unit.starts} times; {unit.how_it_ended}: {said}")
        return processes.restart("job", want, unit, now)

    def _made(self, obj: Experiment, run: Run, result: Mapping[str, Any], seen: Seen) -> Plan:
        """The job has made a model: it becomes a ModelVersion, and the oldest goes."""
        part = model_part(result["modelDigest"])
        match seen.get(part):
            case None:  # it stands in the status from this pass on, and is looked at in the next one
                return Wait(Reason.PENDING, "the job has made a model", 0.02)
            case Absent():
                change = {"name": run.model_name(obj, result["modelDigest"]), "spec": {"digest": result["modelDigest"]}}
                return (Step("create", part, "the experiment made this model", change),)
            case Present(live=model) if not model.ready:
                said = model.condition()
                reason = Reason(said["reason"]) if said.get("status") == "False" else Reason.CHECKING
                return Wait(reason, f"ModelVersion/{model.name}: {said.get('message') or 'being verified'}", common.PATIENCE)
        recorded = [name for name in model_parts(obj) if isinstance(seen.get(name), Present)]
        if len(recorded) > obj.spec.model_history_limit:
            oldest = min((name for name in recorded if name != part), key=lambda name: created(seen, name))
            return (Step("delete", oldest, "modelHistoryLimit", ref=seen[oldest].ref, destroys="its record; the model stays"),)  # type: ignore[union-attr]
        return Done(progress.summary(obj, result))


def model_part(digest: str) -> str:
    """The part that is the ModelVersion of this model."""
    return f"model/{digest.removeprefix('sha256:')[:8]}"


def model_parts(obj: Experiment) -> list[str]:
    """The ModelVersions on record, or about to be."""
    if obj.status is None:
        return []
    names = {row.name for row in obj.status.parts} | {row.part for row in obj.status.intents}
    if obj.status.model is not None:
        names.add(model_part(obj.status.model.digest))
    return sorted(name for name in names if name.startswith("model/"))


def created(seen: Seen, part: str) -> str:
    """When the ModelVersion of a part was made."""
    match seen[part]:
        case Present(live=live):
            return str(live.object["metadata"].get("creationTimestamp"))
    return ""
