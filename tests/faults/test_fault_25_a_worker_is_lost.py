"""Fault 25: a worker of Ray, its raylet, or a trial by itself dies: the trial is run again, or has failed; nothing loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, condition_of
from tests.support.lab import CLUSTERS, EXPERIMENTS, TRIAL_ACTORS, Lab, home, kill, lab, log, trials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOGISTIC = {
    "name": "logistic", "estimator": "LogisticRegression",
    "parameters": [
        {"name": "C", "parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "100", "distribution": "logUniform"}}
    ],
}  # fmt: skip


def forest(trees: int) -> dict[str, Any]:
    """Its default takes a moment in the screening; each trial takes as long as so many trees take."""
    space = {"list": [trees, trees + 1, trees + 2, trees + 3]}
    parameter = {"name": "n_estimators", "parameterType": "discrete", "feasibleSpace": space}
    return {"name": "forest", "estimator": "RandomForestClassifier", "parameters": [parameter]}


def spec(*candidates: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {
        "datasetRef": {"name": "penguins"}, "clusterRef": {"name": "penguins"}, "candidates": list(candidates),
        "objective": {"type": "maximize", "objectiveMetricName": "accuracy"}, "evaluation": {"folds": 2},
    }  # fmt: skip
    return {**base, **changes}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with home(tmp_path_factory.mktemp("home")) as there:
        yield there


@pytest.fixture
async def at(daemon: DaemonProcess) -> AsyncIterator[Lab]:
    async with lab(daemon) as there:
        yield there


async def test_a_worker_is_killed(at: Lab) -> None:
    """Its trial is run again by another worker; no other is, none counts as failed, and the job goes on."""
    cluster = await at.ready("penguins", CLUSTERS)
    await at.create("Experiment", "worker", **spec(forest(300), LOGISTIC, maxTrialCount=8))
    folder = await at.run("worker")
    before = await at.tried(folder, 2)
    kill(at.of_ray(cluster, *TRIAL_ACTORS)[0])
    obj = await at.ready("worker")
    rows = trials(folder)
    assert rows[: len(before)] == before
    assert sorted(row["number"] for row in rows) == list(range(1, 9))
    assert (obj["status"]["trialsSucceeded"], obj["status"]["trialsFailed"], obj["status"]["attempt"]) == (8, 0, 1)


async def test_the_raylet_is_killed(at: Lab) -> None:
    """The node is lost, and with it all workers: one head is started in its place, and the run goes on."""
    cluster = await at.ready("penguins", CLUSTERS)
    head = at.unit(cluster, "head")
    await at.create("Experiment", "raylet", **spec(forest(301), LOGISTIC, maxTrialCount=12))
    folder = await at.run("raylet")
    before = await at.tried(folder, 2)
    lost = at.of_ray(cluster, "")
    kill(*at.of_ray(cluster, "raylet/raylet"))
    obj = await at.ready("raylet")
    rows = trials(folder)
    assert rows[: len(before)] == before
    assert sorted(row["number"] for row in rows) == list(range(1, 13))
    assert (obj["status"]["trialsSucceeded"], obj["status"]["trialsFailed"]) == (12, 0)
    cluster = await at.ready("penguins", CLUSTERS)
    assert at.unit(cluster, "head")["process"] != head["process"]
    assert len(at.of_ray(cluster, "raylet/raylet")) == 1
    assert not set(lost) & set(at.of_ray(cluster, "")), "something of the old head still runs"


async def test_a_trial_that_kills_its_worker_each_time_fails(at: Lab) -> None:
    """As one does that is ended for its memory: run three times, then it counts as failed, and the others go on."""
    await at.create("Experiment", "deadly", **spec(forest(60_000), LOGISTIC, maxTrialCount=3, parallelTrialCount=1))
    folder = await at.run("deadly")
    cluster = await at.ready("penguins", CLUSTERS)
    killed: set[int] = set()
    async with asyncio.timeout(300):
        while not trials(folder):
            if "event=trial.started trial=forest-1" in log(folder):
                for pid in set(at.of_ray(cluster, *TRIAL_ACTORS)) - killed:
                    killed.add(pid)
                    kill(pid)
            await asyncio.sleep(0.05)
    await at.client.patch(EXPERIMENTS, "default", "deadly", {"spec": {"maxTrialCount": 2}})
    obj = await at.ready("deadly")
    rows = {row["name"]: row for row in trials(folder)}
    assert rows["forest-1"]["state"] == "Failed"
    assert "its process died, and again when it was tried anew (3 times)" in rows["forest-1"]["message"]
    assert rows["logistic-2"]["state"] == "Succeeded"
    assert len(killed) == 3
    assert (obj["status"]["trialsFailed"], obj["status"]["trialsSucceeded"]) == (1, 1)
    assert obj["status"]["failedTrials"][0].startswith("forest-1: its process died")


async def test_trials_that_run_out_of_memory_end_the_search(at: Lab) -> None:
    """Each is a failed trial with the reason; more of them than maxFailedTrialCount end the run, and nothing is started again."""
    sizes = [10**12, 10**12 + 1, 10**12 + 2, 10**12 + 3]
    parameter = {"name": "hidden_layer_sizes", "parameterType": "discrete", "feasibleSpace": {"list": sizes}}
    hungry = {"name": "hungry", "estimator": "MLPClassifier", "parameters": [parameter]}
    made = await at.create("Experiment", "hungry", **spec(hungry, maxTrialCount=4, maxFailedTrialCount=2, parallelTrialCount=1))
    obj = await at.stopped("hungry", "TrainingFailed")
    assert "more than maxFailedTrialCount permits" in condition_of(obj)["message"]
    assert "it ran out of memory" in condition_of(obj)["message"]
    assert obj["status"]["trialsFailed"] == 3
    assert all("it ran out of memory" in line for line in obj["status"]["failedTrials"])
    assert at.job(made) is None
    assert log(await at.run("hungry")).count("event=run.started") == 1
