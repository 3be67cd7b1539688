"""A real API server, a folder, and the sources of a daemon that follow it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconciler.api.server import ApiServer
from reconciler.client import CONFIGMAPS, Client, Object, ours
from reconciler.engine.clock import SystemClock
from reconciler.sources.folder import Pace
from reconciler.sources.manager import SourceManager
from reconciler.sources.objects import KIND_OF
from tests.support import apiserver

MACHINES = ours("machines")
PACE = Pace(rescan=60.0, relist=300.0, settle=0.15)
"""As in production, but for how long a file must be missing."""


@dataclass
class Events:
    """Remembers what was said."""

    said: list[tuple[str, str]] = field(default_factory=list)

    def say(self, obj: Object, kind: str, reason: str, message: str) -> None:
        assert obj["metadata"]["uid"]
        self.said.append((str(reason), message))

    def of(self, reason: str) -> list[str]:
        return [message for why, message in self.said if why == reason]


@dataclass
class World:
    """One folder, one server, and whoever follows."""

    folder: Path
    server: ApiServer
    events: Events = field(default_factory=Events)
    sources: SourceManager | None = None

    @property
    def client(self) -> Client:
        return self.server.client

    def write(self, name: str, *machines: str, **spec: Any) -> Path:
        """Write a file of Machines as an editor does: beside it, then renamed."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text("---\n".join(machine(one, **spec) for one in machines))
        temporary.rename(path)
        return path

    async def machines(self) -> dict[str, Object]:
        items, _ = await self.client.list(MACHINES)
        return {item["metadata"]["name"]: item for item in items}

    async def names(self) -> set[str]:
        return set(await self.machines())

    async def has(self, *names: str) -> None:
        """Wait until the server holds exactly these machines."""
        await until(lambda: self.names(), set(names))

    async def status(self) -> dict[str, Any]:
        (status,) = self.sources.statuses()
        return status

    async def becomes(self, state: str, **more: Any) -> dict[str, Any]:
        """Wait until the source is in this state, and return its status."""

        async def look():
            status = await self.status()
            return {key: status[key] for key in ("state", *more)}

        await until(look, {"state": state, **more})
        return await self.status()

    async def record(self) -> Object:
        (record,) = (await self.client.list(CONFIGMAPS, "default", labels="anneal.dev/kind=source"))[0]
        return record

    @contextlib.asynccontextmanager
    async def followed(self, *folders: Path, pace: Pace = PACE, client: Client | None = None) -> AsyncIterator[dict[str, Any]]:
        """Follow the folder (or these) for a while, as a daemon does, told of every change by a watch; give its first status."""
        self.sources = SourceManager(client or self.client, recorder=self.events, clock=SystemClock(), pace=pace)
        tasks = [asyncio.create_task(self.sources.run()), *(asyncio.create_task(self._feed(r)) for r in KIND_OF)]
        try:
            status = {}
            for folder in folders or (self.folder,):
                status = await asyncio.wait_for(self.sources.add(folder), 20)
            yield status
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result

    async def _feed(self, resource: Any) -> None:
        async with (
            apiserver.session(self.server) as http,
            http.get(resource.path(None), params={"watch": "1"}, timeout=None, read_bufsize=1 << 22) as answer,
        ):
            async for line in answer.content:
                event = orjson.loads(line)
                if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                    self.sources.notify(resource, event["object"], event["type"] == "DELETED")


async def until(ask: Callable[[], Any], expected: Any, seconds: float = 15) -> None:
    """Ask again and again until the answer is as expected."""
    answer = None
    try:
        async with asyncio.timeout(seconds):
            while (answer := await ask()) != expected:
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"expected {expected!r}, but it stayed {answer!r}")


def machine(name: str, **spec: Any) -> str:
    spec = spec or {"local": {}}
    return f"apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {{name: {name}}}\nspec: {orjson.dumps(spec).decode()}\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server on an empty home and an empty folder that nobody follows yet."""
    folder = tmp_path / "specs"
    folder.mkdir()
    async with apiserver.running(tmp_path / "home") as server:
        yield World(folder, server)
