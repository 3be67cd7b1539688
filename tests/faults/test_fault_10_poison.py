"""Fault 10: a request that kills its worker every time. It is delivered three times, then a dead letter; nobody else suffers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.config import load
from serving.records import connect
from tests.support import brokers
from tests.support.asking import Load, ask, ended, later, row
from tests.support.serving import Deployment, Model, deployed

pytestmark = pytest.mark.timeout(240)
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("rabbitmq", "redis")]


def deliveries(up: Deployment, island: str = "kill") -> int:
    """How often a worker was asked about it."""
    return sum(island in line.split() for line in up.diary.read_text().splitlines())


@pytest.mark.parametrize("kind", [brokers.EMBEDDED, *SLOW])
def test_it_is_given_up_and_the_others_are_answered(tmp_path: Path, store: Path, species: Model, kind: str) -> None:
    """Waited for, and accepted to be answered later: at most three deliveries each, WorkerLost, and a dead letter with what was
    asked. A second worker answers everybody else meanwhile, on every broker."""
    with (
        brokers.broker(kind, tmp_path / "broker") as (_, options),
        deployed(tmp_path / "d", store, species, workers=2, rough=0.0, limits={"timeoutSeconds": 60}, **options) as up,
        Load(up, species, clients=4) as others,
        ThreadPoolExecutor(1) as pool,
    ):
        waited = pool.submit(ask, up, species, island="kill")
        assert (waited.result().status_code, waited.result().json()["reason"]) == (500, "WorkerLost")
        assert deliveries(up) == 3
        failed = ended(up, later(up, {**row(species), "island": "kill"}))
        assert (failed["state"], failed["error"]["reason"]) == ("FAILED", "WorkerLost")
        assert deliveries(up) == 6
        others.more(50)
        letters = connect(load(up.config)).dead()
        assert [(one.reason, one.columns["island"]) for one in letters] == [("WorkerLost", ["kill"])] * 2
    assert set(others.codes) == {(200, 1)}


def test_requests_that_shared_its_message_are_answered(tmp_path: Path, store: Path, species: Model) -> None:
    """Gathered into one message with it, they are asked again one by one, so that it is alone when it kills again."""
    with (
        deployed(tmp_path, store, species, rough=1.0, web={"workers": 1}, limits={"timeoutSeconds": 90}) as up,
        ThreadPoolExecutor(8) as pool,
    ):
        first = [pool.submit(ask, up, species, island="slow") for _ in range(2)]  # both places of the window: the others gather
        up.until(up.diary.exists)
        poison = pool.submit(ask, up, species, island="kill")
        others = [pool.submit(ask, up, species, island="Dream") for _ in range(4)]
        assert (poison.result().status_code, poison.result().json()["reason"]) == (500, "WorkerLost")
        assert [one.result().status_code for one in (*first, *others)] == [200] * 6
        assert deliveries(up) == 3
        assert any(len(line.split()) > 1 for line in up.diary.read_text().splitlines() if "kill" in line), "it was alone at first"


def test_a_message_that_cannot_be_predicted_spoils_nothing(tmp_path: Path, store: Path, species: Model) -> None:
    """A model that raises for one request answers those that were gathered with it, and says nothing of its insides."""
    with deployed(tmp_path, store, species, rough=1.0, web={"workers": 1}) as up, ThreadPoolExecutor(8) as pool:
        first = [pool.submit(ask, up, species, island="slow") for _ in range(2)]
        up.until(up.diary.exists)
        asked = [pool.submit(ask, up, species, island=island) for island in ("Dream", "fail", "Dream")]
        assert [one.result().status_code for one in (*first, *asked)] == [200, 200, 200, 500, 200]
        assert "RuntimeError" not in asked[1].result().text
