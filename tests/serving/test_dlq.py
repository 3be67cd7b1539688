"""Dead letters: listed, and answered after all by the revision that serves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from serving.config import load
from serving.dlq import MARK
from serving.message import Failure
from serving.records import Job, connect
from tests.support import brokers
from tests.support.asking import ask, ended, later, row
from tests.support.serving import ENVIRONMENT, ROOT, Deployment, Model, deployed

pytestmark = pytest.mark.timeout(240)
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("rabbitmq", "redis")]


def dlq(up: Deployment, *words: str) -> dict[str, Any]:
    """What serving.dlq answers."""
    command = [sys.executable, "-m", "serving.dlq", "--config", str(up.config), *words]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    line = next(line for line in done.stdout.splitlines() if line.startswith(MARK))
    found: dict[str, Any] = json.loads(line.removeprefix(MARK))
    assert done.returncode == (1 if found["error"] else 0), done.stderr
    return found


@pytest.mark.parametrize("kind", [brokers.EMBEDDED, *SLOW])
def test_what_was_given_up_is_answered_after_all(tmp_path: Path, store: Path, species: Model, kind: str) -> None:
    """Two requests that kill every worker are given up and listed. With a model that bears them, a replay has both answered: the
    accepted one where its answer was promised; nothing is left, and a second replay finds nothing to do."""
    with (
        brokers.broker(kind, tmp_path / "broker") as (_, options),
        deployed(tmp_path / "d", store, species, rough=0.0, limits={"timeoutSeconds": 60}, **options) as up,
    ):
        assert dlq(up, "list")["letters"] == []
        assert ask(up, species, island="kill").status_code == 500
        where = later(up, {**row(species), "island": "kill"})
        assert ended(up, where)["state"] == "FAILED"
        letters = dlq(up, "list")["letters"]
        assert [(one["reason"], one["revision"], one["rows"]) for one in letters] == [("WorkerLost", 1, 1)] * 2
        assert "columns" not in letters[0]
        ids = {one["id"] for one in letters}
        assert where.rpartition("/")[2] in ids
        up.kill("worker-r1-0")
        up.worker(1, species.digest)
        found = dlq(up, "replay")
        assert (set(found["replayed"]), found["revision"], found["letters"]) == (ids, 1, [])
        for ident in ids:
            answer = ended(up, f"{up.url}/requests/{ident}")
            assert (answer["state"], answer["rows"]) == ("SUCCEEDED", 1)
        assert dlq(up, "replay")["replayed"] == []


def test_one_is_replayed_and_the_other_stays(tmp_path: Path, store: Path, species: Model) -> None:
    """By its id; an id that nobody knows is said to be missing."""
    with deployed(tmp_path, store, species) as up:
        first, second = (given_up(up, species, name) for name in ("a", "b"))
        found = dlq(up, "replay", "--id", first, "--id", "nobody")
        assert (found["replayed"], found["missing"]) == ([first], ["nobody"])
        assert [one["id"] for one in found["letters"]] == [second]
        assert ended(up, f"{up.url}/requests/{first}")["state"] == "SUCCEEDED"
        assert requests.get(f"{up.url}/requests/{second}", timeout=30).json()["state"] == "FAILED"


def test_a_replay_that_is_done_again_says_what_it_did(tmp_path: Path, store: Path, species: Model) -> None:
    """Who did it died before anybody heard of it: the next one under the same name does what is left, and tells of all."""
    with deployed(tmp_path, store, species) as up:
        first, second = (given_up(up, species, name) for name in ("a", "b"))
        assert dlq(up, "replay", "--id", first, "--request", "r")["replayed"] == [first]
        found = dlq(up, "replay", "--id", first, "--id", second, "--request", "r")
        assert (found["replayed"], found["missing"], found["revision"], found["letters"]) == ([first, second], [], 1, [])
        assert dlq(up, "replay", "--request", "r")["replayed"] == [first, second]
        assert dlq(up, "replay")["replayed"] == []


def test_what_the_model_does_not_take_stays(tmp_path: Path, store: Path, species: Model) -> None:
    """A letter with other columns than those of the model that serves is left, and named."""
    with deployed(tmp_path, store, species) as up:
        ident = given_up(up, species, "a", columns={"x": [1.0]})
        found = dlq(up, "replay")
        assert (found["replayed"], found["unfit"], [one["id"] for one in found["letters"]]) == ([], [ident], [ident])


def test_where_nobody_serves_it_says_so(tmp_path: Path, store: Path, species: Model) -> None:
    """Nothing is lost by it."""
    up = Deployment(tmp_path, store)
    up.route()
    given_up(up, species, "a")
    assert "no revision serves" in dlq(up, "replay")["error"]
    assert len(dlq(up, "list")["letters"]) == 1


def given_up(up: Deployment, model: Model, name: str, columns: dict[str, list[Any]] | None = None) -> str:
    """Have the record hold a request that was given up; its id."""
    records = connect(load(up.config))
    content = columns or {key: [value] for key, value in row(model).items()}
    records.accept([Job(name, "rows", 1, model.digest, "r1", 1, columns=content, accepted=time.time())])
    assert records.fail(name, Failure("WorkerLost", "gone"), time.time())
    return name
