"""ModelDeployment: the whole of what we know about serving one model and changing it for a better one. Pure.

A new revision is tried out, its workers are started beside those that serve, and once all of them answer the routing table is
replaced in one step; then the old ones end what they have in hand. Until that step nothing changes for anybody who asks, and a
revision that fails before it leaves no trace but a row in the status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.contract import Done, Driver, Plan, Seen, Step, Stop, Wait
from drivers.local.folders import Folder
from drivers.local.unit import Unit
from drivers.swarm.given import HEAD, GivenDriver, hash_of
from drivers.swarm.items import ItemDriver
from drivers.swarm.stack import Stacks
from reconciler.client import SECRETS, ours
from reconciler.engine.clock import from_text, to_text
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import common, processes, serving, telling
from reconciler.kinds.concluding import most_urgent, nothing_left, troubles
from reconciler.kinds.credentials import Credentials
from reconciler.kinds.local import Local
from reconciler.kinds.progress import last_words
from reconciler.kinds.rollout import REFERENCES, Row, Trial, View, view
from reconciler.kinds.scoring import score
from reconciler.kinds.swarm import deployment as swarm_deployment
from reconciler.kinds.swarm import judging as swarm_judging
from reconciler.kinds.swarm import telling as swarm_telling
from reconciler.kinds.telling import Picture
from specs.meta import Reason
from specs.model_deployment import ModelDeployment
from specs.references import CredentialsRef

POLL_SECONDS = 0.25
DRAIN_SECONDS = 2.0
"""How long the workers of the revision before stay after the switch: what was sent to them is on its way."""
OBJECTS = {"experiment": "experiments", "model": "modelversions", "cluster": "swarmclusters"}
MOST_STARTS = 3
"""A worker of a new revision that ends so often has failed."""


@dataclass(frozen=True, slots=True)
class ModelDeploymentKind:
    """How ModelDeployments are reconciled; implements reconciler.engine.kind.Kind."""

    local: Local
    credentials: Credentials
    stacks: Stacks
    """The drivers of each Swarm."""
    resource: type[ModelDeployment] = ModelDeployment

    def references(self, obj: ModelDeployment) -> Iterable[Reference]:
        """The Experiment or the ModelVersion, the SwarmCluster, and the Secret of the broker."""
        source, space = obj.spec.predictor.model, common.namespace(obj)
        if source.from_experiment is not None:
            yield Reference(ours("experiments"), space, source.from_experiment.name)
        if source.model_version_ref is not None:
            yield Reference(ours("modelversions"), space, source.model_version_ref.name)
        if obj.spec.swarm is not None:
            yield Reference(ours("swarmclusters"), space, obj.spec.swarm.cluster_ref.name)
        for given in _given(obj).values():
            if given.secret_key_ref is not None:
                yield Reference(SECRETS, space, given.secret_key_ref.name)

    def provider(self, obj: ModelDeployment) -> str:
        """This machine, or the Swarm."""
        return f"swarm@{common.namespace(obj)}/{obj.spec.swarm.cluster_ref.name}" if obj.spec.swarm else "local"

    def finalizes(self, obj: ModelDeployment) -> bool:
        """Folder and processes, or services."""
        return True

    async def drivers(self, obj: ModelDeployment) -> Mapping[str, Driver[Any]]:
        """Folder, web app, workers, jobs; and where the model comes from, which is only looked at."""
        if obj.spec.swarm is not None:
            return await self._on_swarm(obj)
        folders, units = self.local.serving, self.local.units
        if obj.spec.broker is not None and not obj.metadata.deletion_timestamp:
            address = await self.credentials.read(obj.spec.broker.credentials_ref, common.namespace(obj))
            folders = folders.with_secrets({"broker": address})
        parts: dict[str, Driver[Any]] = {"folder": folders, "web": units, "preflight": units, "score": units}
        parts |= dict.fromkeys(sorted(_workers(obj)), units)
        return parts | self._looked_at(obj)

    async def _on_swarm(self, obj: ModelDeployment) -> Mapping[str, Driver[Any]]:
        assert obj.spec.swarm is not None
        held = await self.stacks.of(obj.spec.swarm.cluster_ref.name, common.namespace(obj))
        values: dict[str, str] = {}
        if not obj.metadata.deletion_timestamp:
            values = {name: await self.credentials.read(ref, common.namespace(obj)) for name, ref in _given(obj).items()}
        secrets = {f"secret/{name}-{hash_of(value, str(obj.metadata.uid))}" for name, value in values.items()}
        if isinstance(own := held["secret"], ItemDriver):
            held = {**held, "secret": own.with_given(values)}
        parts = {part: held[part.partition("/")[0]] for part in sorted(swarm_deployment.wanted_parts(obj) | secrets)}
        told = dict.fromkeys((f"{HEAD}{name}" for name in values), GivenDriver(values))
        parts |= {name: held[name] for name in self.imported(obj) if name not in OBJECTS and name in held}
        return {**parts, "score": self.local.units, **told, **self._looked_at(obj)}

    def _looked_at(self, obj: ModelDeployment) -> dict[str, Driver[Any]]:
        return {name: self.local.objects(OBJECTS[name]) for name in self.imported(obj) if name in OBJECTS}

    def imported(self, obj: ModelDeployment) -> Mapping[str, str]:
        """Where the model comes from, the Swarm, and the URLs that were given."""
        source, space = obj.spec.predictor.model, common.namespace(obj)
        found = {"cluster": f"{space}/{obj.spec.swarm.cluster_ref.name}"} if obj.spec.swarm else {}
        if obj.spec.swarm:
            found[swarm_judging.PART] = swarm_judging.asked(obj)
        if obj.spec.swarm and not obj.metadata.deletion_timestamp:
            found |= {f"{HEAD}{name}": name for name in _given(obj)}
        if source.from_experiment is not None:
            return found | {"experiment": f"{space}/{source.from_experiment.name}"}
        assert source.model_version_ref is not None
        return found | {"model": f"{space}/{source.model_version_ref.name}"}

    def resolve(self, obj: ModelDeployment) -> Mapping[str, Any] | None:
        """What is stored before a revision is begun is its row: see status()."""
        return None

    def plan(self, obj: ModelDeployment, seen: Seen, now: datetime) -> Plan:
        """From what is seen to the wanted model being served."""
        if obj.spec.swarm is not None:
            return swarm_deployment.plan(obj, seen, now, self.local)
        if blind := common.blind(seen):
            return blind
        folder = serving.folder_of(seen)
        if folder is None:
            return (Step("create", "folder", "it has no folder yet", serving.make_folder(self.local, obj)),)
        if (want := serving.stale(self.local, obj, folder)) is not None:
            return (Step("update", "folder", "its configuration changed", {"documents": {"config.json": want}}, ref=folder.id),)
        there = view(obj, seen)
        waits: list[Wait | Stop] = []
        for doing in self._concerns(obj, folder, there, seen, now):
            if isinstance(doing, tuple):
                return doing
            if isinstance(doing, Wait | Stop):
                waits.append(doing)
        if waits:
            return most_urgent(waits)
        return Done(telling.line(_picture(obj, folder, seen)))

    def teardown(self, obj: ModelDeployment, seen: Seen, now: datetime) -> Plan:
        """The web app first, so that nothing new comes in; then the workers; then the folder."""
        if obj.spec.swarm is not None:
            return swarm_deployment.teardown(obj, seen, now)
        mine = {part: observation for part, observation in seen.items() if part not in REFERENCES}
        if blind := common.blind(mine):
            return blind
        for parts in (["web"], [part for part in mine if part not in ("web", "folder")], ["folder"]):
            ending = processes.gone(parts, mine, now, "the ModelDeployment is being deleted")
            if not isinstance(ending, Done):
                return ending
        return Done()

    def status(self, obj: ModelDeployment, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """Where it answers, what it serves, what was served."""
        if obj.spec.swarm is not None:
            return swarm_telling.status(obj, seen, plan)
        return telling.status(_picture(obj, serving.folder_of(seen), seen), plan)

    def verdicts(self, obj: ModelDeployment, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready, Available, Preflight, Promoted, RolledBack."""
        if obj.spec.swarm is not None:
            yield from swarm_telling.verdicts(obj, seen, plan)
            return
        yield from telling.verdicts(_picture(obj, serving.folder_of(seen), seen), plan)

    # --- what there is to see to, the most urgent first ----------------------------------------------------------------

    def _concerns(self, obj: ModelDeployment, folder: Folder, there: View, seen: Seen, now: datetime) -> Iterator[Plan | None]:
        yield serving.other_port(obj, folder, processes.unit_of(seen, "web"))
        yield processes.run("web", serving.web(self.local, obj, folder), seen, now, "no web app runs")
        if there.serving is not None:
            yield from self._keep(obj, folder, there.serving, seen, now)
        yield score(self.local, there, seen, now)
        if there.target is not None and there.target is not there.serving:
            yield self._bring_up(obj, folder, there.target, seen, now)
        elif there.target is None:
            yield there.choice.wait or nothing_left(there)
        yield self._surplus(obj, folder, there, seen, now)
        yield _not_up_yet(obj, folder, there, seen)

    def _keep(self, obj: ModelDeployment, folder: Folder, row: Row, seen: Seen, now: datetime) -> Iterator[Plan | None]:
        """Keep the workers of a revision running; those with an old specification go one at a time."""
        replicas = obj.spec.predictor.min_replicas
        whole = serving.workers_ready(folder, seen, row["revision"], replicas) == replicas
        for index in range(replicas):
            part = serving.worker_part(row["revision"], index)
            doing = processes.run(part, serving.worker(self.local, obj, folder, row, index), seen, now, "a worker is missing")
            unit = processes.unit_of(seen, part)
            if isinstance(doing, tuple) and doing[0].verb == "delete" and unit and unit.state == "Running" and not whole:
                continue
            yield doing

    def _bring_up(self, obj: ModelDeployment, folder: Folder, row: Row, seen: Seen, now: datetime) -> Plan | None:
        """Try the model out, start its workers, and give it the requests."""
        number = row["revision"]
        want, unit = serving.preflight(self.local, folder, row), processes.unit_of(seen, "preflight")
        if unit is not None and unit.digest == want.digest and (trouble := _hangs_or_dies(unit, obj, now)):
            return Wait(Reason.PREFLIGHT_FAILED, f"revision {number}: {trouble}", 0.05)
        if (doing := processes.run("preflight", want, seen, now, f"revision {number} is to be tried out")) is not None:
            return doing
        assert unit is not None
        if unit.state == "Running":
            return Wait(Reason.CHECKING, f"trying revision {number} out", 2.0)
        if trouble := _troubles(unit):
            return Wait(Reason.PREFLIGHT_FAILED, f"revision {number}: {trouble}", 0.05)
        replicas = obj.spec.predictor.min_replicas
        for index in range(replicas):
            part = serving.worker_part(number, index)
            if (worker := processes.unit_of(seen, part)) and worker.starts >= MOST_STARTS and worker.state == "Exited":
                said = serving.said_by(folder, number, index) or last_words(worker)
                return Wait(Reason.ROLLOUT_FAILED, f"revision {number}: its worker ended {worker.starts} times: {said}", 0.05)
            specification = serving.worker(self.local, obj, folder, row, index)
            if (doing := processes.run(part, specification, seen, now, f"revision {number} needs workers")) is not None:
                return doing
        ready = serving.workers_ready(folder, seen, number, replicas)
        if ready < replicas:
            since = now.timestamp() - (unit.ended or unit.started)
            if since > obj.spec.progress_deadline_seconds:
                late = f"{ready} of {replicas} workers answer after {since:.0f} s"
                return Wait(Reason.ROLLOUT_FAILED, f"revision {number}: {late}", 0.05)
            return Wait(Reason.ROLLING_OUT, f"revision {number}: {ready}/{replicas} workers", POLL_SECONDS)
        route = {"revision": number, "digest": row["digest"], "queue": f"r{number}", "weight": 100}
        table = {"revisions": [route], "switched": to_text(now)}
        why = f"all workers of revision {number} answer: it gets the requests"
        return (Step("update", "folder", why, {"documents": {"routes.json": table}}, ref=folder.id),)

    def _surplus(self, obj: ModelDeployment, folder: Folder, there: View, seen: Seen, now: datetime) -> Plan | None:
        """End the workers that nobody wants any more, once what was sent to them was answered."""
        replicas = obj.spec.predictor.min_replicas
        wanted = {
            serving.worker_part(row["revision"], index)
            for row in (there.serving, there.target)
            if row
            for index in range(replicas)
        }
        extra = [part for part in seen if serving.revision_of(part) is not None and part not in wanted]
        preflight = processes.unit_of(seen, "preflight")
        if there.failed and preflight and preflight.state != "Exited":
            extra.append("preflight")
        ending = processes.gone(extra, seen, now, "no requests go to it any more")
        if isinstance(ending, Done):
            return None
        switched = (folder.documents.get("routes.json") or {}).get("switched")
        left = DRAIN_SECONDS - (now - from_text(switched)).total_seconds() if switched else 0.0
        return Wait(Reason.ROLLING_OUT, "the revision before is ending", left) if left > 0 else ending


def _given(obj: ModelDeployment) -> dict[str, CredentialsRef]:
    """Where the secrets are read from that tell of what is others', by what it is."""
    if obj.spec.swarm is None:
        return {"broker": obj.spec.broker.credentials_ref} if obj.spec.broker else {}
    swarm = obj.spec.swarm
    found = {"broker": swarm.broker.credentials_ref, "store": swarm.store.credentials_ref, "models": swarm.models.credentials_ref}
    return {name: ref for name, ref in found.items() if ref is not None}


def _workers(obj: ModelDeployment) -> set[str]:
    """The workers that are wanted, on record, or about to be."""
    if obj.status is None:
        return set()
    names = {row.name for row in obj.status.parts} | {row.part for row in obj.status.intents}
    found = {name for name in names if name.startswith("worker/")}
    for row in obj.status.revisions:
        if row.state in ("Pending", "Serving"):
            found |= {serving.worker_part(row.revision, index) for index in range(obj.spec.predictor.min_replicas)}
    return found


def _not_up_yet(obj: ModelDeployment, folder: Folder, there: View, seen: Seen) -> Wait | None:
    if not serving.web_ready(folder, seen):
        return Wait(Reason.STARTING, "the web app is starting", POLL_SECONDS)
    replicas = obj.spec.predictor.min_replicas
    if there.serving is not None and serving.workers_ready(folder, seen, there.serving["revision"], replicas) < replicas:
        return Wait(Reason.STARTING, "workers are starting", POLL_SECONDS * 2)
    return None


def _hangs_or_dies(unit: Unit, obj: ModelDeployment, now: datetime) -> str:
    """Why a preflight that gives no answer is not waited for any more; empty if it is."""
    since = now.timestamp() - unit.started
    if unit.state == "Running" and since > obj.spec.progress_deadline_seconds:
        return f"its preflight gives no answer after {since:.0f} s"
    if unit.state == "Exited" and unit.code is None and not unit.stopped and unit.starts >= MOST_STARTS:
        return f"its preflight died {unit.starts} times; {unit.how_it_ended}: {last_words(unit)}"
    return ""


def _troubles(unit: Unit) -> str:
    """Why a model must not serve; empty if it may."""
    return troubles(unit.outputs.get("result.json"), f"{unit.how_it_ended}: {last_words(unit)}")


def _picture(obj: ModelDeployment, folder: Folder | None, seen: Seen) -> Picture:
    """Where it answers, how many workers, whether requests are answered."""
    there = view(obj, seen)
    trial, serves, replicas = _trial(there, seen), there.serving, obj.spec.predictor.min_replicas
    if folder is None:
        return Picture(obj, there, seen, trial, "", 0, available=False)
    ready = serving.workers_ready(folder, seen, serves["revision"], replicas) if serves is not None else 0
    up = serves is not None and serving.web_ready(folder, seen) and (replicas == 0 or ready > 0)
    return Picture(obj, there, seen, trial, serving.url(obj, folder), ready, up)


def _trial(there: View, seen: Seen) -> Trial | None:
    """The last preflight."""
    unit = processes.unit_of(seen, "preflight")
    if unit is None:
        return None
    rows = [row for row in there.rows if unit.label == serving.preflight_label(row)]
    number = rows[-1]["revision"] if rows else -1
    return Trial(number, unit.started, unit.outputs.get("result.json") or {}, unit.state == "Exited")
