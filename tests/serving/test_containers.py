"""Each process in a container of its own, as on a Swarm: no folder is shared, models are archives, the routes are in Redis.

Containers are played by folders here: each process has one, and sees nothing of the others'.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from sklearn.linear_model import LogisticRegression

from drivers.swarm.parcels import archive
from modelstore import Store
from serving import config as configuration
from tests.support import brokers
from tests.support.serving import ENVIRONMENT, ROOT, free_port, penguins, train

PATIENCE = 60.0
ROW = {"island": "Biscoe", "bill_length_mm": 50.0, "bill_depth_mm": 15.0, "flipper_length_mm": 220.0, "body_mass_g": 5200.0,
       "sex": "male", "year": 2008}  # fmt: skip


@dataclass
class Containers:
    """The processes of one deployment, each in a folder of its own."""

    root: Path
    url: str
    archives: Path
    port: int = field(default_factory=free_port)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, name: str, module: str, *words: str, models: bool = True, **more: Any) -> subprocess.Popen[bytes]:
        """Start one; `models`: whether the archives are mounted."""
        folder = self.root / name
        folder.mkdir()
        told = {
            "name": "penguins", "broker": self.url, "results": self.url, "supervised": True, "folder": str(folder),
            "store": f"archives:{self.archives if models else folder}", "port": self.port, "web": {"workers": 1, "threads": 8},
            **more,
        }  # fmt: skip
        (folder / "told.json").write_text(json.dumps(told))
        command = [sys.executable, "-m", module, "--config", str(folder / "told.json"), *words]
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, start_new_session=True)
        self.running.append(process)
        return process

    def keeper(self, serial: int, *digests: str) -> subprocess.Popen[bytes]:
        """Start what keeps a table: revision 1, 2, … of these models; the last one gets all requests."""
        rows = [
            {"revision": n, "digest": d, "queue": f"r{n}", "weight": 100 * (n == len(digests))} for n, d in enumerate(digests, 1)
        ]
        return self.run(f"keeper-{serial}", "serving.keeper", "--table", json.dumps({"serial": serial, "revisions": rows}))

    def worker(self, revision: int, digest: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.run(f"worker-{revision}", "serving.worker", "--revision", str(revision), "--digest", digest)

    def ask(self, headers: dict[str, str] | None = None) -> requests.Response:
        """One prediction."""
        return requests.post(f"http://127.0.0.1:{self.port}/predict", json=ROW, headers=headers, timeout=30)

    def serves(self, digest: str) -> bool:
        """Whether an answer comes from this model."""
        try:
            answer = self.ask()
        except requests.ConnectionError:
            return False
        return answer.status_code == 200 and answer.json()["model"]["digest"] == digest


def until(check: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder of archives, and the digests of the two models in it."""
    folder = tmp_path_factory.mktemp("models")
    columns, target = penguins()
    found = [train(folder / "store", columns, target, LogisticRegression(C=value, max_iter=500)).digest for value in (0.1, 1.0)]
    (folder / "archives").mkdir()
    for digest in found:
        (folder / "archives" / f"{digest.removeprefix('sha256:')}.tar").write_bytes(
            archive(Store(folder / "store"), digest).read()
        )
    return folder / "archives", found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[brokers.Server]:
    with brokers.redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def there(tmp_path: Path, store: brokers.Server, models: tuple[Path, list[str]]) -> Iterator[Containers]:
    made = Containers(tmp_path, store.url, models[0])
    yield made
    for process in made.running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_web_app_serves_models_that_it_was_never_given(there: Containers, models: tuple[Path, list[str]]) -> None:
    """It reads from Redis who serves, and what it must know of the model; a newer table is followed without its being started
    anew, and what was lost by Redis is there again in a moment."""
    first, second = models[1]
    there.run("web", "serving.web", models=False)
    there.worker(1, first)
    old = there.keeper(1, first)
    until(lambda: there.serves(first))
    there.worker(2, second)
    old.terminate()
    assert old.wait(PATIENCE) == 0
    there.keeper(2, first, second)
    until(lambda: there.serves(second))
    keys = redis.Redis.from_url(there.url)
    for key in keys.keys("anneal:*:routes") + keys.keys("anneal:*:card:*"):
        keys.delete(key)
    until(lambda: len(keys.keys("anneal:*:routes") + keys.keys("anneal:*:card:*")) == 3)
    assert there.serves(second)


def test_the_pace_is_each_client_s_own_though_all_come_through_the_proxy(
    there: Containers, models: tuple[Path, list[str]]
) -> None:
    """Who asks too much is told so, and nobody else; an address that a client invents for itself changes nothing."""
    there.run("web", "serving.web", models=False, limits={"requestsPerSecond": 1})
    there.worker(1, models[1][0])
    there.keeper(1, models[1][0])
    until(lambda: there.serves(models[1][0]))

    def codes(client: str) -> set[int]:
        return {there.ask({"X-Forwarded-For": f"10.9.9.{n}, {client}"}).status_code for n in range(30)}

    assert codes("10.0.0.1") == {200, 429}
    assert there.ask({"X-Forwarded-For": "10.0.0.2"}).status_code == 200


def test_an_older_table_never_replaces_a_newer_one(there: Containers, models: tuple[Path, list[str]]) -> None:
    """A keeper that was cut off and comes back sees that its table is an old one, changes nothing and ends."""
    first, second = models[1]
    there.keeper(2, first, second)
    keys = redis.Redis.from_url(there.url)
    until(lambda: keys.keys("anneal:*:routes"))
    (key,) = keys.keys("anneal:*:routes")
    before = keys.get(key)
    assert there.keeper(1, first).wait(PATIENCE) == 3
    assert keys.get(key) == before


def test_a_worker_ends_with_the_process_that_it_looks_after(there: Containers, models: tuple[Path, list[str]]) -> None:
    """So that the orchestrator sees it, counts it, and starts another one."""
    import psutil

    worker = there.worker(1, models[1][0])
    until(lambda: '"ready":true' in "".join(f.read_text() for f in (there.root / "worker-1").glob("state/*.json")))
    (child,) = psutil.Process(worker.pid).children()
    child.kill()
    assert worker.wait(PATIENCE) != 0


def test_a_model_that_is_not_as_it_was_packaged_is_not_loaded(there: Containers, models: tuple[Path, list[str]]) -> None:
    """An archive that decayed: its worker says which file, and ends with 2."""
    first, second = models[1]
    bad = there.root / "archives"
    bad.mkdir()
    there.archives = bad
    (bad / f"{first.removeprefix('sha256:')}.tar").write_bytes((models[0] / f"{second.removeprefix('sha256:')}.tar").read_bytes())
    assert there.worker(1, first).wait(PATIENCE) == 2


def test_the_same_package_gives_the_same_archive(models: tuple[Path, list[str]]) -> None:
    """So it gets the same name, and travels once."""
    store = Store(models[0].parent / "store")
    assert archive(store, models[1][0]).read() == archive(store, models[1][0]).read()


def test_a_password_is_read_from_a_file_within_the_url(tmp_path: Path) -> None:
    """Whatever characters it has; the configuration itself holds none."""
    (tmp_path / "word").write_text("a/b@c\n")
    url = f"amqp://u:{{file:{tmp_path}/word}}@broker:5672//"
    (tmp_path / "c.json").write_text(json.dumps({"name": "a", "store": "s", "broker": url}))
    assert configuration.load(tmp_path / "c.json").broker == "amqp://u:a%2Fb%40c@broker:5672//"
