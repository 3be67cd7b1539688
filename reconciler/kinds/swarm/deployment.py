"""ModelDeployment on a Swarm: from what is seen there to the wanted model being served. Pure, but for drivers().

The order is that of the local provider: tried out in the very image that would serve it, workers started beside those that serve,
the routing table replaced in one step, the old ones ended. Two things are added: the shares may grow by steps, and a revision
that fails after it got requests loses them again, which the table itself remembers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from drivers.contract import Absent, Done, Plan, Present, Seen, Step, Stop, Wait
from drivers.swarm.served import Service
from reconciler.kinds import common, processes
from reconciler.kinds.concluding import most_urgent, nothing_left, troubles
from reconciler.kinds.local import Local
from reconciler.kinds.rollout import REFERENCES, View, view
from reconciler.kinds.scoring import score
from reconciler.kinds.swarm import data, judging, letters, serving
from reconciler.kinds.swarm.homes import left, pinned, remembered
from reconciler.kinds.swarm.keeping import POLL_SECONDS, begin_again, how, keep
from reconciler.kinds.swarm.serving import FIXED, Builder, service_of
from reconciler.kinds.swarm.switching import all_to, next_share, routes_kept, switched_at, taken_back
from reconciler.kinds.swarm.telling import picture
from reconciler.kinds.telling import line
from specs.meta import Reason
from specs.model_deployment import ModelDeployment

DRAIN_SECONDS = 5.0
"""How long the workers of the revision before stay after the switch: what was sent to them is on its way."""
WATCH_SECONDS = 1.0
"""How often a new revision is looked at while the one before stays ready: it may have to take over."""
MOST_BROKEN = 3
"""A revision whose tasks failed so often while they were started has failed."""


def wanted_parts(obj: ModelDeployment) -> set[str]:
    """Every part that is wanted, on record or about to be."""
    found = {"network", *FIXED, *serving.texts(obj), *data.secrets(serving.swarm_of(obj))}
    found |= {f"service/{name}" for name in data.keepers(serving.swarm_of(obj))}
    found |= letters.parts(obj)
    if obj.status is None:
        return found
    found |= {row.name for row in obj.status.parts} | {row.part for row in obj.status.intents}
    for row in obj.status.revisions:
        if row.state in ("Pending", "Serving"):
            found |= {serving.model_part(obj, row.digest), serving.workers_part(row.revision)}
        if row.state == "Pending":
            found.add(serving.preflight_part(row.revision))
    return {part for part in found if part.partition("/")[0] in ("network", "secret", "config", "service")}


def plan(obj: ModelDeployment, seen: Seen, now: datetime, local: Local) -> Plan:
    """From what is seen to the wanted model being served."""
    if blind := common.blind(seen):
        return blind
    cluster = common.live_object(seen, "cluster")
    if cluster is None or not cluster.status.get("publishMode"):
        missing = common.dependency("SwarmCluster", serving.swarm_of(obj).cluster_ref.name, seen.get("cluster"))
        return missing or Wait(Reason.DEPENDENCY_NOT_READY, "the SwarmCluster was not looked at yet", common.PATIENCE)
    there, waits = view(obj, seen), []
    if (first := _ground(obj, seen, there)) is not None:
        return first
    for doing in _concerns(obj, there, seen, now, local, Builder(obj, seen, cluster.status["publishMode"])):
        if isinstance(doing, tuple):
            return doing
        if isinstance(doing, Wait | Stop):
            waits.append(doing)
    return most_urgent(waits) if waits else Done(line(picture(obj, seen)))


def teardown(obj: ModelDeployment, seen: Seen, now: datetime) -> Plan:
    """The entry first, so that nothing new comes in; then all services; then what they used."""
    mine = {part: observation for part, observation in seen.items() if part not in (*REFERENCES, "cluster", judging.PART)}
    if blind := common.blind(mine):
        return blind
    why = "the ModelDeployment is being deleted"
    services = [part for part in mine if part.startswith("service/")]
    rest = [part for part in mine if part.partition("/")[0] in ("config", "secret")]
    for parts in (["service/entry"], ["score", *services], rest, ["network"]):
        ending = processes.gone([part for part in parts if part in mine], mine, now, why)
        if not isinstance(ending, Done):
            return ending
    return Done()


# --- what all services stand on ------------------------------------------------------------------------------------------


def _ground(obj: ModelDeployment, seen: Seen, there: View) -> Plan | None:
    """Network, secret and configs: the services name them."""
    wanted: list[tuple[str, str, Mapping[str, Any]]] = [
        ("network", "its services need a network", {}),
    ]
    wanted += [
        (part, "what keeps data needs it", {"generates": size}) for part, size in data.secrets(serving.swarm_of(obj)).items()
    ]
    wanted += [(part, f"what tells of the {name} was given", {"given": name}) for name, part in serving.given(seen).items()]
    wanted += [(part, "its services are told so", {"text": text}) for part, text in serving.texts(obj).items()]
    for row in (there.serving, there.target):
        if row is not None:
            why = f"revision {row['revision']} serves this model"
            wanted.append((serving.model_part(obj, row["digest"]), why, serving.parcel(obj, seen, row["digest"])))
    for part, why, change in wanted:
        if part not in seen:  # it stands in the status from this pass on, and is looked at in the next one
            return Wait(Reason.PENDING, f"{part} is to be made", 0.02)
        if isinstance(seen[part], Absent):
            return (Step("create", part, why, change),)
    return None


# --- what there is to see to, the most urgent first ----------------------------------------------------------------------


def _concerns(
    obj: ModelDeployment, there: View, seen: Seen, now: datetime, local: Local, build: Builder
) -> Iterator[Plan | None]:  # fmt: skip
    late = float(obj.spec.progress_deadline_seconds)
    yield from _data(obj, seen, now, late, build)
    if there.serving is None and not data.gathered(serving.swarm_of(obj), seen):
        return  # a queue is kept by the members that are there when it is made
    image = (there.serving or there.target or {}).get("image") or serving.swarm_of(obj).image
    yield keep("service/web", build.web(image), seen, now, late)
    yield keep("service/entry", build.entry(), seen, now, late)
    if there.serving is not None:
        yield keep(serving.workers_part(there.serving["revision"]), build.workers(there.serving), seen, now, late)
    yield taken_back(obj, there, seen, now, build)
    yield routes_kept(there, seen, now, build)
    if there.serving is not None:
        yield from letters.handled(obj, seen, now, build, image)
    yield score(local, there, seen, now)
    if there.target is not None and there.target is not there.serving:
        yield _bring_up(obj, there, seen, now, build)
    elif there.target is None:
        yield there.choice.wait or nothing_left(there)
    elif there.serving is not None:
        yield all_to(there.serving, seen, now, build)
    yield _surplus(obj, there, seen, now)


def _data(obj: ModelDeployment, seen: Seen, now: datetime, late: float, build: Builder) -> Iterator[Plan | None]:
    """What keeps data. The first member of a cluster is up before the others are made: they join it."""
    pins, members = pinned(obj, seen), data.brokers(serving.swarm_of(obj))
    for name in data.keepers(serving.swarm_of(obj)):
        part = f"service/{name}"
        if name not in pins:
            yield Wait(Reason.DEPENDENCY_NOT_READY, f"no node of the Swarm can take {name}; bring one up", 5.0)
        elif left(pins[name], seen):
            yield Wait(Reason.DEPENDENCY_NOT_READY, _homeless(obj, name), 5.0)
        elif name in members[1:] and service_of(seen, part) is None and not data.runs(seen, members[0]):
            yield Wait(Reason.STARTING, f"{name} joins {members[0]} once that runs", POLL_SECONDS)
        else:
            yield keep(part, build.keeper(name, pins[name]), seen, now, late)


def _homeless(obj: ModelDeployment, name: str) -> str:
    """What is said of data whose node left the Swarm."""
    home = remembered(obj).get(name)
    return (
        f"the node that has the data of {name} has left the Swarm; let it join again{f' as {home}' if home else ''},"
        " or delete the ModelDeployment and create it anew, without what was accepted and not yet answered"
    )


def _bring_up(obj: ModelDeployment, there: View, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """Try the model out, start its workers, and give it the requests."""
    row = there.target
    assert row is not None
    number = row["revision"]
    part = serving.preflight_part(number)
    if part not in seen:
        return Wait(Reason.PENDING, f"{part} is to be made", 0.02)
    if (trial := service_of(seen, part)) is None:
        return (Step("create", part, f"revision {number} is to be tried out", {"spec": build.preflight(row)}),)
    if trial.lost:
        return (Step("delete", part, f"its node is down: revision {number} is tried out on another one", ref=trial.id),)
    if again := begin_again(part, trial, now):
        return again
    since = now.timestamp() - min((task.since for task in trial.tasks), default=now.timestamp())
    if trial.ended is None:
        if since > obj.spec.progress_deadline_seconds:
            said = f"its preflight gives no answer after {since:.0f} s: {how(trial)}"
            return Wait(Reason.PREFLIGHT_FAILED, f"revision {number}: {said}", 0.05)
        return Wait(Reason.CHECKING, f"trying revision {number} out: {how(trial)}", POLL_SECONDS)
    if trouble := troubles(trial.output, f"{how(trial)} {trial.last_words}".strip()):
        return Wait(Reason.PREFLIGHT_FAILED, f"revision {number}: {trouble}", 0.05)
    part, replicas = serving.workers_part(number), obj.spec.predictor.min_replicas
    patience = float(obj.spec.progress_deadline_seconds)
    doing = keep(part, build.workers(row), seen, now, patience) if replicas or service_of(seen, part) is None else None
    if doing is None:
        return next_share(obj, there, seen, now, build)
    if (workers := service_of(seen, part)) is not None and isinstance(doing, Wait):
        if len(workers.broken) >= MOST_BROKEN:
            said = f"{len(workers.broken)} of its tasks failed: {workers.broken[-1].message} {workers.last_words}"
            return Wait(Reason.ROLLOUT_FAILED, f"revision {number}: {said.strip()}", 0.05)
        late = now.timestamp() - trial.ended.since
        if late > obj.spec.progress_deadline_seconds:
            said = f"{len(workers.running)} of {replicas} workers answer after {late:.0f} s: {how(workers)}"
            return Wait(Reason.ROLLOUT_FAILED, f"revision {number}: {said}", 0.05)
        return Wait(Reason.ROLLING_OUT, f"revision {number}: {len(workers.running)}/{replicas} workers", POLL_SECONDS)
    return doing


def _surplus(obj: ModelDeployment, there: View, seen: Seen, now: datetime) -> Plan | None:
    """End what nobody wants any more: first services, then what only they used."""
    table, since = serving.table_of(seen), switched_at(seen)
    kept = {row["revision"] for row in (there.serving, there.target) if row} | {r["revision"] for r in table.get("revisions", ())}
    stays = max(serving.swarm_of(obj).strategy.bake_seconds if table.get("previous") else 0.0, DRAIN_SECONDS)
    left = stays - (now.timestamp() - since) if since else stays if table else 0.0
    tried = kept | {row["revision"] for row in there.rows[-1:]}  # a job that has ended costs nothing, and says what it found
    extra = [
        part for part in seen
        if (number := serving.revision_of(part)) is not None
        and number not in (tried if part == serving.preflight_part(number) else kept)
    ]  # fmt: skip
    services = [part for part in extra if isinstance(seen[part], Present)]
    if left > 0 and any("workers" in part for part in services):
        return Wait(Reason.ROLLING_OUT, "the revision before stays ready", min(left, WATCH_SECONDS))
    if services:
        return tuple(Step("delete", part, "no requests go to it any more", ref=_ref(seen, part)) for part in services)
    secrets = {*data.secrets(serving.swarm_of(obj)), *serving.given(seen).values()}
    models = {serving.model_part(obj, row["digest"]) for row in (there.serving, there.target) if row}
    wanted = {*secrets, *serving.texts(obj), *models}
    named = {ident for part in seen if (service := service_of(seen, part)) for ident in _names(service)}
    items = {part: item for part in seen if part.startswith(("config/", "secret/")) and (item := serving.item_of(seen, part))}
    unused = [part for part, item in items.items() if part not in wanted and item.id not in named]
    if unused:
        return tuple(Step("delete", part, "no service names it any more", ref=_ref(seen, part)) for part in unused)
    return None


def _names(service: Service) -> set[str]:
    """The configs and secrets that a service names, by id."""
    box = service.spec["TaskTemplate"]["ContainerSpec"]
    return {row["ConfigID"] for row in box.get("Configs") or ()} | {row["SecretID"] for row in box.get("Secrets") or ()}


def _ref(seen: Seen, part: str) -> str | None:
    found = seen[part]
    return found.ref if isinstance(found, Present) else None
