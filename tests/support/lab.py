"""A daemon with a table and a Ray of its own, to make Experiments on; and what a test asks of their runs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from drivers.local import processes
from reconciler.client import ApiUnavailable, Object, ours
from reconciler.http_client import HttpClient
from specs.meta import API_VERSION
from tests.support.daemon import ROOT, DaemonProcess, condition_of, ready, until

TABLES, CLUSTERS, EXPERIMENTS, MODELS = ours("datasets"), ours("rayclusters"), ours("experiments"), ours("modelversions")
PENGUINS = ROOT / "examples" / "quickstart" / "data" / "penguins.csv"
TRIAL_ACTORS = ("ray::RayTrial", "ray::_Inner")
"""What the actors that run trials are called: at rest, and at work."""
PATIENCE = 180.0
"""Seconds that a run, or the start of Ray, may take on a busy machine."""


@dataclass
class Lab:
    """Talks to the API server alone, and looks at processes and files. The daemon may be dead meanwhile."""

    daemon: DaemonProcess
    client: HttpClient

    async def create(self, kind: str, name: str, **spec: Any) -> Object:
        """Create an object of one of our kinds."""
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}
        return await self.client.create(ours(f"{kind.lower()}s"), "default", body)

    async def get(self, plural: Any, name: str) -> Object:
        """An object as it is now; {} if it is not there, or nobody answers."""
        with suppress(ApiUnavailable):
            return await self.client.get(plural, "default", name) or {}
        return {}

    async def until(
        self, name: str, check: Callable[[Object], Any], seconds: float = PATIENCE, plural: Any = EXPERIMENTS
    ) -> Object:
        """Wait until an object is so."""
        last: Object = {}

        async def look() -> Object | None:
            nonlocal last
            last = await self.get(plural, name) or last
            return last if last and check(last) else None

        found: Object = await until(look, seconds, lambda: f"{name}: {json.dumps(last.get('status', last), indent=1)[:6000]}")
        return found

    async def ready(self, name: str, plural: Any = EXPERIMENTS, seconds: float = PATIENCE) -> Object:
        """Wait until it is Ready, for its spec as it is."""
        return await self.until(name, ready, seconds, plural)

    async def stopped(self, name: str, reason: str) -> Object:
        """Wait until an Experiment has stopped for that reason."""
        return await self.until(name, lambda obj: condition_of(obj).get("reason") == reason)

    async def run(self, name: str) -> Path:
        """The folder of an Experiment's run, once it has one."""
        obj = await self.until(name, lambda obj: (obj.get("status") or {}).get("runId"))
        return self.daemon.home.runs / obj["status"]["runId"]

    async def tried(self, folder: Path, count: int) -> list[dict[str, Any]]:
        """Wait until so many trials of a run are over; those that are."""

        def look() -> list[dict[str, Any]] | None:
            rows = trials(folder)
            return rows if len(rows) >= count else None

        rows: list[dict[str, Any]] = await until(look, PATIENCE, lambda: f"too few trials: {log(folder)[-3000:]}", 0.005)
        return rows

    def unit(self, owner: Object, part: str) -> dict[str, Any]:
        """The record of an object's process; {} if there is none."""
        found = [
            record
            for record in self.units()
            if record["tag"] == record["tag"] | {"owner": owner["metadata"]["uid"], "part": part}
        ]
        assert len(found) <= 1, f"{part} is there twice"
        return found[0] if found else {}

    def units(self) -> list[dict[str, Any]]:
        """The records of all local processes of this home."""
        return units(self.daemon)

    def job(self, experiment: Object) -> int | None:
        """The pid of an Experiment's job itself, which is a child of its shim; None if it does not run."""
        record = self.unit(experiment, "job")
        if not processes.alive(record.get("process")):
            return None
        children = psutil.Process(record["process"]["pid"]).children()
        return children[0].pid if children else None

    async def at_stage(self, experiment: Object, folder: Path, stage: str, finished: int = 0) -> int:
        """Wait until a run is at a stage, with so many trials finished; the pid of its job."""

        def look() -> int | None:
            there = progress(folder).get("stage") == stage and len(trials(folder)) >= finished
            return self.job(experiment) if there else None

        pid: int = await until(look, PATIENCE, lambda: f"{stage} never came: {log(folder)[-3000:]}", 0.002)
        return pid

    def of_ray(self, cluster: Object, *names: str) -> list[int]:
        """Processes of a cluster whose command line holds one of `names`: gcs_server, raylet/raylet, *TRIAL_ACTORS."""
        record = self.unit(cluster, "head")
        found = processes.leftovers(self.daemon.home.units / record["name"]) if record else []
        return [pid for pid in found if any(name in command_of(pid) for name in names)]


def command_of(pid: int) -> str:
    """What `ps` shows of a process."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def kill(*pids: int | None) -> None:
    """kill -9."""
    for pid in pids:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def units(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """The records of all local processes of a home; each with the name of its folder."""
    found = []
    for path in daemon.home.units.glob("*/unit.json"):
        with suppress(FileNotFoundError):
            found.append(json.loads(path.read_bytes()) | {"name": path.parent.name})
    return found


def trials(folder: Path) -> list[dict[str, Any]]:
    """The finished trials on disk, as they stand there, without the head and without a torn line."""
    with suppress(FileNotFoundError):
        return [json.loads(line) for line in (folder / "trials.jsonl").read_bytes().rpartition(b"\n")[0].splitlines()[1:]]
    return []


def log(folder: Path) -> str:
    """What a run's job wrote down."""
    with suppress(FileNotFoundError):
        return (folder / "log").read_text()
    return ""


def progress(folder: Path) -> Mapping[str, Any]:
    """How far a run says it is."""
    with suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads((folder / "progress.json").read_bytes())
        return found
    return {}


@contextmanager
def home(root: Path, env: Mapping[str, str] | None = None) -> Iterator[DaemonProcess]:
    """A daemon with penguins and a Ray that is up, each called `penguins`. At the end nothing of it is left."""
    daemon = DaemonProcess(root, {"ANNEAL_DATA_ROOTS": str(PENGUINS.parent), **dict(env or {})})

    async def begin() -> None:
        await daemon.start()
        async with lab(daemon) as there:
            await there.create("Dataset", "penguins", uri=str(PENGUINS), target="species")
            await there.create("RayCluster", "penguins", local={"numCpus": 2, "objectStoreMemory": "200Mi"})
            await there.ready("penguins", TABLES)
            await there.ready("penguins", CLUSTERS)

    try:
        asyncio.run(begin())
        yield daemon
    finally:
        daemon.kill()
        for record in units(daemon):
            processes.kill(record["process"], daemon.home.units / record["name"])
            for folder in record["removes"]:
                shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def lab(daemon: DaemonProcess) -> AsyncIterator[Lab]:
    """Somebody who asks this daemon's API server."""
    client = HttpClient.from_kubeconfig(daemon.home.kubeconfig)
    try:
        yield Lab(daemon, client)
    finally:
        await client.close()
