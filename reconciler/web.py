"""What the daemon answers itself, under /anneal/v1: status, sources, confirm, plan, why, logs. Same server, same token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from drivers.contract import DriverError
from drivers.local.jsonfiles import read_json
from reconciler import locallogs, logtail, swarmlogs
from reconciler.client import ApiError, Client, ours
from reconciler.clouds import Clouds
from reconciler.engine.engine import Engine
from reconciler.engine.kind import Key
from reconciler.engine.lease import Lease
from reconciler.engine.runner import Runner
from reconciler.home import Home
from reconciler.informer import Informer
from reconciler.kinds.local import Local
from reconciler.kinds.model_deployment import ModelDeploymentKind
from reconciler.letters import Letters
from reconciler.logs import log_file
from reconciler.planner import Planner
from reconciler.quotas import Quotas
from reconciler.sources.manager import SourceError, SourceManager
from reconciler.why import why
from specs.kinds import BY_PLURAL
from specs.meta import Reason

APPROVAL_SECONDS = 600.0
"""How long a person's yes to mass remediation holds."""

OPENSTACK = "openstack@"
"""How the names of their providers begin."""
GAVE_UP = (Reason.TRAINING_FAILED, Reason.RESTORE_UNAVAILABLE)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Web:
    """The daemon's own endpoints. It only reads what the parts say of themselves; the verbs are theirs."""

    home: Home
    client: Client
    engine: Engine
    runner: Runner
    informer: Informer
    lease: Lease
    sources: SourceManager
    local: Local
    clouds: Clouds
    quotas: Quotas
    url: str
    mode: str
    version: str
    started: str

    def routes(self) -> list[web.RouteDef]:
        """The route table."""
        return [
            web.get("/anneal/v1/status", _answering(self.status)),
            web.post("/anneal/v1/sources", _answering(self.add_source)),
            web.delete("/anneal/v1/sources/{id}", _answering(self.remove_source)),
            web.post("/anneal/v1/confirm", _answering(self.confirm)),
            web.post("/anneal/v1/plan", _answering(self.plan)),
            web.get("/anneal/v1/why/{plural}/{namespace}/{name}", _answering(self.why)),
            web.get("/anneal/v1/logs", _answering(self.logs)),
            web.get("/anneal/v1/logs/{plural}/{namespace}/{name}", _answering(self.process_logs)),
            web.get("/anneal/v1/trials/{namespace}/{name}", _answering(self.trials)),
            web.post("/anneal/v1/letters/{namespace}/{name}", _answering(self.letters)),
            web.post("/anneal/v1/gc", _answering(self.collect)),
            web.post("/anneal/v1/export", _answering(self.export)),
        ]

    def not_ready(self) -> list[str]:
        """Why this daemon is not converging anything now; empty if it is."""
        reasons = []
        if not self.lease.held:
            reasons.append(f"standing by: {self.lease.holder or 'somebody else'} leads")
        elif self.informer.blind:
            reasons.append(self.informer.blind)
        if self.runner.trouble:
            reasons.append(f"{Reason.STORE_UNAVAILABLE}: {self.runner.trouble}")
        return reasons

    async def status(self, _: web.Request) -> web.Response:
        """What `anneal status` shows."""
        reasons, queue = self.not_ready(), self.runner.queue
        try:
            kinds = [await self._kind(plural) for plural in self.engine.kinds]
        except ApiError as error:  # the daemon can still say how it stands itself
            kinds = []
            reasons = [*reasons, f"the API server does not answer: {error.message}"]
        return _json(
            {
                "version": self.version,
                "installation": self.engine.installation,
                "pid": os.getpid(),
                "startedAt": self.started,
                "home": str(self.home.root),
                "apiserver": self.url,
                "mode": self.mode,
                "leader": {"holder": self.lease.holder, "self": self.lease.held},
                "ready": not reasons,
                "notReady": reasons,
                "sources": self.sources.statuses(),
                "kinds": kinds,
                "queue": {"depth": queue.depth, "busy": queue.busy, "retrying": queue.retrying},
                "breakers": [{"driver": name, "open": True, "message": why} for name, why in self.engine.guard.open.items()],
                "clouds": await self.quotas.of(self._accounts()),
                "informer": {"restarts": self.informer.restarts, "blind": self.informer.blind or None},
            }
        )

    def _accounts(self) -> list[str]:
        """The accounts of OpenStack clouds that Machines live in."""
        known = self.engine.guard.drivers
        return [name.removeprefix(OPENSTACK) for name in known if name.startswith(OPENSTACK) and self.engine.index.keys_of(name)]

    async def _kind(self, plural: str) -> dict[str, Any]:
        items, _ = await self.client.list(ours(plural))
        ready = sum(1 for item in items if _is_ready(item))
        return {"kind": BY_PLURAL[plural].names.kind, "plural": plural, "total": len(items), "ready": ready}

    async def add_source(self, request: web.Request) -> web.Response:
        """Follow a folder; answers after its first sync."""
        body = await _body(request)
        path = body.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            return _refuse(400, 'expected {"path": "/absolute/folder"}')
        try:
            return _json(await self.sources.add(Path(path)))
        except SourceError as error:
            return _refuse(409, str(error))

    async def remove_source(self, request: web.Request) -> web.Response:
        """Forget a folder; its objects stay."""
        try:
            await self.sources.remove(request.match_info["id"])
        except SourceError as error:
            return _refuse(404, str(error))
        return _json({})

    async def confirm(self, request: web.Request) -> web.Response:
        """Say yes to a large removal, or to mass remediation."""
        body = await _body(request)
        if provider := body.get("breaker"):
            if provider not in self.engine.guard.open:
                return _refuse(404, f'no breaker is open for "{provider}"; `anneal status` shows those that are')
            if not body.get("dryRun"):
                self.engine.guard.approve(provider, APPROVAL_SECONDS)
                self.runner.wake_all(self.engine.index.keys_of(provider))
            return _json({"confirmed": [{"breaker": provider, "removals": []}]})
        try:
            return _json({"confirmed": await self.sources.confirm(body.get("source"), dry_run=bool(body.get("dryRun")))})
        except SourceError as error:
            return _refuse(404, str(error))

    async def plan(self, request: web.Request) -> web.Response:
        """What the drivers would do."""
        body = await _body(request)
        targets = body.get("targets")
        keys = None if targets is None else [Key(t["plural"], t["namespace"], t["name"]) for t in targets]
        return _json(await Planner(self.client, self.engine).plan(body.get("objects"), keys))

    async def why(self, request: web.Request) -> web.Response:
        """The deepest cause."""
        key = Key(*(request.match_info[part] for part in ("plural", "namespace", "name")))
        if key.plural not in self.engine.kinds:
            return _refuse(404, f'anneal has no kind "{key.plural}"')
        answer = await why(self.client, self.engine.kinds, key)
        return _json(answer) if answer else _refuse(404, f'{key.plural} "{key.name}" not found')

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """The daemon's log, one JSON event a line."""
        query = request.query
        match = logtail.about(query.get("plural"), query.get("namespace"), query.get("name"))
        found = logtail.tail(log_file(self.home), match=match, n=_count(query), follow=query.get("follow") == "1")
        return await _stream(request, found)

    async def process_logs(self, request: web.Request) -> web.StreamResponse:
        """The logs of the local processes of one object, or the console of its server; 404 if it has none."""
        plural, namespace, name = (request.match_info[part] for part in ("plural", "namespace", "name"))
        query, obj = request.query, await self.client.get(ours(plural), namespace, name)
        if obj is None:
            return _refuse(404, f'{plural} "{name}" not found')
        if swarm := (obj.get("spec") or {}).get("swarm"):
            return await self._service_logs(request, obj, str(swarm["clusterRef"]["name"]))
        logs = await self.local.units.logs(obj["metadata"]["uid"])
        if part := query.get("part"):
            logs = {known: paths for known, paths in logs.items() if known == part or known.startswith(f"{part}/")}
        if not logs and (console := await self.clouds.console(obj, _count(query))) is not None:
            return web.Response(text=console)
        if not logs:
            return _refuse(404, f'{plural} "{name}" has no local processes')
        follow, trial = query.get("follow") == "1", query.get("trial") or None

        async def over() -> bool:
            now = await self.client.get(ours(plural), namespace, name)
            return now is None or _is_over(now)

        return await _stream(request, locallogs.lines(logs, n=_count(query), follow=follow, trial=trial, over=over))

    async def _service_logs(self, request: web.Request, obj: Mapping[str, Any], cluster: str) -> web.StreamResponse:
        """The logs of an object's services; 404 if there is none of that name."""
        meta, query = obj["metadata"], request.query
        docker, part = await self.local.swarms.of(cluster, meta["namespace"]), query.get("part") or None
        found = await swarmlogs.services(docker, meta["uid"], part)
        if not found:
            return _refuse(404, f'"{meta["name"]}" has no service "{part or ""}"; `anneal tree` shows its parts')
        first = await swarmlogs.read(docker, found, _count(query))
        return await _stream(request, swarmlogs.followed(docker, meta["uid"], part, first, query.get("follow") == "1"))

    async def trials(self, request: web.Request) -> web.Response:
        """The trials of an Experiment's run, finished ones and those that run now."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        obj = await self.client.get(ours("experiments"), namespace, name)
        if obj is None:
            return _refuse(404, f'experiment "{name}" not found')
        folder = self.home.runs / str((obj.get("status") or {}).get("runId") or "none")
        rows = await asyncio.to_thread(locallogs.trials, folder)
        progress = await asyncio.to_thread(read_json, folder / "progress.json") or {}
        running = list((progress.get("trials") or {}).get("names") or ())
        metric = ((obj.get("spec") or {}).get("objective") or {}).get("objectiveMetricName")
        return _json({"metric": metric, "trials": rows, "running": running})

    async def letters(self, request: web.Request) -> web.Response:
        """The dead letters of a ModelDeployment: `{"verb": "list"}`, or `{"verb": "replay", "ids": […]}`; no ids: all."""
        namespace, name, body = request.match_info["namespace"], request.match_info["name"], await _body(request)
        obj = await self.client.get(ours("modeldeployments"), namespace, name)
        if obj is None:
            return _refuse(404, f'modeldeployment "{name}" not found')
        kind = self.engine.kinds["modeldeployments"]
        assert isinstance(kind, ModelDeploymentKind)
        box = Letters(self.client, kind, self.engine.installation, self.engine.clock, self._wake)
        return _json(await box.ask(obj, str(body["verb"]), [str(ident) for ident in body.get("ids") or ()]))

    def _wake(self, uid: str) -> None:
        if (key := self.engine.index.by_uid(uid)) is not None:
            self.runner.wake(key)

    async def collect(self, request: web.Request) -> web.Response:
        """What carries our tag on a cloud and has no object; with `remove`, a list of ids, those are removed."""
        body = await _body(request)
        identity, namespace = dict(body["identityRef"]), str(body.get("namespace") or "default")
        if ids := [str(ident) for ident in body.get("remove") or ()]:
            return _json({"removed": await self.clouds.remove(identity, namespace, ids)})
        return _json({"leftBehind": await self.clouds.left_behind(identity, namespace)})

    async def export(self, request: web.Request) -> web.Response:
        """What exists on a cloud, as unmanaged Machines."""
        body = await _body(request)
        return _json({"items": await self.clouds.export(dict(body["identityRef"]), str(body.get("namespace") or "default"))})


def _answering(handler: Handler) -> Handler:
    """Turn a request that makes no sense into an answer instead of a trace."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except DriverError as error:
            return _refuse(502, str(error))
        except (KeyError, TypeError, ValueError) as error:
            return _refuse(400, f"the request makes no sense: {type(error).__name__}")

    return answer


def _is_over(obj: Mapping[str, Any]) -> bool:
    """Whether its processes have done what there was to do, or have given up: only jobs ever have."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    succeeded = next((one for one in conditions if one["type"] == "Succeeded"), None)
    return succeeded is not None and (succeeded["status"] == "True" or succeeded["reason"] in GAVE_UP)


async def _stream(request: web.Request, lines: AsyncIterator[str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await response.prepare(request)
    async for line in lines:
        await response.write(line.encode() + b"\n")
    return response


def _count(query: Mapping[str, str]) -> int:
    return min(int(query["tail"]), locallogs.MOST_LINES) if query.get("tail", "").isdecimal() else 100


async def _body(request: web.Request) -> dict[str, Any]:
    body = orjson.loads(await request.read() or b"{}")
    if not isinstance(body, dict):
        raise ValueError("expected a JSON object")
    return body


def _is_ready(item: dict[str, Any]) -> bool:
    rows = (item.get("status") or {}).get("conditions") or ()
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _refuse(code: int, message: str) -> web.Response:
    return _json({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}, code)
