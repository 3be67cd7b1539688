"""Trials on a real Ray: the same as without, and whatever is killed, finished trials never run again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rayhead import RayHead
from tests.training.conftest import LOGISTIC, result, trials
from tests.training.test_job import run, run_apart, start, wait_for

Folder = Callable[..., Path]

FOREST = {
    "name": "forest", "estimator": "RandomForestClassifier",
    "parameters": [{"name": "min_samples_leaf", "parameterType": "int", "feasibleSpace": {"min": 1, "max": 60}}],
    "fixed": [{"name": "n_estimators", "value": "250"}],
}  # fmt: skip
SLOW: dict[str, Any] = {"candidates": [FOREST, LOGISTIC], "maxTrialCount": 16, "earlyStopping": {"algorithmName": "none"}}
"""A run of some ten seconds: long enough to be killed in."""


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    head = RayHead()
    try:
        head.start()
        yield head
    finally:
        head.close()


def finish(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    try:
        assert process.wait(110) == 0, (folder / "log").read_text()[-2000:]
    finally:
        process.kill()
    return result(folder)


@pytest.mark.timeout(240)
def test_a_run_on_ray_is_the_same_as_without(run_folder: Folder, head: RayHead) -> None:
    """Two trials at once on a cluster, or one after the other in a process: the same trials, the same model."""
    alone, there = run_folder("alone", maxTrialCount=6), run_folder("ray", ray=head.request, maxTrialCount=6)
    assert run_apart(there)["modelDigest"] == run(alone)["modelDigest"]
    keep = ("number", "candidate", "parameters", "state", "metrics", "folds")
    told = [sorted(([row[key] for key in keep] for row in trials(folder)), key=lambda row: row[0]) for folder in (alone, there)]
    assert told[0] == told[1]
    assert len(told[0]) == 6
    assert head.token.read_text() not in (there / "log").read_text() + (there / "progress.json").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_is_killed(run_folder: Folder, head: RayHead) -> None:
    """kill -9 of an actor in a trial: the trial is run again, no other is, and the total is right."""
    folder = run_folder(ray=head.request, **SLOW)
    process = start(folder)
    wait_for(process, lambda: len(trials(folder)) >= 3)
    os.kill(head.workers("RayTrial")[0], signal.SIGKILL)
    found = finish(process, folder)
    assert sorted(row["number"] for row in trials(folder)) == list(range(1, 17))
    assert all(row["state"] == "Succeeded" for row in trials(folder))
    assert found["modelDigest"] == run(run_folder("straight", **SLOW))["modelDigest"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trial_that_kills_its_process_does_not_loop(run_folder: Folder, head: RayHead) -> None:
    """It is tried again twice, then it is a failed trial with the reason, and the run goes on."""
    endless = {"name": "endless", "estimator": "RandomForestClassifier", "fixed": [{"name": "n_estimators", "value": 40_000}]}
    folder = run_folder(
        ray=head.request, candidates=[endless, LOGISTIC], maxTrialCount=3, parallelTrialCount=1, trialTimeoutSeconds=600,
        screening={"timeoutSeconds": 300, "keepTop": 2}, evaluation={"folds": 2},
    )  # fmt: skip
    (folder / "screening.json").write_text(
        '[{"name": "endless", "estimator": "RandomForestClassifier", "state": "Succeeded", "score": 0.9},'
        '{"name": "logistic", "estimator": "LogisticRegression", "state": "Succeeded", "score": 0.9}]'
    )
    process = start(folder)
    killed: set[int] = set()
    end = time.monotonic() + 100
    while not trials(folder) and time.monotonic() < end:
        for pid in set(head.workers("RayTrial")) - killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    finish(process, folder)
    rows = {row["name"]: row for row in trials(folder)}
    assert rows["endless-1"]["state"] == "Failed"
    assert "its process died" in rows["endless-1"]["message"]
    assert len(killed) == 3
    assert {rows[name]["state"] for name in ("logistic-2", "logistic-3")} == {"Succeeded"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_job_is_killed(run_folder: Folder, head: RayHead) -> None:
    """kill -9 of the job: its actors go, and started again it goes on where it was."""
    folder = run_folder(ray=head.request, **SLOW)
    process = start(folder)
    wait_for(process, lambda: len(trials(folder)) >= 4)
    process.kill()
    process.wait()
    before = trials(folder)
    run_apart(folder)
    assert trials(folder)[: len(before)] == before
    assert sorted(row["number"] for row in trials(folder)) == list(range(1, 17))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_head_is_killed(run_folder: Folder, head: RayHead) -> None:
    """kill -9 of the head: the job does not wait for ever, says RayUnreachable, and goes on once the head is back."""
    folder = run_folder(ray=head.request, **SLOW)
    process = start(folder)
    wait_for(process, lambda: len(trials(folder)) >= 4)
    head.kill()
    try:
        assert process.wait(40) == 75
    finally:
        process.kill()
    assert result(folder)["error"]["reason"] == "RayUnreachable"
    before = trials(folder)
    again = start(folder)  # while there is no head: it says so, and does not begin anew
    try:
        assert again.wait(60) == 75
    finally:
        again.kill()
    assert trials(folder) == before
    head.start()
    found = run_apart(folder)
    assert trials(folder)[: len(before)] == before
    assert sorted(row["number"] for row in trials(folder)) == list(range(1, 17))
    assert found["modelDigest"] == run(run_folder("straight", **SLOW))["modelDigest"]


def test_nothing_is_reached_without_the_token_or_from_outside(head: RayHead) -> None:
    """Every port listens on loopback only, and who has no token gets nothing."""
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout.splitlines()
    mine = [line.split()[3] for line in listening if head.base <= int(line.split()[3].rpartition(":")[2]) < head.base + 100]
    assert mine
    assert all(address.rpartition(":")[0].strip("[]") in ("127.0.0.1", "::ffff:127.0.0.1", "::1") for address in mine)
