"""Fault 9: kill -9 of the daemon, the job, Ray's head, at any moment: finished trials never run again, the total is right.

Every run of this module is of the same table, spec and seed, so whatever happened to it, it has to end in the same model.
"""

from __future__ import annotations

import json
import resource
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from reconciler.client import Object
from tests.support.daemon import DaemonProcess, condition_of, until
from tests.support.lab import CLUSTERS, EXPERIMENTS, MODELS, Lab, home, kill, lab, log, trials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TRIALS = 16
FOREST = {
    "name": "forest", "estimator": "RandomForestClassifier",
    "parameters": [{"name": "min_samples_leaf", "parameterType": "int", "feasibleSpace": {"min": 1, "max": 60}}],
    "fixed": [{"name": "n_estimators", "value": "200"}],
}  # fmt: skip
LOGISTIC = {
    "name": "logistic", "estimator": "LogisticRegression",
    "parameters": [
        {"name": "C", "parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "100", "distribution": "logUniform"}}
    ],
}  # fmt: skip
SPEC: dict[str, Any] = {
    "datasetRef": {"name": "penguins"}, "clusterRef": {"name": "penguins"}, "seed": 7, "candidates": [FOREST, LOGISTIC],
    "objective": {"type": "maximize", "objectiveMetricName": "accuracy"}, "algorithm": {"algorithmName": "tpe"},
    "parallelTrialCount": 2, "maxTrialCount": TRIALS, "evaluation": {"folds": 3},
}  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with home(tmp_path_factory.mktemp("home")) as there:
        yield there


@pytest.fixture(scope="module")
def digests() -> set[str]:
    """Of the models of all runs of this module."""
    return set()


@pytest.fixture
async def at(daemon: DaemonProcess) -> AsyncIterator[Lab]:
    if not daemon.alive:
        await daemon.start()
    async with lab(daemon) as there:
        yield there


async def ended_well(at: Lab, name: str, digests: set[str], count: int = TRIALS) -> Object:
    """It is Ready; each trial stands once in the journal, and the status counts them all; the model is that of all other runs."""
    obj = await at.ready(name)
    folder = await at.run(name)
    assert sorted(row["number"] for row in trials(folder)) == list(range(1, count + 1))
    status = obj["status"]
    assert status["trials"] == status["trialsSucceeded"] == count
    assert (status["trialsFailed"], status["trialsRunning"], status["trialsEarlyStopped"]) == (0, 0, 0)
    digests.add(status["model"]["digest"])
    assert len(digests) == 1
    told = [line.partition(" number=")[2].split()[0] for line in log(folder).splitlines() if "event=trial.finished" in line]
    assert len(told) == len(set(told)), "a finished trial was run again"
    items, _ = await at.client.list(MODELS)
    mine = [item for item in items if item["metadata"]["ownerReferences"][0]["uid"] == obj["metadata"]["uid"]]
    assert [item["spec"]["digest"] for item in mine] == [status["model"]["digest"]]
    return obj


async def test_the_daemon_is_killed(at: Lab, digests: set[str]) -> None:
    """The job does not notice, and the next daemon finds it, running or done."""
    await at.create("Experiment", "daemon", **SPEC)
    folder = await at.run("daemon")
    await at.tried(folder, 3)
    at.daemon.kill()
    await at.tried(folder, 6)
    await at.daemon.start()
    obj = await ended_well(at, "daemon", digests)
    assert obj["status"]["attempt"] == 1
    assert log(folder).count("event=run.started") == 1


async def test_the_job_is_killed_at_every_stage(at: Lab, digests: set[str]) -> None:
    """Started again it goes on; what was finished stays as it stands, byte by byte."""
    made = await at.create("Experiment", "job", backoffLimit=10, **SPEC)
    folder = await at.run("job")
    seen: list[dict[str, Any]] = []
    for stage, least in (("Features", 0), ("Screening", 0), ("Tuning", 1), ("Tuning", 5)):
        pid = await at.at_stage(made, folder, stage, least)
        kill(pid)
        await until(lambda pid=pid: at.job(made) != pid, 10)  # type: ignore[misc]
        rows = trials(folder)
        assert rows[: len(seen)] == seen
        seen = rows
    obj = await ended_well(at, "job", digests)
    assert trials(folder)[: len(seen)] == seen
    assert obj["status"]["attempt"] == 5


async def test_the_head_of_ray_is_killed(at: Lab, digests: set[str]) -> None:
    """Ray itself may wait for ever. The job ends, the head is started again, then the job, which goes on.

    Either the job finds the head gone and says so, or its own Ray ends it first, when what is left of the head is cleared away.
    """
    cluster = await at.ready("penguins", CLUSTERS)
    await at.create("Experiment", "head", **SPEC)
    folder = await at.run("head")
    before = await at.tried(folder, 2)
    kill(*at.of_ray(cluster, "gcs_server"))
    obj = await ended_well(at, "head", digests)
    assert trials(folder)[: len(before)] == before
    assert obj["status"]["attempt"] >= 2


async def test_everything_is_killed_at_once(at: Lab, digests: set[str]) -> None:
    """As a power cut does: daemon, job, head, workers. One daemon is started, and all else follows."""
    cluster = await at.ready("penguins", CLUSTERS)
    made = await at.create("Experiment", "all", **SPEC)
    folder = await at.run("all")
    await at.tried(folder, 2)
    at.daemon.kill()
    job = at.unit(made, "job")
    kill(job["process"]["pid"], at.job(made), *at.of_ray(cluster, ""))
    before = trials(folder)
    await at.daemon.start()
    await ended_well(at, "all", digests)
    assert trials(folder)[: len(before)] == before


async def test_the_disk_is_full_for_a_while(at: Lab, digests: set[str]) -> None:
    """What cannot be written down has not happened: the job ends, is started again, and goes on once there is room."""
    made = await at.create("Experiment", "full", **SPEC)
    folder = await at.run("full")
    before = await at.tried(folder, 2)
    pid = at.job(made)
    assert pid is not None
    room = (folder / "trials.jsonl").stat().st_size + 40  # bytes; a trial takes some hundred
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, room))
    await until(lambda: at.job(made) != pid, 60)
    assert trials(folder)[: len(before)] == before
    obj = await ended_well(at, "full", digests)
    assert obj["status"]["attempt"] >= 2
    assert trials(folder)[: len(before)] == before


async def test_lost_trials_are_never_run_again_in_silence(at: Lab) -> None:
    """A journal that lost trials ends the run with RestoreUnavailable, and so does every way of trying again but a new seed."""
    made = await at.create("Experiment", "lost", **SPEC | {"maxTrialCount": 6})
    folder = await at.run("lost")
    await at.ready("lost")
    path = folder / "trials.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:4]))
    for count in (8, 10):
        await at.client.patch(EXPERIMENTS, "default", "lost", {"spec": {"maxTrialCount": count}})
        obj = await at.until("lost", lambda obj: stopped_for(obj, "RestoreUnavailable"))
        assert "3 trials of 6" in condition_of(obj)["message"]
        assert "change the seed" in condition_of(obj)["message"]
        assert len(trials(folder)) == 3
    at.daemon.kill()
    await at.daemon.start()
    await at.until("lost", lambda obj: stopped_for(obj, "RestoreUnavailable"))
    assert len(trials(folder)) == 3
    assert at.job(made) is None

    path.write_bytes(whole)  # it was found in a backup
    await at.client.patch(EXPERIMENTS, "default", "lost", {"spec": {"maxTrialCount": 7}})
    await at.ready("lost")
    assert path.read_bytes().startswith(whole)
    assert len(trials(folder)) == 7


async def test_a_run_folder_that_is_gone_is_missed(at: Lab) -> None:
    """The status knows how many trials there were: a job without them does not begin anew."""
    made = await at.create("Experiment", "gone", **SPEC | {"maxTrialCount": 4})
    folder = await at.run("gone")
    await at.ready("gone")
    for name in ("trials.jsonl", "progress.json", "screening.json"):
        (folder / name).unlink()
    await at.client.patch(EXPERIMENTS, "default", "gone", {"spec": {"maxTrialCount": 6}})
    obj = await at.until("gone", lambda obj: stopped_for(obj, "RestoreUnavailable"))
    assert "0 trials of 4" in condition_of(obj)["message"]
    assert trials(folder) == []
    assert json.loads((folder / "spec.json").read_bytes())["finished"] == 4
    assert at.job(made) is None


def stopped_for(obj: Object, reason: str) -> bool:
    row = condition_of(obj)
    return row.get("reason") == reason and row.get("observedGeneration") == obj["metadata"]["generation"]
