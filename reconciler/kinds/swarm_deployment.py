"""ModelDeployment on a Swarm: from what is seen there to the wanted model being served. Pure, but for drivers().

The order is that of the local provider: tried out in the very image that would serve it, workers started beside those that serve,
the routing table replaced in one step, the old ones ended. Two things are added: the shares may grow by steps, and a revision
that fails after it got requests loses them again, which the table itself remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from drivers.contract import Absent, Done, Plan, Present, Seen, Step, Stop, Wait
from drivers.swarm.served import Service, differs
from reconciler.engine.clock import from_text, to_text
from reconciler.engine.kind import Verdict
from reconciler.kinds import common, processes
from reconciler.kinds import swarm_serving as serving
from reconciler.kinds.concluding import concluded, most_urgent, nothing_left, troubles
from reconciler.kinds.local import Local
from reconciler.kinds.rollout import REFERENCES, Row, Trial, View, view
from reconciler.kinds.scoring import score
from reconciler.kinds.swarm_serving import Builder, service_of
from reconciler.kinds.telling import note, promoted, tried_out
from specs.meta import Reason
from specs.model_deployment import ModelDeployment

POLL_SECONDS = 0.5
DRAIN_SECONDS = 5.0
"""How long the workers of the revision before stay after the switch: what was sent to them is on its way."""
MOST_BROKEN = 3
"""A revision whose tasks failed so often while they were started has failed."""
MOST_BROKEN_SERVING = 2
"""One whose tasks failed so often while it got requests loses them."""
FIXED = ("service/store", "service/broker", "service/web", "service/entry", "service/routes")
OTHERS = (*REFERENCES, "cluster", "score")


def wanted_parts(obj: ModelDeployment) -> set[str]:
    """Every part that is wanted, on record or about to be."""
    found = {"network", "secret/password", *FIXED, *serving.texts(obj)}
    if obj.status is None:
        return found
    found |= {row.name for row in obj.status.parts} | {row.part for row in obj.status.intents}
    for row in obj.status.revisions:
        if row.state in ("Pending", "Serving"):
            found |= {serving.model_part(row.digest), serving.workers_part(row.revision)}
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
    return most_urgent(waits) if waits else Done(line(obj, there, seen))


def teardown(obj: ModelDeployment, seen: Seen, now: datetime) -> Plan:
    """The entry first, so that nothing new comes in; then all services; then what they used."""
    mine = {part: observation for part, observation in seen.items() if part not in (*REFERENCES, "cluster")}
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
        ("secret/password", "broker and store need a password", {"generates": 32}),
    ]
    wanted += [(part, "its services are told so", {"text": text}) for part, text in serving.texts(obj).items()]
    for row in (there.serving, there.target):
        if row is not None:
            why = f"revision {row['revision']} serves this model"
            wanted.append((serving.model_part(row["digest"]), why, {"model": row["digest"]}))
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
    pins = pinned(obj, seen)
    for name, make in (("store", build.store), ("broker", build.broker)):
        yield _keep(f"service/{name}", make(pins[name]), seen) if name in pins else _no_home(name)
    image = (there.serving or there.target or {}).get("image") or serving.swarm_of(obj).image
    yield _keep("service/web", build.web(image), seen)
    yield _keep("service/entry", build.entry(), seen)
    if there.serving is not None:
        yield _keep(serving.workers_part(there.serving["revision"]), build.workers(there.serving), seen)
    if back := _taken_back(obj, there, seen, now, build):
        yield back
    yield _routes_kept(there, seen, build)
    yield score(local, there, seen, now)
    if there.target is not None and there.target is not there.serving:
        yield _bring_up(obj, there, seen, now, build)
    elif there.target is None:
        yield there.choice.wait or nothing_left(there)
    elif there.serving is not None:
        yield _all_to(there.serving, seen, now, build)
    yield _surplus(obj, there, seen, now)


def _keep(part: str, want: Mapping[str, Any], seen: Seen) -> Plan | None:
    """Have a service as it is wanted, and wait for its tasks."""
    if part not in seen:
        return Wait(Reason.PENDING, f"{part} is to be made", 0.02)
    service = service_of(seen, part)
    if service is None:
        return (Step("create", part, "it is missing", {"spec": want}),)
    if differs(want, service.spec):
        if busy := next((p for p in seen if p != part and (o := service_of(seen, p)) and o.update == "updating"), None):
            return Wait(Reason.UPDATING, f"{_short(part)} is to be changed once {_short(busy)} is", POLL_SECONDS)
        change = {"spec": want, "version": service.version}
        return (Step("update", part, "it is not as it is wanted", change, ref=service.id, interrupts=_interrupts(part)),)
    if service.outdated or not service.running or len(service.running) < _replicas(service):
        return Wait(Reason.STARTING, f"{_short(part)}: {_how(service)}", POLL_SECONDS)
    return None


def _routes_kept(there: View, seen: Seen, build: Builder) -> Plan | None:
    """The table that there is, kept in Redis by the image of what is served."""
    table = serving.table_of(seen)
    if there.serving is None or not table or service_of(seen, "service/routes") is None:
        return None
    for route in table["revisions"]:
        if serving.item_of(seen, serving.model_part(route["digest"])) is None:
            return None
    return _keep("service/routes", build.routes(table, there.serving.get("image") or build.swarm.image), seen)


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
    since = now.timestamp() - min((task.since for task in trial.tasks), default=now.timestamp())
    if trial.ended is None:
        if since > obj.spec.progress_deadline_seconds:
            said = f"its preflight gives no answer after {since:.0f} s: {_how(trial)}"
            return Wait(Reason.PREFLIGHT_FAILED, f"revision {number}: {said}", 0.05)
        return Wait(Reason.CHECKING, f"trying revision {number} out: {_how(trial)}", POLL_SECONDS)
    if trouble := troubles(trial.output, f"{_how(trial)}: {trial.last_words}"):
        return Wait(Reason.PREFLIGHT_FAILED, f"revision {number}: {trouble}", 0.05)
    part, replicas = serving.workers_part(number), obj.spec.predictor.min_replicas
    doing = _keep(part, build.workers(row), seen) if replicas or service_of(seen, part) is None else None
    if doing is None:
        return _next_share(obj, there, seen, now, build)
    if (workers := service_of(seen, part)) is not None and isinstance(doing, Wait):
        if len(workers.broken) >= MOST_BROKEN:
            said = f"{len(workers.broken)} of its tasks failed: {workers.broken[-1].message} {workers.last_words}"
            return Wait(Reason.ROLLOUT_FAILED, f"revision {number}: {said.strip()}", 0.05)
        late = now.timestamp() - trial.ended.since
        if late > obj.spec.progress_deadline_seconds:
            said = f"{len(workers.running)} of {replicas} workers answer after {late:.0f} s: {_how(workers)}"
            return Wait(Reason.ROLLOUT_FAILED, f"revision {number}: {said}", 0.05)
        return Wait(Reason.ROLLING_OUT, f"revision {number}: {len(workers.running)}/{replicas} workers", POLL_SECONDS)
    return doing


def _next_share(obj: ModelDeployment, there: View, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """Give the new revision its next share of the requests."""
    new, old, strategy = there.target, there.serving, serving.swarm_of(obj).strategy
    assert new is not None
    table = serving.table_of(seen)
    has = next((row["weight"] for row in table.get("revisions", ()) if row["revision"] == new["revision"]), 0)
    if has:
        left = strategy.step_seconds - (now - from_text(table["switched"])).total_seconds()
        if left > 0:
            return Wait(Reason.ROLLING_OUT, f"revision {new['revision']} gets {has} % of the requests", min(left, POLL_SECONDS))
    steps = sorted({*strategy.steps, 100}) if strategy.type == "rolling" and old is not None else [100]
    share = next(step for step in steps if step > has)
    routes = [_route(new, share)] + ([_route(old, 100 - share)] if old is not None and share < 100 else [])
    fresh = _table(table, now, routes, new if share == 100 else old)
    if old is not None:
        fresh |= {"previous": old["revision"]}
    why = f"all workers of revision {new['revision']} answer: it gets {share} % of the requests"
    return _write(fresh, why, seen, build, new["image"])


def _all_to(row: Row, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """What began to take over is not wanted any more: all requests go to what serves."""
    table = serving.table_of(seen)
    if len(table["revisions"]) == 1:
        return None
    why = f"revision {row['revision']} is what is wanted: it gets all requests again"
    return _write(_table(table, now, [_route(row, 100)], row), why, seen, build, row["image"])


def _taken_back(obj: ModelDeployment, there: View, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """A new revision whose workers fail while it gets requests loses them to the one before."""
    table = serving.table_of(seen)
    before = next((row for row in there.rows if row["revision"] == table.get("previous")), None)
    new = next((row for row in table.get("revisions", ()) if before and row["revision"] > before["revision"]), None)
    if before is None or new is None:
        return None
    old, workers = (service_of(seen, serving.workers_part(row["revision"])) for row in (before, new))
    if old is None or workers is None or not old.running:
        return None
    since = from_text(table["switched"])
    broken = [task for task in workers.broken if task.since >= since.timestamp()]
    if len(broken) < min(MOST_BROKEN_SERVING, max(1, obj.spec.predictor.min_replicas)):
        return None
    said = f"revision {new['revision']} failed while it served: {broken[-1].message} {workers.last_words}".strip()[:1000]
    fallen = {"revision": new["revision"], "generation": obj.metadata.generation, "message": said}
    fresh = _table(table, now, [_route(before, 100)], before)
    fresh["rolledBack"] = [*table.get("rolledBack", ()), fallen][-8:]
    return _write(fresh, said, seen, build, before["image"])


def _route(row: Mapping[str, Any], weight: int) -> dict[str, Any]:
    number = row["revision"]
    return {"revision": number, "digest": row["digest"], "queue": f"r{number}", "weight": weight, "image": row["image"]}


def _table(before: Mapping[str, Any], now: datetime, routes: Sequence[Mapping[str, Any]], main: Row | None) -> dict[str, Any]:
    """The table that comes after another: its serial says so to whoever keeps an older one."""
    out: dict[str, Any] = {"serial": int(before.get("serial", 0)) + 1, "switched": to_text(now), "revisions": list(routes)}
    if main is not None:
        out["serving"] = main["revision"]
    return out | ({"rolledBack": before["rolledBack"]} if before.get("rolledBack") else {})


def _write(table: Mapping[str, Any], why: str, seen: Seen, build: Builder, image: str) -> Plan:
    want, part, service = build.routes(table, image), "service/routes", service_of(seen, "service/routes")
    if service is None:
        return (Step("create", part, why, {"spec": want}),)
    return (Step("update", part, why, {"spec": want, "version": service.version}, ref=service.id),)


def _surplus(obj: ModelDeployment, there: View, seen: Seen, now: datetime) -> Plan | None:
    """End what nobody wants any more: first services, then what only they used."""
    table = serving.table_of(seen)
    kept = {row["revision"] for row in (there.serving, there.target) if row} | {r["revision"] for r in table.get("revisions", ())}
    left = 0.0
    if table.get("switched"):
        gone_by = (now - from_text(table["switched"])).total_seconds()
        baking = table.get("previous") in {part_number for part in seen if (part_number := serving.revision_of(part))}
        left = (serving.swarm_of(obj).strategy.bake_seconds if baking else DRAIN_SECONDS) - gone_by
    tried = kept | {row["revision"] for row in there.rows[-1:]}  # a job that has ended costs nothing, and says what it found
    extra = [
        part for part in seen
        if (number := serving.revision_of(part)) is not None
        and number not in (tried if part == serving.preflight_part(number) else kept)
    ]  # fmt: skip
    services = [part for part in extra if isinstance(seen[part], Present)]
    if left > 0 and any("workers" in part for part in services):
        return Wait(Reason.ROLLING_OUT, "the revision before stays ready", min(left, 5.0))
    if services:
        return tuple(Step("delete", part, "no requests go to it any more", ref=_ref(seen, part)) for part in services)
    wanted = {*serving.texts(obj), *(serving.model_part(row["digest"]) for row in (there.serving, there.target) if row)}
    named = {row["ConfigID"] for part in seen if (service := service_of(seen, part)) for row in _configs(service)}
    unused = [
        part for part in seen
        if part.startswith("config/") and part not in wanted and (item := serving.item_of(seen, part)) and item.id not in named
    ]  # fmt: skip
    if unused:
        return tuple(Step("delete", part, "no service names it any more", ref=_ref(seen, part)) for part in unused)
    return None


# --- where what keeps data is at home ------------------------------------------------------------------------------------


def pinned(obj: ModelDeployment, seen: Seen) -> dict[str, str]:
    """Broker and store, each with its node: where it is, else where it was, else the first that can take it."""
    known = dict(obj.status.pins or {}) if obj.status else {}
    for name in ("store", "broker"):
        service = service_of(seen, f"service/{name}")
        constraints = service.spec["TaskTemplate"]["Placement"]["Constraints"] if service else ()
        for each in constraints:
            if each.startswith("node.id=="):
                known[name] = each.removeprefix("node.id==")
    nodes = ready_nodes(seen)
    for place, name in enumerate(("store", "broker")):
        if name not in known and nodes:
            known[name] = nodes[place % len(nodes)]["id"]
    return known


def ready_nodes(seen: Seen) -> list[Mapping[str, Any]]:
    """The nodes that take tasks, workers first."""
    cluster = common.live_object(seen, "cluster")
    rows = (cluster.status.get("nodes") or ()) if cluster else ()
    good = [row for row in rows if row.get("state") == "ready" and row.get("availability") == "active" and row.get("id")]
    return sorted(good, key=lambda row: (row.get("role") == "manager", str(row.get("name")), str(row["id"])))


def _no_home(name: str) -> Wait:
    return Wait(Reason.DEPENDENCY_NOT_READY, f"no node of the Swarm can take {name}; bring one up", 5.0)


# --- what is said of it --------------------------------------------------------------------------------------------------


def status(obj: ModelDeployment, seen: Seen, plan: Plan) -> Mapping[str, Any]:
    """Where it answers, what it serves, what was served."""
    there = view(obj, seen)
    trial = _trial(there, seen)
    out: dict[str, Any] = {"revisions": [concluded(row, there, plan, obj, trial) for row in there.rows]}
    if there.choice.challenger is not None:
        out["challenger"] = there.choice.challenger
    if pins := pinned(obj, seen):
        out["pins"] = pins
    if address := url(obj, seen):
        out["url"] = address
    if (row := there.serving) is not None:
        out |= {"revision": row["revision"], "digest": row["digest"], "modelVersion": row.get("modelVersion")}
        out |= {"replicas": obj.spec.predictor.min_replicas, "readyReplicas": _answering(row["revision"], seen)}
    return out


def verdicts(obj: ModelDeployment, seen: Seen, plan: Plan) -> Iterable[Verdict]:
    """Ready, Available, Preflight, Promoted."""
    there = view(obj, seen)
    said = line(obj, there, seen) if available(obj, there, seen) else ""
    if said and isinstance(plan, Wait | Stop):
        said = f"{said}; {plan.message}"
    ready = Verdict("Ready", "True", Reason.AVAILABLE, said) if said else common.ready(seen, plan, Reason.AVAILABLE)
    yield ready
    yield Verdict("Available", ready.status, ready.reason, ready.message)
    yield tried_out(there, _trial(there, seen), plan)
    yield promoted(obj, there, seen)


def available(obj: ModelDeployment, there: View, seen: Seen) -> bool:
    """Whether requests are answered."""
    tiers = [service_of(seen, part) for part in FIXED]
    if there.serving is None or not all(tier and tier.running for tier in tiers):
        return False
    return obj.spec.predictor.min_replicas == 0 or _answering(there.serving["revision"], seen) > 0


def line(obj: ModelDeployment, there: View, seen: Seen) -> str:
    """One line: where, what, how many; and what became of the newest model, where it is not that."""
    if there.serving is None:
        return url(obj, seen)
    number = there.serving["revision"]
    parts = [f"{url(obj, seen)}, revision {number}, {_answering(number, seen)}/{obj.spec.predictor.min_replicas} workers"]
    return "; ".join([*parts, *note(obj, there, seen)])


def url(obj: ModelDeployment, seen: Seen) -> str:
    """Where the entry answers: on this port of every node; the first of them is named."""
    nodes = ready_nodes(seen)
    return f"http://{nodes[0]['address']}:{serving.swarm_of(obj).entry.port}" if nodes and nodes[0].get("address") else ""


def _answering(revision: int, seen: Seen) -> int:
    service = service_of(seen, serving.workers_part(revision))
    return len(service.running) if service else 0


def _trial(there: View, seen: Seen) -> Trial | None:
    """The last preflight: revision, when it began, what it found, whether it is over."""
    for row in reversed(there.rows):
        if (service := service_of(seen, serving.preflight_part(row["revision"]))) is not None:
            began = min((task.since for task in service.tasks), default=0.0)
            return Trial(row["revision"], began, service.output, service.ended is not None)
    return None


def _replicas(service: Service) -> int:
    mode = service.spec.get("Mode") or {}
    return int((mode.get("Replicated") or {}).get("Replicas", 1))


def _how(service: Service) -> str:
    """How its tasks are, for people."""
    live = [task for task in service.tasks if task.current]
    said = next((task.message for task in sorted(live, key=lambda t: -t.since) if task.message), "")
    states = ", ".join(sorted({task.state for task in live})) or "no task yet"
    return f"{states}{f' ({said})' if said else ''}"


def _short(part: str) -> str:
    return part.removeprefix("service/")


def _interrupts(part: str) -> str | None:
    return "requests get 503 while it starts anew" if part in ("service/store", "service/broker") else None


def _configs(service: Service) -> Sequence[Mapping[str, Any]]:
    return service.spec["TaskTemplate"]["ContainerSpec"].get("Configs") or ()


def _ref(seen: Seen, part: str) -> str | None:
    found = seen[part]
    return found.ref if isinstance(found, Present) else None
