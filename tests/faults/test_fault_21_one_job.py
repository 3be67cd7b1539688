"""Fault 21: the daemon dies between starting a job and writing that down: there is one job, and one set of trials."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess
from tests.support.lab import CLUSTERS, Lab, home, lab, log, trials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SPEC: dict[str, Any] = {
    "datasetRef": {"name": "penguins"}, "clusterRef": {"name": "penguins"},
    "candidates": [{"name": "bayes", "estimator": "GaussianNB"}, {"name": "logistic", "estimator": "LogisticRegression"}],
    "objective": {"type": "maximize", "objectiveMetricName": "accuracy"}, "maxTrialCount": 2, "evaluation": {"folds": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with home(tmp_path_factory.mktemp("home")) as there:
        yield there


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("points") / "points.jsonl"


@pytest.fixture
async def at(daemon: DaemonProcess) -> AsyncIterator[Lab]:
    daemon.stop()
    await daemon.start()
    async with lab(daemon) as there:
        yield there


async def submission(at: Lab, points: Path) -> int:
    """Which write or call of a daemon that meets a new Experiment starts its job: learned from one that is not killed."""
    if not points.exists():
        at.daemon.stop()
        await at.daemon.start({"ANNEAL_CRASH_COUNT": str(points)})
        await at.ready("penguins", CLUSTERS)
        await at.create("Experiment", "clean", **SPEC)
        await at.ready("clean")
        at.daemon.stop()
    rows = [json.loads(line) for line in points.read_text().splitlines()]
    mine = [row["label"] for row in rows if row["label"].endswith("experiments/default/clean")]  # of nothing else that went on
    return mine.index("create job experiments/default/clean") + 1


@pytest.mark.parametrize("phase", ["before", "sent", "after"])
async def test_there_is_one_job(phase: str, at: Lab, points: Path) -> None:
    """Before it is started, once it runs and nobody knows, with the answer in hand: one process, one journal, one model."""
    number = await submission(at, points)
    if not at.daemon.alive:
        await at.daemon.start()
    await at.ready("penguins", CLUSTERS)
    at.daemon.stop()
    await at.daemon.start({"ANNEAL_CRASH_AT": f"{number}:{phase}"})
    made = await at.create("Experiment", phase, **SPEC)
    await at.daemon.died()
    before = at.unit(made, "job")
    assert bool(before) == (phase != "before"), "it did not crash where it should"

    await at.daemon.start()
    obj = await at.ready(phase)
    folder = await at.run(phase)
    after = at.unit(made, "job")
    assert not before or after["process"] == before["process"], "it was started again"
    assert obj["status"]["attempt"] == after["starts"] == 1
    assert obj["status"]["submissionId"] == f"{obj['status']['runId']}-1"
    assert log(folder).count("event=run.started") == 1
    assert [row["number"] for row in sorted(trials(folder), key=lambda row: row["number"])] == [1, 2]
