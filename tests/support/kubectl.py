"""The real kubectl, and a server in a thread for it to talk to."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from reconciler.api.server import ApiServer
from reconciler.home import Home

KUBECTL = shutil.which("kubectl")
SECONDS = 60
"""How long one kubectl may take before it is stuck."""


class Result(NamedTuple):
    """What became of one kubectl."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Server:
    """An ApiServer in a thread of its own, so that kubectl, which blocks, can be waited for."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api-server")
        self._thread.start()
        self.api = self._run(self._start())
        config = yaml.safe_load(home.kubeconfig.read_text())
        self._token = config["users"][0]["user"]["token"]
        self._tls = ssl.create_default_context(cadata=_authority(config))

    async def _start(self) -> ApiServer:
        api = ApiServer(self.home)
        await api.start()
        return api

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def stop(self) -> None:
        self._run(self.api.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """One plain request: for what a test needs to be there before kubectl comes."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        request = urllib.request.Request(self.api.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, context=self._tls, timeout=SECONDS) as answer:
            return json.load(answer)


def _authority(config: dict[str, Any]) -> str:
    return base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()


class Kubectl:
    """Runs kubectl in one namespace of one server."""

    def __init__(self, server: Server, namespace: str, folder: Path) -> None:
        self.server = server
        self.namespace = namespace
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "HOME": str(server.home.root.parent), "KUBECONFIG": str(server.home.kubeconfig)}

    def __call__(self, *args: str, stdin: Any = None, code: int = 0, **env: str) -> Result:
        """Run it and check its exit code; `stdin` may be text, or objects that become YAML."""
        done = subprocess.run(
            self.command(*args),
            input=stdin if stdin is None or isinstance(stdin, str) else documents(stdin),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=self.env | env,
            cwd=self.folder,
            check=False,
        )
        assert done.returncode == code, f"kubectl {' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Result(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """One that goes on, such as a watch; with the block it ends."""
        command, pipe = self.command(*args), subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, text=True, env=self.env, bufsize=1, cwd=self.folder) as running:
            try:
                yield running
            finally:
                running.kill()

    def command(self, *args: str) -> list[str]:
        return [KUBECTL or "kubectl", "--namespace", self.namespace, *args]

    def path(self, plural: str, name: str = "", *, group: str = "anneal.dev/v1alpha1") -> str:
        prefix = f"/apis/{group}" if "/" in group else f"/api/{group}"
        return f"{prefix}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Create without kubectl."""
        plural, group = PLURALS[obj["kind"]]
        return self.server.call("POST", self.path(plural, group=group), obj)

    def read(self, plural: str, name: str, *, group: str = "anneal.dev/v1alpha1") -> dict[str, Any]:
        """Read without kubectl."""
        return self.server.call("GET", self.path(plural, name, group=group))

    def ready(self, name: str, status: str = "True", **fields: Any) -> None:
        """Give a Machine a status, as the engine would."""
        condition = {
            "type": "Ready", "status": status, "reason": "Healthy", "message": "all is well",
            "lastTransitionTime": "2030-01-01T00:00:00Z", "observedGeneration": 1,
        }  # fmt: skip
        body = {"status": {"conditions": [condition], **fields}}
        self.server.call("PATCH", f"{self.path('machines', name)}/status", body, "application/merge-patch+json")


PLURALS = {
    "Machine": ("machines", "anneal.dev/v1alpha1"),
    "ConfigMap": ("configmaps", "v1"),
    "Secret": ("secrets", "v1"),
    "Event": ("events", "v1"),
    "Lease": ("leases", "coordination.k8s.io/v1"),
}


def documents(objects: Any) -> str:
    return yaml.safe_dump_all(objects if isinstance(objects, list) else [objects])


def machine(name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A Machine; without a provider it is this machine."""
    meta: dict[str, Any] = {"name": name}
    if labels:
        meta["labels"] = labels
    return {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": meta, "spec": spec or {"local": {}}}


def simulated(name: str, **fields: Any) -> dict[str, Any]:
    return machine(name, simulated={"endpoint": "http://127.0.0.1:1", **fields})


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
