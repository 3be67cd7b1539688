"""Screening: one that dies is a row, and the others go on."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import PENGUINS, spec
from training import folds, screening
from training.data import load
from training.measuring import Problem
from training.screening import Limits, Row

MIB = 2**20


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    data = load(PENGUINS, target="species")
    folds.save(folds.make(data, spec()), folder)
    return folder


def screened(folder: Path, limits: Limits, **estimators: tuple[str, dict[str, Any]]) -> tuple[dict[str, Row], list[list[Row]]]:
    told: list[list[Row]] = []
    problem = Problem("classification", "accuracy", True, (), 0, 3, estimators)
    rows = screening.screen(problem, folder, 3, limits, lambda now: told.append(list(now)))
    return {row.name: row for row in rows}, told


def test_one_that_dies_of_memory_is_a_row(prepared: Path) -> None:
    """A candidate that wants more memory than it may have is ended; the others are scored all the same."""
    rows, told = screened(
        prepared, Limits(1, 200 * MIB, 60),
        hungry=("MLPClassifier", {"hidden_layer_sizes": [3000, 3000]}),
        greedy=("MLPClassifier", {"hidden_layer_sizes": 60_000_000}),
        modest=("GaussianNB", {}),
    )  # fmt: skip
    assert {name: row.state for name, row in rows.items()} == {
        "hungry": "OutOfMemory",
        "greedy": "OutOfMemory",
        "modest": "Succeeded",
    }
    assert "200 MiB" in rows["hungry"].message
    assert rows["modest"].score is not None
    assert rows["modest"].score > 0.6
    assert {row.state for now in told for row in now} >= {"Pending", "Running", "Succeeded", "OutOfMemory"}
    assert multiprocessing.active_children() == []


def test_one_that_takes_too_long_or_fails_is_a_row(prepared: Path) -> None:
    """With its own words."""
    rows, _ = screened(
        prepared, Limits(1, 1024 * MIB, 3),
        slow=("RandomForestClassifier", {"n_estimators": 100_000, "max_samples": 2}),
        wrong=("SVC", {"C": -1.0}),
        modest=("GaussianNB", {}),
    )  # fmt: skip
    assert {name: row.state for name, row in rows.items()} == {"slow": "TimedOut", "wrong": "Failed", "modest": "Succeeded"}
    assert "'C' parameter" in rows["wrong"].message
    assert "3 s" in rows["slow"].message


def test_a_candidate_gets_the_cores_it_may_have(prepared: Path) -> None:
    """One core each, and never more at once than there are."""
    _, told = screened(prepared, Limits(1, 1024 * MIB, 30), **{f"c{i}": ("GaussianNB", {}) for i in range(4)})
    most = max(sum(row.state == "Running" for row in now) for now in told)
    assert 1 <= most <= len(os.sched_getaffinity(0))
