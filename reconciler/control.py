"""The control plane that a daemon works against: the embedded API server, or any Kubernetes API server by its kubeconfig."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from aiohttp import web

from reconciler.api.server import ApiServer
from reconciler.client import Client
from reconciler.home import Home
from reconciler.informer import Connection


class ControlPlane(Protocol):
    """Where the objects live, and where the daemon's own answers are served."""

    mode: str

    @property
    def url(self) -> str:
        """The API server's address."""

    @property
    def client(self) -> Client:
        """For everything but watching."""

    @property
    def connection(self) -> Connection:
        """For kopf."""

    async def start(self) -> None:
        """Connect, or serve."""

    async def serve(self, routes: Iterable[web.RouteDef], not_ready: Callable[[], list[str]]) -> None:
        """Serve the daemon's own answers from now on."""

    async def stop(self) -> None:
        """Let go of everything."""


class Embedded:
    """The API server in this very process; its client is a function call away."""

    mode = "embedded"

    def __init__(self, home: Home, host: str) -> None:
        self.server = ApiServer(home, host=host)

    @property
    def url(self) -> str:
        """The API server's address."""
        return self.server.url

    @property
    def client(self) -> Client:
        """In process: no TLS, no HTTP."""
        return self.server.client

    @property
    def connection(self) -> Connection:
        """Over HTTPS, as any other client."""
        return Connection(self.server.url, token=self.server.token, ca_file=str(self.server.pki.ca))

    async def start(self) -> None:
        """Serve; UnsafeFile, StoreError or OSError say what to do."""
        await self.server.start()

    async def serve(self, routes: Iterable[web.RouteDef], not_ready: Callable[[], list[str]]) -> None:
        """Serve the daemon's own answers beside the API."""
        self.server.not_ready = not_ready
        self.server.mount(routes)

    async def stop(self) -> None:
        """Finish the writes that were accepted, close the database."""
        await self.server.stop()


def embedded(home: Home, host: str) -> ControlPlane:
    """The embedded API server of this home."""
    return Embedded(home, host)


def kubernetes(home: Home, kubeconfig: Path, host: str) -> ControlPlane:
    """A Kubernetes API server that is there already; the daemon's own answers are served by a small server of this home."""
    from reconciler.external import External

    return External(home, kubeconfig, host)
