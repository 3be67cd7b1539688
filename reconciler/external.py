"""A Kubernetes API server that is there already, as the control plane; the daemon's own answers come from a door of this home."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from reconciler import kubeconfig
from reconciler.api.front import Front
from reconciler.api.pki import write_secret
from reconciler.client import Client, ResourceId
from reconciler.home import Home
from reconciler.http_client import HttpClient
from reconciler.informer import Connection
from specs.kinds import KINDS
from specs.meta import GROUP, VERSION

DAEMON_CONTEXT = "anneal-daemon"
"""The context of the home's kubeconfig that leads to the daemon's own answers; the current one leads to Kubernetes."""


class CrdsMissing(ValueError):
    """The API server does not know anneal's kinds."""


class External:
    """Implements reconciler.control.ControlPlane."""

    mode = "kubernetes"

    def __init__(self, home: Home, path: Path, host: str) -> None:
        self._path = path
        self._access = kubeconfig.load(path)
        self._client = HttpClient(self._access)
        self._front = Front(home, host)

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._access.server

    @property
    def client(self) -> Client:
        """Over HTTP."""
        return self._client

    @property
    def connection(self) -> Connection:
        """kopf reads certificates from files: they lie in the home, readable by their owner only."""
        return Connection(
            self._access.server,
            token=self._access.bearer(),
            ca_file=self._file("kubernetes-ca.crt", self._access.ca),
            certificate_file=self._file("kubernetes-client.crt", self._access.certificate),
            key_file=self._file("kubernetes-client.key", self._access.key),
        )

    async def start(self) -> None:
        """Make sure that the API server answers and knows our kinds; CrdsMissing says how to make it know them."""
        self._front.prepare()
        for kind in KINDS:
            try:
                await self._client.versions(ResourceId(GROUP, VERSION, kind.names.plural))
            except Exception as error:
                if getattr(error, "code", None) == 404:
                    message = f"{self.url} does not know {kind.names.kind}: run `anneal crds | kubectl apply -f -` there first"
                    raise CrdsMissing(message) from error
                raise

    async def serve(self, routes: Iterable[web.RouteDef], not_ready: Callable[[], list[str]]) -> None:
        """Open the door, and write the kubeconfig that leads to both."""
        self._front.not_ready = not_ready
        self._front.mount(routes)
        await self._front.listen()
        write_secret(self._front.home.kubeconfig, yaml.safe_dump(self._both(), sort_keys=False, width=1_000_000).encode())

    async def stop(self) -> None:
        """Close the door and the connections."""
        await self._front.close()
        await self._client.close()

    def _file(self, name: str, content: bytes | None) -> str | None:
        if content is None:
            return None
        path = self._front.home.pki / name
        write_secret(path, content)
        return str(path)

    def _both(self) -> dict[str, Any]:
        """The given kubeconfig with one more context."""
        config: dict[str, Any] = _absolute(yaml.safe_load(self._path.read_text()), self._path.parent.absolute())
        ca = base64.b64encode(self._front.pki.ca.read_bytes()).decode()
        ours = {
            "clusters": {"cluster": {"server": self._front.url, "certificate-authority-data": ca}},
            "users": {"user": {"token": self._front.token}},
            "contexts": {"context": {"cluster": DAEMON_CONTEXT, "user": DAEMON_CONTEXT}},
        }
        for section, entry in ours.items():
            others = [row for row in config.get(section) or [] if row.get("name") != DAEMON_CONTEXT]
            config[section] = [*others, {"name": DAEMON_CONTEXT} | entry]
        return config


def _absolute(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths in a kubeconfig are relative to its folder; the copy lies elsewhere."""
    for section, entry in (("clusters", "cluster"), ("users", "user")):
        for row in config.get(section) or []:
            for field in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                if path := (row.get(entry) or {}).get(field):
                    row[entry][field] = str(folder / path)
    return config
