"""Trials on a real Ray: the same as without, and whatever is killed, finished trials never run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rayhead import RayHead
from tests.training.conftest import LOGISTIC, result, trials
from tests.training.test_job import chosen, run, run_apart, start, wait_for

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


@pytest.mark.timeout(240)
def test_a_run_on_ray_is_the_same_as_without(run_folder: Folder, head: RayHead) -> None:
    """Two trials at once on a cluster, or one after the other in a process: the same trials, the same model."""
    alone, there = run_folder("alone", maxTrialCount=6), run_folder("ray", ray=head.request, maxTrialCount=6)
    assert run_apart(there)["modelDigest"] == run(alone)["modelDigest"]
    assert chosen(alone) == chosen(there)
    assert len(trials(there)) == 6
    assert head.token.read_text() not in (there / "log").read_text() + (there / "progress.json").read_text()


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
