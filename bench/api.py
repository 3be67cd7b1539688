"""A plain HTTP client of an API server, by its kubeconfig, and the objects that the benchmarks make."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

MACHINES = "/apis/anneal.dev/v1alpha1/namespaces/default/machines"
Object = dict[str, Any]


class Api:
    """Kept-alive connections, no retries."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session

    @classmethod
    @asynccontextmanager
    async def of(cls, home: Path) -> AsyncIterator[Api]:
        """A client of the API server of that home."""
        config = yaml.safe_load((home / "kubeconfig").read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        connector = aiohttp.TCPConnector(ssl=tls, limit=16, keepalive_timeout=60)
        headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            yield cls(cluster["server"], session)

    async def post(self, path: str, body: Object) -> Object:
        """POST; RuntimeError with the answer's text if it is refused."""
        return await self._call("POST", path, body)

    async def get(self, path: str) -> Object:
        """GET."""
        return await self._call("GET", path)

    async def delete(self, path: str) -> Object:
        """DELETE."""
        return await self._call("DELETE", path)

    async def create_all(self, bodies: Iterable[Object], at_once: int = 8) -> None:
        """POST them all as Machines, some at once."""
        waiting = iter(bodies)

        async def one() -> None:
            for body in waiting:
                await self.post(MACHINES, body)

        await asyncio.gather(*(one() for _ in range(at_once)))

    async def machines(self) -> list[Object]:
        """All Machines."""
        items: list[Object] = (await self.get(MACHINES))["items"]
        return items

    async def _call(self, method: str, path: str, body: Object | None = None) -> Object:
        data = None if body is None else orjson.dumps(body)
        async with self._session.request(method, self.url + path, data=data) as answer:
            raw = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"cannot {method} {path}: {answer.status} {raw[:500]!r}")
            found: Object = orjson.loads(raw)
            return found


def machine(name: str, **spec: Any) -> Object:
    """A Machine."""
    return {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": {"name": name}, "spec": spec}


def local(count: int, start: int = 0) -> list[Object]:
    """Machines that are this machine."""
    return [machine(f"m-{number:05}", local={}) for number in range(start, count)]


def simulated(endpoint: str, count: int, start: int = 0) -> list[Object]:
    """Machines of the simulated cloud, a server each."""
    return [machine(f"m-{number:05}", simulated={"endpoint": endpoint}) for number in range(start, count)]


def ready(obj: Object) -> bool:
    """Whether its Ready condition is True."""
    rows = (obj.get("status") or {}).get("conditions") or ()
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)
