"""Fault 19: the broker, the result store or both are restarted or do not answer. What was accepted is answered all the same."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from serving.app.service import Service
from serving.config import load
from tests.support import brokers
from tests.support.asking import LATER, Load, ask, ended, later, row
from tests.support.serving import Deployment, Model, deployed

PATIENCE = 60
"""Workers take messages again within so many seconds, without a restart."""


@dataclass
class There:
    """A deployment and its broker."""

    server: brokers.Server
    up: Deployment
    model: Model

    def refused(self) -> float:
        """Ask for an answer later and be refused; the seconds that it took."""
        start = time.monotonic()
        answer = requests.post(f"{self.up.url}/predict", json=row(self.model), headers=LATER, timeout=60)
        assert answer.status_code == 503, answer.text
        return time.monotonic() - start


@pytest.fixture(scope="module", params=["rabbitmq", "redis"])
def there(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: Path, species: Model
) -> Iterator[There]:
    """A worker for which "slow" takes two seconds, so that there is something in hand when the broker goes."""
    folder = tmp_path_factory.mktemp(request.param)
    with (
        brokers.broker(request.param, folder / "server") as (server, options),
        deployed(folder / "d", store, species, rough=2.0, **options) as up,
    ):
        assert server is not None
        yield There(server, up, species)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_broker_that_is_killed_and_comes_back(there: There) -> None:
    """kill -9 of RabbitMQ, and of a Redis that holds the record, too, with requests waiting, queued and in hand. Meanwhile
    nothing is promised; afterwards the same processes go on, every promise is kept, and nobody got anything but an answer
    or 503."""
    up, model = there.up, there.model
    with Load(up, model, clients=4) as others:
        others.more(20)
        places = [later(up, {**row(model), "island": island}) for island in ("slow", "Dream", "Biscoe", "slow", "Dream")]
        up.until(lambda: "slow" in up.diary.read_text())
        there.server.kill()
        assert there.refused() < 30
        there.server.start()
        before = others.codes[200, 1]
        up.until(lambda: others.codes[200, 1] > before + 20, PATIENCE)
        assert [ended(up, where)["state"] for where in places] == ["SUCCEEDED"] * 5
        assert ended(up, later(up, row(model)))["state"] == "SUCCEEDED"
    assert {code for code, _ in others.codes} <= {200, 503}
    assert up.state("worker-r1-0").get("restarts", 0) == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_broker_that_does_not_answer(there: There) -> None:
    """As behind a broken network: nothing is promised, nobody hangs; when it answers again so do we, and promises are kept."""
    up, model = there.up, there.model
    places = [later(up, {**row(model), "island": island}) for island in ("slow", "Dream")]
    there.server.hang()
    try:
        assert there.refused() < 30
        assert ask(up, model).status_code == 503
        start = time.monotonic()
        state = requests.get(places[0], timeout=30)
        assert time.monotonic() - start < 2.5, "the state of a request is said, or 503, within two seconds"
        assert state.status_code == 503 or state.json()["state"] in {"PENDING", "SUCCEEDED"}
        assert requests.get(f"{up.url}/healthz", timeout=5).ok
    finally:
        there.server.resume()
    up.until(lambda: ask(up, model).status_code == 200, PATIENCE)
    assert [ended(up, where)["state"] for where in places] == ["SUCCEEDED"] * 2


def test_an_accepted_request_survives_web_worker_and_broker(tmp_path: Path, store: Path, species: Model) -> None:
    """202, then everything is killed and the embedded broker forgets all: the record alone brings the answer."""
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


def test_the_embedded_broker_is_removed_under_all_that_runs(tmp_path: Path, store: Path, species: Model) -> None:
    """Its folder vanishes, with what was in it: who waited for that gets 503, and the same processes go on."""
    with (
        deployed(tmp_path, store, species, limits={"timeoutSeconds": 2}) as up,
        Load(up, species, clients=4) as others,
    ):
        others.more(20)
        up.folder.joinpath("broker").rename(tmp_path / "gone")
        before = others.codes[200, 1]
        up.until(lambda: others.codes[200, 1] > before + 100, PATIENCE)
        assert ended(up, later(up, row(species)))["state"] == "SUCCEEDED"
        assert up.state("worker-r1-0").get("restarts", 0) == 0
    assert {code for code, _ in others.codes} <= {200, 503}


def test_a_record_that_does_not_answer_is_503_within_two_seconds(tmp_path: Path, store: Path, species: Model) -> None:
    """Nothing is promised that cannot be written down; who waits is answered all the same."""
    with deployed(tmp_path, store, species) as up:
        where = later(up, row(species))
        ended(up, where)
        blocker = sqlite3.connect(up.folder / "requests.sqlite", isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        assert requests.post(f"{up.url}/predict", json=row(species), headers=LATER, timeout=30).status_code == 503
        assert time.monotonic() - start < 2.5
        assert ask(up, species).status_code == 200
        blocker.execute("ROLLBACK")
        blocker.close()
        assert ended(up, later(up, row(species)))["state"] == "SUCCEEDED"
