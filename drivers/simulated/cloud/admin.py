"""The back door: what tests see of the cloud, what they make it do, and what people do to it behind anneal's back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from drivers.simulated.cloud import resources
from drivers.simulated.cloud.app import Cloud
from drivers.simulated.cloud.world import TABLES

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Admin:
    """No password: whoever reaches the port is the admin. It listens on loopback only."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.world = cloud.world

    def routes(self) -> list[web.RouteDef]:
        """Everything under /admin."""
        tables = f"{{table:{'|'.join(TABLES)}}}"
        return [
            web.get("/admin/inventory", self.inventory),
            web.get("/admin/log", self.log),
            web.get("/admin/faults", self.faults),
            web.put("/admin/faults", self.set_faults),
            web.put("/admin/settings", self.set_settings),
            web.post("/admin/reset", self.reset),
            web.post(f"/admin/{tables}", self.create),
            web.patch(f"/admin/{tables}/{{id}}", self.change),
            web.delete(f"/admin/{tables}/{{id}}", self.delete),
        ]

    async def inventory(self, _: web.Request) -> web.Response:
        """Everything there is, also what faults hide."""
        self.world.sweep()
        used = resources.users(self.world)
        return answer(
            {
                table: [resources.show(self.world, table, thing, used) for thing in things.values()]
                for table, things in self.world.tables.items()
            }
        )

    async def log(self, _: web.Request) -> web.Response:
        """Every mutating request since the first day, and how often each thing was read since the process started."""
        requests = [entry for entry in self.world.log if not entry["path"].startswith("/admin")]
        return answer({"requests": requests, "reads": dict(self.cloud.reads)})

    async def faults(self, _: web.Request) -> web.Response:
        """The rules in force and how often each has struck."""
        return answer([asdict(rule) for rule in self.cloud.faults.rules])

    async def set_faults(self, request: web.Request) -> web.Response:
        """Put a list of rules in place of all others."""
        try:
            self.cloud.faults.set(await body(request), time.monotonic())
        except (ValueError, TypeError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return await self.faults(request)

    async def set_settings(self, request: web.Request) -> web.Response:
        """Change build_seconds, delete_seconds, quotas (merged), token, project; `advance` moves the clock on by seconds."""
        for key, value in (await body(request)).items():
            if key == "advance":
                self.world.put("settings", "clock", self.world.settings["clock"] + value)
            elif key == "quotas":
                self.world.put("settings", key, {**self.world.settings[key], **value})
            elif key in self.world.settings:
                self.world.put("settings", key, value)
            else:
                raise web.HTTPBadRequest(text=f"no setting {key!r}")
        self._commit(request)
        return answer({key: value for key, value in self.world.settings.items() if key != "token"})

    async def reset(self, _: web.Request) -> web.Response:
        """Back to the first day, honest again."""
        self.world.reset()
        self.cloud.faults.set([], 0.0)
        self.cloud.reads.clear()
        return answer({})

    async def create(self, request: web.Request) -> web.Response:
        """Make a thing as somebody else would: no checks, any name, any tags, ACTIVE at once."""
        table = request.match_info["table"]
        given = {"state": "ACTIVE"} if table == "servers" else {}
        thing = resources.new(self.world, table, given | await body(request))
        self.world.put(table, thing["id"], thing)
        self._commit(request)
        return answer(resources.show(self.world, table, thing, {}))

    async def change(self, request: web.Request) -> web.Response:
        """Set any fields: state, fault, tags, ports (detach one), metadata, visible_at…"""
        table, thing = self._find(request)
        self.world.put(table, thing["id"], {**thing, **await body(request)})
        self._commit(request)
        return answer({})

    async def delete(self, request: web.Request) -> web.Response:
        """It is gone at once."""
        table, thing = self._find(request)
        self.world.put(table, thing["id"], None)
        self._commit(request)
        return answer({})

    def _find(self, request: web.Request) -> tuple[str, dict[str, Any]]:
        table = request.match_info["table"]
        if not (thing := self.world.tables[table].get(request.match_info["id"])):
            raise web.HTTPNotFound
        return table, thing

    def _commit(self, request: web.Request) -> None:
        self.world.commit({"method": request.method, "path": request.path})


async def body(request: web.Request) -> Any:
    """The request's JSON."""
    return orjson.loads(await request.read())


def answer(value: Any) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")
