"""Accepted means answered or dead-lettered, whoever dies. Workers and web processes here are real, and so is the signal."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import brokers
from tests.support.asking import Load, ask, ended, later, row, tensors
from tests.support.serving import ENVIRONMENT, ROOT, Deployment, Model, deployed


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", [brokers.EMBEDDED, pytest.param("rabbitmq", marks=pytest.mark.slow)])
def test_a_killed_worker_loses_no_request(tmp_path: Path, store: Path, species: Model, kind: str) -> None:
    """kill -9 of one of two workers, with all its children, under load: every request is answered."""
    with (
        brokers.broker(kind, tmp_path / "broker") as (_, options),
        deployed(tmp_path / "d", store, species, workers=2, limits={"timeoutSeconds": 60}, **options) as up,
        Load(up, species) as load,
    ):
        load.more()
        up.kill("worker-r1-0")
        load.more(200)
    assert set(load.codes) == {(200, 1)}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "kind", [brokers.EMBEDDED, *(pytest.param(one, marks=pytest.mark.slow) for one in ("rabbitmq", "redis"))]
)
def test_a_request_in_hand_survives_its_worker(tmp_path: Path, store: Path, species: Model, kind: str) -> None:
    """The only worker is killed while it has the request: the next one answers it within seconds, and the client never knew."""
    with (
        brokers.broker(kind, tmp_path / "broker") as (_, options),
        deployed(tmp_path / "d", store, species, rough=2.0, limits={"timeoutSeconds": 25}, **options) as up,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(ask, up, species, island="slow")
        up.until(up.diary.exists)
        up.kill("worker-r1-0")
        up.worker(1, species.digest, rough=0.0)
        assert answer.result().status_code == 200
        assert up.diary.read_text().split() == ["slow", "slow"]


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
        one = requests.post(f"{up.url}/v2/models/penguins/versions/2/infer", json=tensors(species), timeout=30).json()
        assert one["model_version"] == "2"


def test_sigterm_answers_who_is_waiting(tmp_path: Path, store: Path, species: Model) -> None:
    """The web app and then the worker are asked to end while a request is in hand: it is answered, and both end well."""
    with deployed(tmp_path, store, species, rough=2.0) as up, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, up, species, island="slow")
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


def test_a_model_that_wants_too_much_memory_is_not_served(tmp_path: Path, store: Path, species: Model) -> None:
    """More than its worker may take: the worker does not start, preflight says what to set; with enough it serves."""
    made = Deployment(tmp_path / "d", store, options={"limits": {"memoryBytes": 1 << 20}})
    made.worker(1, species.digest, wait=False)
    assert made.processes["worker-r1-0"].wait(60) == 2
    assert "predictor.resources.limits.memory" in made.state("worker-r1-0")["message"]
    result = _preflight(made, species.digest)
    assert not result["ok"]
    assert "predictor.resources.limits.memory" in result["error"]
    assert _preflight(Deployment(tmp_path / "enough", store, options={"limits": {"memoryBytes": 1 << 30}}), species.digest)["ok"]


@pytest.mark.parametrize("end", [signal.SIGABRT, signal.SIGSEGV])
def test_a_model_whose_library_ends_the_process_is_not_served(
    tmp_path: Path, store: Path, species: Model, end: signal.Signals
) -> None:
    """ONNX Runtime aborts now and then where it gets no memory: the worker ends, too, and both say what may help."""
    made = Deployment(tmp_path, store)
    what = f"import os, sys\nfrom serving import models\nmodels.load = lambda *_: os.kill(os.getpid(), {end.value})\n"
    worker = [sys.executable, "-c", f"{what}from serving.worker import main\nsys.exit(main())", "--config", str(made.config)]
    worker += ["--revision", "1", "--digest", species.digest]
    done = subprocess.run(worker, cwd=ROOT, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == 2
    told = made.state("worker-r1-0")["message"]
    result = _preflight(made, species.digest, "-c", f"{what}from serving.preflight import main\nsys.exit(main())")
    assert not result["ok"]
    for said in (told, result["error"]):
        assert end.name in said
        assert "predictor.resources.limits.memory" in said


def test_preflight_says_what_it_found(tmp_path: Path, store: Path, species: Model) -> None:
    """Engine, versions, golden rows and latency, in a file."""
    result = _preflight(Deployment(tmp_path, store), species.digest)
    assert result["ok"], result
    assert result["engine"] == "onnx"
    assert result["golden"]["checked"] > 0
    assert result["golden"]["wrong"] == 0
    assert 0 < result["latencyMs"]["p50"] <= result["latencyMs"]["p99"]
    assert "onnxruntime" in result["versions"]


def _preflight(made: Deployment, digest: str, *program: str) -> dict[str, Any]:
    out = made.folder / "preflight.json"
    what = program or ("-m", "serving.preflight")
    command = [sys.executable, *what, "--config", str(made.config), "--digest", digest, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, Any] = json.loads(out.read_text())
    assert done.returncode == (0 if found["ok"] else 1), done.stderr
    return found
