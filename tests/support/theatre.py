"""A daemon with a table, models that were made before, and a deployment of them: what tests of rollouts play with."""

from __future__ import annotations

import asyncio
import json
import shutil
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from drivers.local import processes
from modelstore import Store, manifest
from reconciler.client import Object, ours
from specs.meta import API_VERSION
from tests.support.cli import Cli
from tests.support.daemon import DaemonProcess, condition_of, until
from tests.support.lab import PENGUINS, TABLES, Lab, lab, units

DEPLOYMENTS = ours("modeldeployments")
NAME = "penguins"
House = tuple[DaemonProcess, Mapping[str, str]]
"""A daemon, and the models that were made for it: name → digest."""
SEEDS = {"worst": 1, "good": 2, "better": 3, "broken": 4}
"""What the Experiment's seed must be for its job to put out that model."""
PATIENCE = 120.0


def make_models(folder: Path) -> dict[str, str]:
    """Put four models into a store; name → digest. `broken` says of its golden rows what it does not predict."""
    from sklearn.linear_model import LogisticRegression

    from tests.support.serving import penguins, train

    columns, target = penguins()
    strength = {"worst": 1e-6, "good": 3e-4, "better": 1.0}
    found = {
        name: train(folder, columns, target, LogisticRegression(C=value, max_iter=500)).digest for name, value in strength.items()
    }
    return found | {"broken": _broken(folder, found["better"])}


def _broken(folder: Path, digest: str) -> str:
    """A model whose package is whole, and whose golden rows have other answers."""
    copy = folder.parent / "broken"
    shutil.copytree(folder / digest.removeprefix("sha256:"), copy)
    golden = json.loads((copy / manifest.GOLDEN).read_text())
    labels = golden["outputs"]["labels"]
    golden["outputs"]["labels"] = ["Gentoo" if label == "Adelie" else "Adelie" for label in labels]
    (copy / manifest.GOLDEN).write_bytes(manifest.canonical_json(golden))
    manifest.write(copy)
    return Store(folder).put(copy)


@dataclass
class Stage:
    """What a test says to the daemon, and what it sees."""

    lab: Lab
    models: Mapping[str, str]
    cli: Cli

    @property
    def daemon(self) -> DaemonProcess:
        """The daemon's process."""
        return self.lab.daemon

    async def show(self, model: str) -> None:
        """Have the Experiment make this model."""
        await self.edit("experiments", {"seed": SEEDS[model]})

    async def edit(self, plural: str, spec: Mapping[str, Any], name: str = NAME) -> Object:
        """Change a spec, as somebody who edits it."""
        return await self.lab.client.patch(ours(plural), "default", name, {"spec": dict(spec)})

    async def source(self, **fields: Any) -> Object:
        """Change how the deployment follows the Experiment."""
        return await self.edit("modeldeployments", {"predictor": {"model": {"fromExperiment": fields}}})

    async def deployment(self, name: str = NAME) -> Object:
        """The deployment as it is now; {} if there is none."""
        return await self.lab.get(DEPLOYMENTS, name)

    async def until(self, check: Any, seconds: float = PATIENCE, name: str = NAME) -> Object:
        """Wait until the deployment is so."""
        return await self.lab.until(name, check, seconds, DEPLOYMENTS)

    async def serves(self, model: str, name: str = NAME) -> Object:
        """Wait until this model is served, and nothing more is to do."""
        digest = self.models[model]
        return await self.until(lambda obj: status(obj).get("digest") == digest and quiet(obj), name=name)

    async def decided(self, model: str, decision: str) -> Object:
        """Wait until it is decided so about this model, and nothing more is to do."""

        def check(obj: Object) -> bool:
            row = status(obj).get("challenger") or {}
            return (row.get("digest"), row.get("decision")) == (self.models[model], decision) and quiet(obj)

        return await self.until(check)

    def processes(self, name: str = NAME) -> dict[str, int]:
        """The processes of a deployment that run: part → pid."""
        running = [row for row in units(self.daemon) if processes.alive(row["process"])]
        mine = [row for row in running if row["object"] == f"ModelDeployment/default/{name}"]
        return {row["tag"]["part"]: row["process"]["pid"] for row in mine}


def status(obj: Object) -> dict[str, Any]:
    """Its status."""
    return obj.get("status") or {}


def quiet(obj: Object) -> bool:
    """Whether what is said of it is said of its spec as it is, and nothing more will happen."""
    row = condition_of(obj, "Progressing")
    return row.get("status") == "False" and row.get("observedGeneration") == obj["metadata"]["generation"]


def asked(url: str, session: requests.Session | None = None) -> requests.Response:
    """One prediction."""
    return (session or requests).post(f"{url}/predict", json=ROW, timeout=30)


ROW = {
    "island": "Biscoe", "bill_length_mm": 50.0, "bill_depth_mm": 15.0, "flipper_length_mm": 220.0, "body_mass_g": 5200.0,
    "sex": "male", "year": 2008,
}  # fmt: skip


@dataclass
class Load:
    """People who ask without a pause; `wrong` has what they did not get."""

    url: str
    wrong: list[str] = field(default_factory=list)
    answered: int = 0

    def _ask(self, stop: threading.Event) -> None:
        with requests.Session() as session:
            while not stop.is_set():
                try:
                    answer = asked(self.url, session)
                except requests.RequestException as error:
                    self.wrong.append(repr(error))
                    continue
                if answer.status_code == 200:
                    self.answered += 1
                else:
                    self.wrong.append(f"{answer.status_code}: {answer.text[:300]}")
                stop.wait(0.02)

    @contextmanager
    def on(self, people: int = 3) -> Iterator[Load]:
        """Until the block ends, whoever asked has an answer."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(stop,)) for _ in range(people)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    async def more(self, count: int = 30) -> None:
        """Wait until so many more have been answered."""
        wanted = self.answered + count
        await until(lambda: self.answered >= wanted or self.wrong, PATIENCE, lambda: "nobody is answered any more")


@contextmanager
def listener() -> Iterator[int]:
    """Somebody who takes connections, as a Ray would; its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()


def manifest_of(kind: str, name: str = NAME, **spec: Any) -> Object:
    """One object."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def experiment(seed: int, **more: Any) -> dict[str, Any]:
    """An Experiment's spec."""
    objective = {"type": "maximize", "objectiveMetricName": "accuracy"}
    return {"datasetRef": {"name": NAME}, "clusterRef": {"name": NAME}, "objective": objective, "seed": seed, **more}


def deployment(replicas: int = 1, **source: Any) -> dict[str, Any]:
    """A ModelDeployment's spec that follows the Experiment."""
    model = {"fromExperiment": {"name": NAME, **source}}
    return {"local": {}, "web": {"workers": 1, "threads": 8}, "predictor": {"minReplicas": replicas, "model": model}}


@contextmanager
def theatre(root: Path, env: Mapping[str, str] | None = None) -> Iterator[House]:
    """A daemon that runs, with a table and a place to train, both called penguins. At the end nothing of it is left."""
    home = root / "home"
    (home / "models").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    models = make_models(home / "models")
    (home / "premade.json").write_text(json.dumps({seed: models[name] for name, seed in SEEDS.items()}))
    daemon = DaemonProcess(home, {"ANNEAL_DATA_ROOTS": str(PENGUINS.parent), **dict(env or {})}, module="tests.support.premade")

    async def begin(port: int) -> None:
        await daemon.start()
        async with lab(daemon) as there:
            await there.create("RayCluster", NAME, address=f"127.0.0.1:{port}")
            await there.create("Dataset", NAME, uri=str(PENGUINS), target="species")
            await there.ready(NAME, TABLES)

    with listener() as port:
        try:
            asyncio.run(begin(port))
            yield daemon, models
        finally:
            daemon.kill()
            end(daemon)


def end(daemon: DaemonProcess) -> None:
    """Kill whatever local process of this home is left."""
    deadline = time.monotonic() + 20
    while left := [row for row in units(daemon) if processes.alive(row["process"])]:
        for row in left:
            processes.kill(row["process"], daemon.home.units / row["name"])
        assert time.monotonic() < deadline, left


@asynccontextmanager
async def stage(daemon: DaemonProcess, models: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Somebody at the daemon's desk, with the command line in hand."""
    if not daemon.alive:
        await daemon.start()
    async with lab(daemon) as there:
        yield Stage(there, models, Cli(daemon.root))


async def cleared(at: Stage) -> None:
    """Take deployment and Experiment away, if there are any, and wait until they are gone."""
    for plural in ("modeldeployments", "experiments"):
        with suppress(Exception):
            await at.lab.client.delete(ours(plural), "default", NAME)

        async def gone(plural: str = plural) -> bool:
            return not await at.lab.get(ours(plural), NAME)

        await until(gone, PATIENCE, lambda: "what a test made does not go")
