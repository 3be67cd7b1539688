"""The cloud's HTTP face: who may ask, what the faults do to it, what is logged, what is answered."""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from drivers.simulated.cloud import resources
from drivers.simulated.cloud.faults import REFUSALS, Faults, Rule
from drivers.simulated.cloud.resources import Refusal
from drivers.simulated.cloud.world import OWNER, Thing, World

Struck = Mapping[str, Rule]


@dataclass
class Answer:
    """What the cloud means to say, before a fault may keep it from saying it."""

    status: int
    body: Any = None
    thing: Thing | None = None
    """What was made, changed or removed."""
    done: bool = True
    headers: dict[str, str] = field(default_factory=dict)


class Cloud:
    """The world, its faults, and the counters of what was read."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = Faults()
        self.reads: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """What users of the cloud may call. `/identity` tells whose view a token gives."""
        return [
            web.get("/identity", self.identity),
            web.route("*", "/{table:servers|ports|addresses}", self.serve),
            web.route("*", "/{table:servers|ports|addresses}/{id}", self.serve),
        ]

    async def identity(self, request: web.Request) -> web.StreamResponse:
        """The project that the token is for."""
        self.reads["identity"] += 1
        struck = self.faults.strike(request.method, request.path, time.monotonic())
        try:
            refuse(struck)
            self._authenticate(request)
        except Refusal as no:
            return reply(refused(no, struck), self.world.settings["project"])
        return reply(Answer(200, {"project": self.world.settings["project"]}), self.world.settings["project"])

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request for a table or a thing of it, from the lie before to the lie after."""
        struck = self.faults.strike(request.method, request.path, time.monotonic())
        body = await request.read()
        if slow := struck.get("slow"):
            await asyncio.sleep(float(slow.args.get("delay", 1.0)))
        mute = "drop_before" in struck or "hang" in struck
        answer = Answer(0) if mute else self._answer(request, body, struck)
        mute = mute or "drop_after" in struck or "hang_after" in struck
        self._log(request, body, answer, struck, mute)
        if "hang" in struck or "hang_after" in struck:
            await asyncio.sleep(3600)
        if mute:
            return hang_up(request)
        if "ack_then_500" in struck:
            answer = Answer(500, error(500, "Unexpected API Error."))
        return reply(answer, "somebody-else" if "other_project" in struck else self.world.settings["project"])

    def _answer(self, request: web.Request, raw: bytes, struck: Struck) -> Answer:
        try:
            refuse(struck)
            self._authenticate(request)
            if "garbage" in struck:
                return Answer(200, "It works!")
            self.world.sweep()
            body = orjson.loads(raw) if raw else {}
            if not isinstance(body, dict):
                raise Refusal(400, "the body is not an object")
            return self._do(request, body, struck)
        except orjson.JSONDecodeError as broken:
            return Answer(400, error(400, f"malformed body: {broken}"))
        except Refusal as no:
            return refused(no, struck)

    def _do(self, request: web.Request, body: dict[str, Any], struck: Struck) -> Answer:
        world, table, key = self.world, request.match_info["table"], request.match_info.get("id")
        match request.method, key:
            case "GET", None:
                wanted = {name.removeprefix("tag."): value for name, value in request.query.items() if name.startswith("tag.")}
                return Answer(200, {table: self._list(table, wanted, struck)})
            case "GET", str():
                thing = self._find(table, key)
                if thing["visible_at"] > world.now or "other_project" in struck:
                    raise Refusal(404, f"{table[:-1]} {key} could not be found.")
                return Answer(200, self._show(table, thing))
            case "POST", None:
                late, doom = struck.get("late_visibility"), struck.get("error_servers")
                thing = resources.create(
                    world, table, body,
                    doom=str(doom.args.get("message", "No valid host was found.")) if doom else None,
                    late=float(late.args.get("delay", 30.0)) if late else 0.0,
                )  # fmt: skip
                return Answer(202 if table == "servers" else 201, self._show(table, thing), thing)
            case "PATCH", str():
                thing = resources.update(world, table, self._find(table, key), body)
                return Answer(200, self._show(table, thing), thing)
            case "DELETE", str():
                thing = self._find(table, key)
                return Answer(204, thing=thing, done=resources.delete(world, table, thing))
        raise Refusal(405, f"{request.method} is not allowed here")

    def _list(self, table: str, wanted: Mapping[str, str], struck: Struck) -> list[Any]:
        if "empty_lists" in struck or "other_project" in struck:
            return []
        now = self.world.now
        used = resources.users(self.world) if table == "ports" else {}
        return [
            resources.show(self.world, table, thing, used)
            for thing in self.world.find(table, wanted)
            if thing["visible_at"] <= now
        ]

    def _show(self, table: str, thing: Thing) -> dict[str, Any]:
        return resources.show(self.world, table, thing, resources.users(self.world) if table == "ports" else {})

    def _find(self, table: str, key: str) -> Thing:
        try:
            return self.world.tables[table][key]
        except KeyError:
            raise Refusal(404, f"{table[:-1]} {key} could not be found.") from None

    def _authenticate(self, request: web.Request) -> None:
        token = self.world.settings["token"]
        if token is not None and not hmac.compare_digest(request.headers.get("X-Auth-Token", "").encode(), token.encode()):
            raise Refusal(401, "The request you have made requires authentication.")

    def _log(self, request: web.Request, raw: bytes, answer: Answer, struck: Struck, mute: bool) -> None:
        table, key = request.match_info["table"], request.match_info.get("id")
        if request.method == "GET":
            self.reads[f"{'get' if key else 'ask' if request.query else 'list'} {table}"] += 1
            return
        tags = answer.thing["tags"] if answer.thing else asked_tags(raw)
        self.world.commit(
            {
                "method": request.method,
                "path": request.path,
                "table": table,
                "id": answer.thing["id"] if answer.thing else key,
                "owner": tags.get(OWNER),
                "part": tags.get("anneal-part"),
                "done": answer.thing is not None and answer.done,
                "status": None if mute else 500 if "ack_then_500" in struck else answer.status,
                "faults": list(struck),
            }
        )


def refuse(struck: Struck) -> None:
    """Raise the refusal that a fault asks for, if one does."""
    for name, rule in struck.items():
        if name in REFUSALS:
            status, message = REFUSALS[name]
            raise Refusal(int(rule.args.get("status", status)), str(rule.args.get("message", message)))


def refused(no: Refusal, struck: Struck) -> Answer:
    """The answer for a refusal."""
    after = next((rule.args["retry_after"] for rule in struck.values() if "retry_after" in rule.args), None)
    if after is None and no.status == 429:
        after = 1
    return Answer(no.status, error(no.status, no.message), headers={} if after is None else {"Retry-After": str(after)})


def error(status: int, message: str) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"code": status, "message": message}}


def asked_tags(raw: bytes) -> dict[str, Any]:
    """The tags in a body that may be anything."""
    try:
        return dict(orjson.loads(raw)["tags"])
    except (ValueError, KeyError, TypeError):
        return {}


def reply(answer: Answer, project: str) -> web.Response:
    """Say it, with the request's id and the project that the view belongs to."""
    headers = {"X-Request-Id": f"req-{uuid.uuid4()}", "X-Project-Id": project, **answer.headers}
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    return web.Response(status=answer.status, body=orjson.dumps(answer.body), content_type="application/json", headers=headers)


def hang_up(request: web.Request) -> web.Response:
    """Close the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
