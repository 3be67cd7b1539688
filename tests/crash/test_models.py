"""Crash anywhere in a model's life, converge anyway: each process is started once, and none is left in the end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.local import processes
from modelstore import manifest
from reconciler.client import ApiError, ApiUnavailable, Object, ours
from reconciler.http_client import HttpClient
from tests.support.daemon import DaemonProcess, ready
from tests.support.lab import units
from tests.support.theatre import NAME, deployment, end, experiment, listener, manifest_of, quiet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PHASES = ("before", "sent", "after")
TABLE = "sha256:" + "7" * 64
PLURALS = ("datasets", "experiments", "modeldeployments")
SECONDS = 240.0

CREATE = [
    "finalizer experiments", "finalizer modeldeployments", "create profile", "create job", "create model", "create folder",
    "create web", "create preflight", "create worker/1-0", "create worker/1-1", "update folder", "status experiments#2",
    "status modeldeployments#3",
]  # fmt: skip
CHANGE = [
    "delete job", "status experiments#2", "create job", "create model", "create score", "delete preflight", "create preflight",
    "create worker/2-0", "create worker/2-1", "update folder", "delete worker/1-0", "delete worker/1-0#2",
    "status modeldeployments#2",
]  # fmt: skip
DELETE = [
    "delete web", "delete web#2", "delete worker/2-0", "delete worker/2-1", "delete worker/2-0#2", "delete preflight",
    "delete score", "delete folder", "finalizer modeldeployments", "delete job", "delete model", "finalizer experiments",
    "delete profile",
]  # fmt: skip
LIVES = [
    pytest.param(*labels, phase, id=f"{' + '.join(labels)}: {phase}")
    for labels in zip(CREATE, CHANGE, DELETE, strict=True)
    for phase in PHASES
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A home with two models in its store, and somebody who answers as a Ray does."""
    home = tmp_path_factory.mktemp("puppets") / "home"
    (home / "models").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    models = {str(seed): package(home / "models", seed) for seed in (1, 2)}
    known = {"table": TABLE, "models": models, "scores": {models["1"]: 0.5, models["2"]: 0.9}}
    (home / "known.json").write_text(json.dumps(known))
    with listener() as port:
        there = DaemonProcess(home, module="tests.support.puppets")
        asyncio.run(begin(there, port))
        yield there
        there.kill()
        end(there)


async def begin(daemon: DaemonProcess, port: int) -> None:
    """A cluster for all lives."""
    await daemon.start()
    async with daemon.client() as client:
        await client.create(ours("rayclusters"), "default", manifest_of("RayCluster", address=f"127.0.0.1:{port}"))


def package(store: Path, seed: int) -> str:
    """A package whose files are as its manifest says. Nobody loads it."""
    folder = store / "new"
    folder.mkdir()
    for name in (manifest.SKOPS, manifest.SIGNATURE, manifest.GOLDEN, manifest.METADATA):
        (folder / name).write_text(json.dumps({"seed": seed}))
    digest = manifest.write(folder)
    folder.rename(store / manifest.hex_of(digest))
    return digest


@dataclass
class Life:
    """One table, one Experiment, one deployment; and a daemon that dies."""

    daemon: DaemonProcess
    client: HttpClient

    async def through(self, crash: str, deed: Callable[[], Awaitable[Any]], over: Callable[[], Awaitable[bool]]) -> None:
        """Do it with a daemon that is to be killed at that point, until it is done; then wait until it is over."""
        self.daemon.stop()
        await self.daemon.start({"ANNEAL_CRASH_AT": crash}, wait=False)
        done, crashed, times = False, False, 0
        async with asyncio.timeout(SECONDS):
            while not (done and crashed and times):
                if not self.daemon.alive:
                    assert not crashed, "it died of something else"
                    crashed = True
                    await self.daemon.start()
                done = done or await self._done(deed)
                times = times + 1 if done and await self._over(over) else 0
                assert crashed or times < 200, f"{crash} never came"
                await asyncio.sleep(0.02)

    async def _done(self, deed: Callable[[], Awaitable[Any]]) -> bool:
        try:
            await deed()
        except ApiUnavailable:
            return False
        except ApiError as error:
            return error.code == 409
        return True

    async def _over(self, over: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await over()
        except ApiUnavailable:
            return False

    async def get(self, plural: str) -> Object | None:
        """The one object of this kind."""
        return await self.client.get(ours(plural), "default", NAME)

    async def create(self) -> None:
        """Ask for all three; what is there already is there."""
        objects = [
            manifest_of("Dataset", uri=str(self.daemon.home.root / "known.json"), format="csv", target="y"),
            manifest_of("Experiment", **experiment(1)),
            manifest_of("ModelDeployment", **deployment(2)),
        ]
        for obj, plural in zip(objects, PLURALS, strict=True):
            if await self.get(plural) is None:
                await self.client.create(ours(plural), "default", obj)

    async def change(self) -> None:
        """Ask for another search."""
        await self.client.patch(ours("experiments"), "default", NAME, {"spec": {"seed": 2}})

    async def delete(self) -> None:
        """Ask for the end of all three."""
        for plural in reversed(PLURALS):
            if await self.get(plural) is not None:
                await self.client.delete(ours(plural), "default", NAME)

    def serves(self, revision: int) -> Callable[[], Awaitable[bool]]:
        """Whether this revision is served, and nothing more is to do."""

        async def look() -> bool:
            found = [await self.get(plural) for plural in PLURALS]
            settled = all(obj and ready(obj) and quiet(obj) for obj in found)
            return settled and (found[-1] or {})["status"].get("revision") == revision

        return look

    async def gone(self) -> bool:
        """Whether nothing is left in the API."""
        return not [plural for plural in PLURALS if await self.get(plural) is not None]

    def running(self) -> list[str]:
        """The parts whose processes run, services first of all."""
        return sorted(row["tag"]["part"] for row in units(self.daemon) if processes.alive(row["process"]))

    def starts(self) -> Counter[str]:
        """How often each process was started."""
        file = self.daemon.home.root / "diary"
        return Counter(file.read_text().splitlines() if file.exists() else [])


@pytest.fixture
async def life(daemon: DaemonProcess) -> AsyncIterator[Life]:
    """A life that has not begun; what a failed one left is taken away."""
    if not daemon.alive:
        await daemon.start()
    (daemon.home.root / "diary").unlink(missing_ok=True)
    client = HttpClient.from_kubeconfig(daemon.home.kubeconfig)
    there = Life(daemon, client)
    yield there
    daemon.stop()
    await daemon.start()
    await there.delete()
    async with asyncio.timeout(SECONDS):
        while not await there.gone():
            await asyncio.sleep(0.05)
    await client.close()


@pytest.mark.parametrize(("create", "change", "delete", "phase"), LIVES)
async def test_a_life_with_three_deaths(create: str, change: str, delete: str, phase: str, life: Life) -> None:
    """One web app, two workers, one job and one scoring, each started once, whichever call or write the daemon dies of."""
    await life.through(f"@{create}:{phase}", life.create, life.serves(1))
    assert life.running() == ["web", "worker/1-0", "worker/1-1"]
    assert {row["tag"]["part"] for row in units(life.daemon)} == {"profile", "job", "preflight", *life.running()}
    await life.through(f"@{change}:{phase}", life.change, life.serves(2))
    assert life.running() == ["web", "worker/2-0", "worker/2-1"]
    counts = life.starts()
    assert counts.pop("serving.worker 1") == counts.pop("serving.worker 2") == 2
    assert set(counts.values()) == {1}, counts
    assert Counter(line.split()[0] for line in counts) == {
        "training.profile": 1, "training.job": 2, "training.score": 1, "serving.preflight": 2, "serving.web": 1,
    }  # fmt: skip
    await life.through(f"@{delete}:{phase}", life.delete, life.gone)
    assert life.running() == []
    home = life.daemon.home
    assert [list(folder.iterdir()) for folder in (home.units, home.serving, home.runs)] == [[], [], []]
    assert (await life.client.list(ours("modelversions")))[0] == []
    assert life.starts().total() == counts.total() + 4
