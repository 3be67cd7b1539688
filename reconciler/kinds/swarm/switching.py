"""Who gets the requests: the routing table from one state to the next, by steps, at once, or back. Pure.

The table stands in a label of the service `routes`, which keeps it in Redis; it counts as there once that service's task runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from drivers.contract import Plan, Seen, Step, Wait
from reconciler.engine.clock import from_text, to_text
from reconciler.kinds.rollout import Row, View
from reconciler.kinds.swarm import serving
from reconciler.kinds.swarm.judging import fault, silence
from reconciler.kinds.swarm.keeping import POLL_SECONDS, keep
from reconciler.kinds.swarm.serving import Builder, service_of
from specs.meta import Reason
from specs.model_deployment import ModelDeployment

MOST_BROKEN_SERVING = 2
"""A revision whose tasks failed so often while it got requests loses them."""


def switched_at(seen: Seen) -> float | None:
    """Since when the table as it is now has been in Redis, in Unix time; None: it is not there yet."""
    service = service_of(seen, "service/routes")
    if service is None or service.outdated or not service.running:
        return None
    return min(task.since for task in service.running)


def routes_kept(there: View, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """The table that there is, kept in Redis by the image of what is served; made anew where somebody took it away."""
    table = serving.table_of(seen)
    if there.serving is None:
        return None
    if not table:
        main = there.serving
        return _write(_table({}, now, [_route(main, 100)], main), "nobody keeps the routing table", seen, build, main["image"])
    for route in table["revisions"]:
        if serving.model_item(build.obj, seen, route["digest"]) is None:
            return None
    want = build.routes(table, there.serving.get("image") or build.swarm.image)
    return keep("service/routes", want, seen, now, float(build.obj.spec.progress_deadline_seconds))


def next_share(obj: ModelDeployment, there: View, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """Give the new revision its next share of the requests."""
    new, old, strategy = there.target, there.serving, serving.swarm_of(obj).strategy
    assert new is not None
    table = serving.table_of(seen)
    has = next((row["weight"] for row in table.get("revisions", ()) if row["revision"] == new["revision"]), 0)
    if has:
        since = switched_at(seen)
        left = strategy.step_seconds - (now.timestamp() - since) if since else strategy.step_seconds
        if left > 0:
            return Wait(Reason.ROLLING_OUT, f"revision {new['revision']} gets {has} % of the requests", min(left, POLL_SECONDS))
    if old is not None and (why := silence(seen)):
        return _unheard(obj, new, seen, now, has > 0, why)
    steps = sorted({*strategy.steps, 100}) if strategy.type == "rolling" and old is not None else [100]
    share = next(step for step in steps if step > has)
    routes = [_route(new, share)] + ([_route(old, 100 - share)] if old is not None and share < 100 else [])
    fresh = _table(table, now, routes, new if share == 100 else old)
    if old is not None:
        fresh |= {"previous": old["revision"]}
    why = f"all workers of revision {new['revision']} answer: it gets {share} % of the requests"
    return _write(fresh, why, seen, build, new["image"])


def _unheard(obj: ModelDeployment, new: Row, seen: Seen, now: datetime, shared: bool, why: str) -> Wait:
    """A revision gets no more requests while nobody hears what becomes of them; nor for ever."""
    workers = service_of(seen, serving.workers_part(new["revision"]))
    since = max((task.since for task in workers.running), default=now.timestamp()) if workers else now.timestamp()
    late = now.timestamp() - max(since, (switched_at(seen) or now.timestamp()) if shared else 0.0)
    said = f"revision {new['revision']} gets no more requests before its answers are seen: {why}"
    if late > obj.spec.progress_deadline_seconds:
        return Wait(Reason.ROLLOUT_FAILED, f"{said}; for {late:.0f} s", 0.05)
    return Wait(Reason.ROLLING_OUT, said, POLL_SECONDS)


def all_to(row: Row, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """What began to take over is not wanted any more: all requests go to what serves."""
    table = serving.table_of(seen)
    if len(table.get("revisions", ())) <= 1:
        return None
    why = f"revision {row['revision']} is what is wanted: it gets all requests again"
    return _write(_table(table, now, [_route(row, 100)], row), why, seen, build, row["image"])


def taken_back(obj: ModelDeployment, there: View, seen: Seen, now: datetime, build: Builder) -> Plan | None:
    """A new revision whose workers fail, or whose answers are bad or late, loses its requests to the one before."""
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
    why = fault(obj, seen, new["revision"], before["revision"])
    if len(broken) >= min(MOST_BROKEN_SERVING, max(1, obj.spec.predictor.min_replicas)):
        why = f"{broken[-1].message} {workers.last_words}".strip()
    if why is None:
        return None
    said = f"revision {new['revision']} failed while it served: {why}"[:1000]
    fallen = {"revision": new["revision"], "generation": obj.metadata.generation, "message": said}
    fresh = _table(table, now, [_route(before, 100)], before)
    fresh["rolledBack"] = [*table.get("rolledBack", ()), fallen][-8:]
    return _write(fresh, said, seen, build, before["image"])


def _route(row: Mapping[str, Any], weight: int) -> dict[str, Any]:
    number = row["revision"]
    return {"revision": number, "digest": row["digest"], "queue": f"r{number}", "weight": weight, "image": row["image"]}


def _table(before: Mapping[str, Any], now: datetime, routes: Sequence[Mapping[str, Any]], main: Row | None) -> dict[str, Any]:
    """The table that comes after another: its serial says so to whoever keeps an older one."""
    serial = max(int(before.get("serial", 0)) + 1, int(now.timestamp()))  # the one before may be lost here, and be there in Redis
    out: dict[str, Any] = {"serial": serial, "switched": to_text(now), "revisions": list(routes)}
    if main is not None:
        out["serving"] = main["revision"]
    return out | ({"rolledBack": before["rolledBack"]} if before.get("rolledBack") else {})


def _write(table: Mapping[str, Any], why: str, seen: Seen, build: Builder, image: str) -> Plan:
    want, part, service = build.routes(table, image), "service/routes", service_of(seen, "service/routes")
    if service is None:
        return (Step("create", part, why, {"spec": want}),)
    return (Step("update", part, why, {"spec": want, "version": service.version}, ref=service.id),)
