"""Accepted means answered or dead-lettered, whoever dies. Workers and web processes here are real, and so is the signal."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from serving.app.service import Service
from serving.config import load
from tests.serving.conftest import row
from tests.support.serving import ENVIRONMENT, ROOT, Deployment, Model, deployed

LATER = {"Prefer": "respond-async"}


class Load:
    """Clients that ask all the time and keep account of what they got."""

    def __init__(self, deployment: Deployment, model: Model, clients: int = 8) -> None:
        self.codes: Counter[Any] = Counter()
        self._over = threading.Event()
        self._deployment, self._row = deployment, row(model)
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._over.is_set():
                try:
                    answer = session.post(f"{self._deployment.url}/predict", json=self._row, timeout=90)
                    self.codes[answer.status_code, answer.json().get("model", {}).get("revision")] += 1
                except requests.RequestException as error:
                    self.codes[type(error).__name__, None] += 1

    def until(self, true: Callable[[], bool]) -> None:
        """Go on until something holds."""
        self._deployment.until(true)

    def more(self, count: int = 50) -> None:
        """Go on for some more answers."""
        goal = self.total + count
        self.until(lambda: self.total >= goal)

    @property
    def total(self) -> int:
        """Answers so far."""
        return sum(self.codes.values())


def later(up: Deployment, values: dict[str, Any]) -> str:
    """Ask without waiting; where to look."""
    answer = requests.post(f"{up.url}/predict", json=values, headers=LATER, timeout=30)
    assert answer.status_code == 202, answer.text
    return up.url + answer.headers["Location"]


def ended(up: Deployment, where: str) -> dict[str, Any]:
    """The answer, once it is there."""
    up.until(lambda: requests.get(where, timeout=30).status_code == 200)
    found: dict[str, Any] = requests.get(where, timeout=30).json()
    return found


def test_a_killed_worker_loses_no_request(tmp_path: Path, store: Path, species: Model) -> None:
    """kill -9 of one of two workers, with all its children, under load: every request is answered."""
    with deployed(tmp_path, store, species, workers=2) as up, Load(up, species) as load:
        load.more()
        up.kill("worker-r1-0")
        load.more(200)
    assert set(load.codes) == {(200, 1)}


def test_a_request_in_hand_survives_its_worker(tmp_path: Path, store: Path, species: Model) -> None:
    """The only worker is killed while it has the request: the next one answers it, and the client never knew."""
    with deployed(tmp_path, store, species, rough=2.0, limits={"timeoutSeconds": 60}) as up, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(requests.post, f"{up.url}/predict", json={**row(species), "island": "slow"}, timeout=60)
        up.until(up.diary.exists)
        up.kill("worker-r1-0")
        up.worker(1, species.digest, rough=0.0)
        assert answer.result().status_code == 200
        assert up.diary.read_text().split() == ["slow", "slow"]


@pytest.mark.timeout(180)
def test_fault_10_what_kills_its_worker_is_given_up_and_the_others_are_answered(
    tmp_path: Path, store: Path, species: Model
) -> None:
    """At most three deliveries, then a dead letter with its content; requests that shared its message are answered."""
    with (
        deployed(tmp_path, store, species, rough=1.0, web={"workers": 1}, limits={"timeoutSeconds": 90}) as up,
        ThreadPoolExecutor(8) as pool,
    ):
        first = [pool.submit(_ask, up, species, "slow") for _ in range(2)]  # both places of the window: the others gather
        up.until(up.diary.exists)
        poison = pool.submit(_ask, up, species, "kill")
        others = [pool.submit(_ask, up, species, "Dream") for _ in range(4)]
        dead = poison.result()
        assert (dead.status_code, dead.json()["reason"]) == (500, "WorkerLost")
        assert [one.result().status_code for one in (*first, *others)] == [200] * 6
        assert sum("kill" in line for line in up.diary.read_text().splitlines()) == 3
        assert any(line.split() != ["kill"] for line in up.diary.read_text().splitlines() if "kill" in line), (
            "it shared a message at first"
        )
        (letter,) = Service(load(up.config)).records.dead()
        assert (letter.reason, letter.columns["island"]) == ("WorkerLost", ["kill"])


def _ask(up: Deployment, model: Model, island: str) -> requests.Response:
    return requests.post(f"{up.url}/predict", json={**row(model), "island": island}, timeout=120)


@pytest.mark.timeout(180)
def test_an_accepted_poison_fails_and_says_why(tmp_path: Path, store: Path, species: Model) -> None:
    """FAILED with a reason, after three deliveries; the next request is answered."""
    with deployed(tmp_path, store, species, rough=0.0) as up:
        failed = ended(up, later(up, {**row(species), "island": "kill"}))
        assert (failed["state"], failed["error"]["reason"]) == ("FAILED", "WorkerLost")
        assert up.diary.read_text().split() == ["kill"] * 3
        assert ended(up, later(up, row(species)))["state"] == "SUCCEEDED"


def test_one_requests_values_do_not_spoil_the_others(tmp_path: Path, store: Path, species: Model) -> None:
    """A model that raises for one request answers those that were gathered with it."""
    with deployed(tmp_path, store, species, rough=1.0, web={"workers": 1}) as up, ThreadPoolExecutor(8) as pool:
        first = [pool.submit(_ask, up, species, "slow") for _ in range(2)]
        up.until(up.diary.exists)
        asked = [pool.submit(_ask, up, species, island) for island in ("Dream", "fail", "Dream")]
        assert [one.result().status_code for one in (*first, *asked)] == [200, 200, 200, 500, 200]
        assert "RuntimeError" not in asked[1].result().text


def test_without_workers_who_waits_gets_503_and_who_does_not_stays_pending(tmp_path: Path, store: Path, species: Model) -> None:
    """The web process never predicts. A worker that comes later answers what was accepted."""
    with deployed(tmp_path, store, species, workers=0, limits={"timeoutSeconds": 1}) as up:
        start = time.monotonic()
        waited = requests.post(f"{up.url}/predict", json=row(species), timeout=30)
        assert (waited.status_code, waited.headers["Retry-After"]) == (503, "1")
        assert time.monotonic() - start < 5
        where = later(up, row(species))
        assert requests.get(where, timeout=30).json()["state"] == "PENDING"
        up.worker(1, species.digest)
        assert ended(up, where)["result"]["predictions"][0]["prediction"] == "Adelie"


def test_fault_19_an_accepted_request_survives_web_worker_and_broker(tmp_path: Path, store: Path, species: Model) -> None:
    """202, then everything is killed and the broker forgets all: the record alone brings the answer."""
    with deployed(tmp_path, store, species, workers=0) as up:
        places = [later(up, row(species, i)) for i in range(5)]
        up.stop()
        shutil.rmtree(up.folder / "broker")
        up.web()
        up.worker(1, species.digest)
        service = Service(load(up.config))
        service.start()
        service.sweep(time.time() + 31)
        service.stop()
        assert [ended(up, where)["state"] for where in places] == ["SUCCEEDED"] * 5


def test_fault_19_a_record_that_does_not_answer_is_503_within_two_seconds(tmp_path: Path, store: Path, species: Model) -> None:
    """Nothing is promised that cannot be written down; who waits is answered all the same."""
    with deployed(tmp_path, store, species) as up:
        where = later(up, row(species))
        ended(up, where)
        blocker = sqlite3.connect(up.folder / "requests.sqlite", isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        assert requests.post(f"{up.url}/predict", json=row(species), headers=LATER, timeout=30).status_code == 503
        assert time.monotonic() - start < 2.5
        assert requests.post(f"{up.url}/predict", json=row(species), timeout=30).status_code == 200
        blocker.execute("ROLLBACK")
        assert ended(up, later(up, row(species)))["state"] == "SUCCEEDED"


@pytest.mark.timeout(180)
def test_fault_31_what_takes_too_long_is_ended_and_does_not_loop(tmp_path: Path, store: Path, species: Model) -> None:
    """The time limit ends it three times, then it is a dead letter."""
    limits = {"taskTimeLimitSeconds": 1, "consumerTimeoutSeconds": 2, "timeoutSeconds": 60}
    with deployed(tmp_path, store, species, rough=60.0, limits=limits) as up:
        failed = ended(up, later(up, {**row(species), "island": "slow"}))
        assert (failed["state"], failed["error"]["reason"]) == ("FAILED", "WorkerLost")
        assert up.diary.read_text().split() == ["slow"] * 3


def test_fault_31_a_time_limit_beyond_the_brokers_is_refused_at_the_start(tmp_path: Path, store: Path) -> None:
    """The broker would hand out again what is still being computed: no process starts so."""
    made = Deployment(tmp_path, store, options={"limits": {"taskTimeLimitSeconds": 60, "consumerTimeoutSeconds": 60}})
    for module in (["serving.web"], ["serving.worker", "--revision", "1", "--digest", "sha256:" + "0" * 64]):
        command = [sys.executable, "-m", *module[:1], "--config", str(made.config), *module[1:]]
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert "taskTimeLimitSeconds (60) must be less than consumerTimeoutSeconds (60)" in done.stderr


def test_fault_32_unknown_is_404_and_expired_is_410(tmp_path: Path, store: Path, species: Model) -> None:
    """An id that was never given is not pending; one whose time is over says how it ended. Ids cannot be guessed."""
    with deployed(tmp_path, store, species) as up:
        places = [later(up, row(species)) for _ in range(3)]
        ended(up, places[0])
        ids = [where.rsplit("/", 1)[1] for where in places]
        assert len(set(ids)) == 3
        assert min(map(len, ids)) >= 22  # 128 bits
        assert requests.get(f"{up.url}/requests/{'A' * 22}", timeout=30).status_code == 404
        Service(load(up.config)).records.expire(time.time() + 7200, 3600)
        gone = requests.get(places[0], timeout=30)
        assert (gone.status_code, gone.json()["state"]) == (410, "SUCCEEDED")
        assert requests.get(f"{places[0]}/results.csv", timeout=30).status_code == 410
        Service(load(up.config)).records.expire(time.time() + 3600 * 30, 3600)
        assert requests.get(places[0], timeout=30).status_code == 404


@pytest.mark.timeout(180)
def test_a_switch_of_revisions_under_load_fails_no_request(
    tmp_path: Path, store: Path, species: Model, other_species: Model
) -> None:
    """Start new, switch, drain old: not one request fails, and the last ones are answered by the new revision."""
    with deployed(tmp_path, store, species) as up, Load(up, species) as load:
        load.more()
        up.worker(2, other_species.digest)
        up.route((2, other_species.digest, 100))
        load.until(lambda: load.codes[200, 2] > 50)
        assert up.kill("worker-r1-0", signal.SIGTERM) == 0
        load.more(100)
        before = load.codes[200, 1]
        load.more(100)
        assert load.codes[200, 1] == before
    assert set(load.codes) == {(200, 1), (200, 2)}


def test_requests_whose_revision_is_gone_are_answered_by_the_new_one(
    tmp_path: Path, store: Path, species: Model, other_species: Model
) -> None:
    """Even if the old workers were ended too early, who waits is asked again at the new revision, and so is what was accepted."""
    with deployed(tmp_path, store, species, workers=0) as up, ThreadPoolExecutor(4) as pool:
        where = later(up, row(species))
        waiting = [pool.submit(requests.post, f"{up.url}/predict", json=row(species), timeout=60) for _ in range(4)]
        up.until(lambda: _waiting(up) == 4)
        up.worker(2, other_species.digest)
        up.route((2, other_species.digest, 100))
        assert [one.result().json()["model"]["revision"] for one in waiting] == [2] * 4
        assert ended(up, where)["state"] == "SUCCEEDED"


def _waiting(up: Deployment) -> float:
    lines = requests.get(f"{up.url}/metrics", timeout=30).text.splitlines()
    values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("anneal_serving_waiting_requests ")]
    return sum(values)


def test_shares_are_kept(tmp_path: Path, store: Path, species: Model, other_species: Model) -> None:
    """Weights 75 to 25 are what requests meet, and a version that is asked for is the one that answers."""
    with deployed(tmp_path, store, species) as up:
        up.worker(2, other_species.digest)
        up.route((1, species.digest, 75), (2, other_species.digest, 25))
        up.until(lambda: requests.get(f"{up.url}/v2/models/penguins/versions/2", timeout=30).ok)
        with requests.Session() as session:
            got = Counter(
                session.post(f"{up.url}/predict", json=row(species), timeout=30).json()["model"]["revision"] for _ in range(200)
            )
        assert 20 < got[2] < 85
        from tests.serving.conftest import tensors

        one = requests.post(f"{up.url}/v2/models/penguins/versions/2/infer", json=tensors(species), timeout=30).json()
        assert one["model_version"] == "2"


def test_sigterm_answers_who_is_waiting(tmp_path: Path, store: Path, species: Model) -> None:
    """The web app and then the worker are asked to end while a request is in hand: it is answered, and both end well."""
    with deployed(tmp_path, store, species, rough=2.0) as up, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_ask, up, species, "slow")
        up.until(up.diary.exists)
        up.processes["worker-r1-0"].send_signal(signal.SIGTERM)
        assert up.kill("web", signal.SIGTERM) == 0
        assert answer.result().status_code == 200
        assert up.kill("worker-r1-0", signal.SIGTERM) == 0
        assert up.state("web")["ready"] is False
        assert up.state("worker-r1-0")["ready"] is False


def test_a_damaged_model_is_not_served(tmp_path: Path, store: Path, species: Model) -> None:
    """One byte of it changed: the worker does not start, says why, and preflight says the same."""
    copy = tmp_path / "models"
    shutil.copytree(store, copy)
    file = copy / species.digest.removeprefix("sha256:") / "model.onnx"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    made = Deployment(tmp_path / "d", copy)
    made.worker(1, species.digest, wait=False)
    assert made.processes["worker-r1-0"].wait(60) == 2
    assert "model.onnx" in made.state("worker-r1-0")["message"]
    result = _preflight(made, species.digest)
    assert not result["ok"]
    assert "model.onnx" in result["error"]


def test_preflight_says_what_it_found(tmp_path: Path, store: Path, species: Model) -> None:
    """Engine, versions, golden rows and latency, in a file."""
    result = _preflight(Deployment(tmp_path, store), species.digest)
    assert result["ok"], result
    assert result["engine"] == "onnx"
    assert result["golden"]["checked"] > 0
    assert result["golden"]["wrong"] == 0
    assert 0 < result["latencyMs"]["p50"] <= result["latencyMs"]["p99"]
    assert "onnxruntime" in result["versions"]


def _preflight(made: Deployment, digest: str) -> dict[str, Any]:
    out = made.folder / "preflight.json"
    command = [sys.executable, "-m", "serving.preflight", "--config", str(made.config), "--digest", digest, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, Any] = json.loads(out.read_text())
    assert done.returncode == (0 if found["ok"] else 1), done.stderr
    return found
