"""The real daemon as a process, for tests that kill it, stop it and start it again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.client import Client, Object, ours
from reconciler.home import Home
from reconciler.http_client import HttpClient
from tests.support import preloaded

ROOT = Path(__file__).resolve().parents[2]

QUICK = {
    "ANNEAL_POLL_SECONDS": "1",
    "ANNEAL_AUDIT_SECONDS": "2",
    "ANNEAL_BACKOFF_BASE_SECONDS": "0.05",
    "ANNEAL_BACKOFF_CAP_SECONDS": "1",
    "ANNEAL_LEASE_SECONDS": "3",
    "ANNEAL_SIMULATED_SETTLE_SECONDS": "1",
    "ANNEAL_CALL_SECONDS": "3",
}
"""Settings under which what takes minutes in production takes seconds."""


@dataclass
class DaemonProcess:
    """One home and the daemon on it. Every method may be called in any state."""

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | preloaded.Process | None = None
    forked: bool = True
    """Whether it starts with its imports done; if not, by its command line, as where people run it. See preloaded.py."""
    module: str = "reconciler.daemon"
    """What is run; tests that need a broken daemon have their own."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """What the last start was given on top of `env`."""

    @property
    def home(self) -> Home:
        """The paths of its home."""
        return Home(self.root)

    async def start(self, env: Mapping[str, str] | None = None, *, wait: bool = True, seconds: float = 90) -> None:
        """Start it; with `wait`, return once it answers. AssertionError with the end of its log if it dies instead."""
        self.extra = dict(env or {})
        self.root.mkdir(parents=True, exist_ok=True)
        self.home.pidfile.unlink(missing_ok=True)
        full = {key: value for key, value in os.environ.items() if not key.startswith("ANNEAL_")}
        full |= QUICK | preloaded.PRODUCTION | dict(self.env) | dict(env or {}) | {"PYTHONUNBUFFERED": "1"}
        words = ["--home", str(self.root), *self.args]
        with (self.root / "output.log").open("ab") as output:
            if self.forked:
                self.process = preloaded.start(self.module, words, cwd=ROOT, env=full, output=output)
            else:
                command = [sys.executable, "-m", self.module, *words]
                self.process = subprocess.Popen(
                    command, cwd=ROOT, env=full, stdout=output, stderr=output, stdin=subprocess.DEVNULL
                )
        if wait:
            await until(self._answers, seconds, lambda: f"the daemon did not start:\n{self.output()[-3000:]}")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon died with {self.process.returncode}:\n{self.output()[-3000:]}"
        try:
            return self.home.pidfile.read_text().strip() == str(self.process.pid)
        except FileNotFoundError:
            return False

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    def stop(self) -> int | None:
        """SIGTERM, and wait; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(20) if self.process is not None else None

    def signal(self, number: int) -> None:
        """Send it a signal if it runs."""
        if self.alive and self.process is not None:
            self.process.send_signal(number)

    async def died(self, seconds: float = 30) -> int:
        """Wait until it is dead; returns the exit code."""
        await until(lambda: not self.alive, seconds, lambda: "the daemon did not die")
        assert self.process is not None
        return int(self.process.returncode)

    def output(self) -> str:
        """What it printed, and its log."""
        files = (self.root / "output.log", *sorted(self.home.logs.glob("*.log")))
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of its API server."""
        client = HttpClient.from_kubeconfig(self.home.kubeconfig)
        try:
            yield client
        finally:
            await client.close()


async def until(
    condition: Callable[[], Any], seconds: float = 20, say: Callable[[], str] = lambda: "it did not happen", every: float = 0.02
) -> Any:
    """Poll until `condition()` (plain or awaitable) is true and return it; AssertionError with `say()` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, say()
        await asyncio.sleep(every)


def condition_of(obj: Object | None, kind: str = "Ready") -> dict[str, Any]:
    """One condition of an object; an empty dict if it has none."""
    rows = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((row for row in rows if row["type"] == kind), {})


async def machine_until(
    client: Client, name: str, check: Callable[[Object], Any], seconds: float = 20, namespace: str = "default"
) -> Object:
    """Poll a Machine until `check(obj)` is true; AssertionError with its conditions otherwise."""
    last: Object = {}

    async def look() -> Object | None:
        nonlocal last
        last = await client.get(ours("machines"), namespace, name) or {}
        return last if last and check(last) else None

    found: Object = await until(look, seconds, lambda: f"Machine {name}: {(last.get('status') or {}).get('conditions', last)}")
    return found


def ready(obj: Object) -> bool:
    """Whether Ready is True, for the current generation."""
    row = condition_of(obj)
    return row.get("status") == "True" and row.get("observedGeneration") == obj["metadata"]["generation"]


def machine(name: str, namespace: str = "default", **spec: Any) -> Object:
    """A Machine manifest; `spec` is its spec."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": meta, "spec": spec}
