"""A real API server on a home of its own, in this process; and a plain HTTPS session that may speak to it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from reconciler.api.server import ApiServer
from reconciler.api.settings import ApiSettings
from reconciler.home import Home

MACHINES = "/apis/anneal.dev/v1alpha1/namespaces/default/machines"


def machine(name: str = "m", **meta: Any) -> dict[str, Any]:
    """A valid Machine; keywords go into its metadata."""
    return {
        "apiVersion": "anneal.dev/v1alpha1",
        "kind": "Machine",
        "metadata": {"name": name, **meta},
        "spec": {"local": {}},
    }


def configmap(name: str = "c", data: dict[str, str] | None = None, **meta: Any) -> dict[str, Any]:
    """A valid ConfigMap; keywords go into its metadata."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data or {"k": "v"}}


@contextlib.asynccontextmanager
async def running(root: Path, settings: ApiSettings | None = None, **options: Any) -> AsyncIterator[ApiServer]:
    """An ApiServer on the home `root`, started and stopped."""
    server = ApiServer(Home(root), settings=settings, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def session(server: ApiServer, *, token: str | None = None, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that knows the server's CA and token; `token=""` sends none."""
    context = ssl.create_default_context(cadata=server.pki.ca.read_text())
    token = server.token if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(server.url, headers=headers, connector=connector, **options) as http:
        yield http


async def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return once `holds()`; TimeoutError if it does not become so in time. For what has no event to wait for."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)
