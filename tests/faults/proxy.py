"""Stands between a daemon and its API server, speaks plain HTTP, and tells the daemon an old story, half of it, or nothing."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml
from aiohttp import web

from reconciler import kubeconfig

Event = dict[str, Any]


@dataclass
class Proxy:
    """Honest until told otherwise. `kubeconfig` leads the daemon here."""

    upstream: kubeconfig.Access
    kubeconfig: Path
    hears: Callable[[Event], bool] = lambda event: True
    """Which watch events get through."""
    answers: dict[str, int] = field(default_factory=dict)
    """How many requests were passed on, by method."""
    watches: int = 0
    """How many watches were opened."""
    _past: dict[str, Event] | None = None
    _speaks: asyncio.Event = field(default_factory=asyncio.Event)
    _listens: asyncio.Event = field(default_factory=asyncio.Event)
    _streams: set[web.StreamResponse] = field(default_factory=set)
    _http: aiohttp.ClientSession | None = None

    def silent(self, on: bool = True) -> None:
        """Nothing goes through any more, nothing is closed: a cable was cut."""
        (self._speaks.clear if on else self._speaks.set)()

    def mute_watches(self, on: bool = True) -> None:
        """Only the watches that are open say nothing any more."""
        (self._listens.clear if on else self._listens.set)()

    async def remember(self, plural: str = "machines") -> None:
        """Keep the objects as they are now, for `live_in_the_past`."""
        async with self._session().get(self._url(f"/apis/anneal.dev/v1alpha1/{plural}")) as response:
            self._memory: Event = orjson.loads(await response.read())

    def live_in_the_past(self, on: bool = True) -> None:
        """Reads of Machines are answered from memory; writes go through. As a replica that lags behind does."""
        self._past = copy.deepcopy(self._memory) if on else None

    async def say_gone(self) -> None:
        """Tell every open watch: 410, too old."""
        error = {
            "kind": "Status",
            "apiVersion": "v1",
            "code": 410,
            "reason": "Expired",
            "message": "too old",
            "status": "Failure",
        }
        for stream in list(self._streams):
            await stream.write(orjson.dumps({"type": "ERROR", "object": error}) + b"\n")

    # --- the plumbing -------------------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of the daemon."""
        body = await request.read()
        await self._speaks.wait()
        if request.query.get("watch") in ("true", "1"):
            return await self._watch(request)
        if request.method == "GET" and self._past is not None and "machines" in request.path.split("/"):
            return self._from_memory(request, self._past)
        headers = {key: request.headers[key] for key in ("Accept", "Content-Type") if key in request.headers}
        async with self._session().request(
            request.method, self._url(request.path_qs), data=body or None, headers=headers
        ) as response:
            raw = await response.read()
        await self._speaks.wait()
        self.answers[request.method] = self.answers.get(request.method, 0) + 1
        kept = {"Content-Type": response.headers.get("Content-Type", "application/json")}
        return web.Response(status=response.status, body=raw, headers=kept)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session().get(self._url(request.path_qs), timeout=timeout) as stream:
            await answer.prepare(request)
            self._streams.add(answer)
            try:
                async for line in stream.content:
                    await self._speaks.wait()
                    await self._listens.wait()
                    if self._lets_through(request, orjson.loads(line)):
                        await answer.write(line)
            finally:
                self._streams.discard(answer)
        return answer

    def _lets_through(self, request: web.Request, event: Event) -> bool:
        lagging = self._past is not None and "machines" in request.path.split("/")
        return not lagging and self.hears(event)

    def _from_memory(self, request: web.Request, past: Event) -> web.Response:
        name = request.path.rpartition("/machines")[2].strip("/")
        if not name:
            return web.Response(body=orjson.dumps(past), content_type="application/json")
        for item in past["items"]:
            if item["metadata"]["name"] == name:
                whole = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", **item}
                return web.Response(body=orjson.dumps(whole), content_type="application/json")
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "none"}
        return web.Response(status=404, body=orjson.dumps(status), content_type="application/json")

    def _url(self, path: str) -> str:
        return self.upstream.server + path

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            context = self.upstream.context()
            connector = aiohttp.TCPConnector(ssl=context if context is not None else True, limit=0)
            token = {"Authorization": f"Bearer {self.upstream.bearer()}"}
            self._http = aiohttp.ClientSession(connector=connector, headers=token, read_bufsize=2**22)
        return self._http


@asynccontextmanager
async def proxy(real: Path, folder: Path) -> AsyncIterator[Proxy]:
    """A proxy to the API server of the kubeconfig `real`; its own kubeconfig lies in `folder`."""
    there = Proxy(kubeconfig.load(real), folder / "proxy-kubeconfig")
    there.silent(False)
    there.mute_watches(False)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{tail:.*}", there.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "p", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "p", "user": {"token": "not-needed"}}],
        "contexts": [{"name": "p", "context": {"cluster": "p", "user": "p"}}],
        "current-context": "p",
    }
    there.kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield there
    finally:
        there.silent(False)
        there.mute_watches(False)
        await runner.cleanup()
        if there._http is not None:
            await there._http.close()
