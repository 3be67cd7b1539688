"""From columns to features: each column by its type, what says nothing left out, what was chosen told with its score."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import modelstore
from tests.training.conftest import LOGISTIC, trials
from training.run import Run

Folder = Callable[..., Path]
ROWS = 240


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One column of each sort. `size` and `town` decide the target."""
    rng = np.random.default_rng(3)
    size, town, day = rng.normal(10, 3, ROWS), rng.integers(0, 24, ROWS), rng.integers(0, 900, ROWS)
    member = rng.random(ROWS) < 0.5
    seen = pd.Timestamp("2020-01-01") + pd.to_timedelta(day, unit="D")
    answer = np.where(size + (town % 2) * 8 > 14, "yes", "no")
    frame = pd.DataFrame(
        {
            "id": np.arange(ROWS) + 1000,
            "code": [f"c-{i:04d}-{rng.integers(10**6)}" for i in range(ROWS)],
            "planet": "earth",
            "size": np.where(rng.random(ROWS) < 0.1, np.nan, size),
            "noise": rng.normal(0, 1, ROWS),
            "lucky": rng.integers(1, 7, ROWS),
            "member": np.where(member, "true", "false"),
            "colour": rng.choice(["red", "green", "blue"], ROWS),
            "town": [f"town {number}" for number in town],
            "seen": seen.strftime("%Y-%m-%d"),
            "answer": answer,
        }
    )
    frame.loc[rng.random(ROWS) < 0.2, "colour"] = None
    path = tmp_path_factory.mktemp("table") / "all-sorts.csv"
    frame.to_csv(path, index=False)
    return path


def features(run_folder: Folder, table: Path, **changes: Any) -> tuple[dict[str, dict[str, Any]], str, dict[str, Any]]:
    """Of a run: its features by name, what the stage says, what the model's package says."""
    folder = run_folder(table=table, target="answer", candidates=[LOGISTIC], maxTrialCount=1, **changes)
    assert Run(folder).go() == 0, (folder / "log").read_text()[-2000:]
    assert len(trials(folder)) == 1
    told = json.loads((folder / "progress.json").read_bytes())
    stage = next(row["message"] for row in told["stages"] if row["name"] == "Features")
    digest = json.loads((folder / "result.json").read_bytes())["modelDigest"]
    package = modelstore.load(modelstore.Store(folder.parent / "models").path(digest))
    return {row["name"]: row for row in told["features"]}, stage, package.metadata


def test_each_column_is_prepared_by_its_type(run_folder: Folder, table: Path) -> None:
    """Numbers with an indicator of gaps, truth values, few categories as columns, many as means of the target, dates in parts."""
    found, stage, model = features(run_folder, table)
    assert {"size", "missingindicator_size", "noise", "lucky", "member"} <= found.keys()
    assert {"colour=red", "colour=green", "colour=blue", "colour=<missing>"} <= found.keys()
    assert [name for name in found if name.startswith("town")] == ["town:mean"]
    assert len([name for name in found if name.startswith("seen ")]) > 3
    assert model["dropped"] == {"id": "unique", "code": "unique", "planet": "constant"}
    assert all(f"{name} is {why}" in stage for name, why in model["dropped"].items())
    assert {row["name"] for row in model["importances"]} == set(pd.read_csv(table).columns) - {"answer"}
    assert model["importances"][0]["name"] in ("size", "town")


@pytest.mark.parametrize("method", ["mutualInformation", "fTest", "modelBased"])
def test_features_are_chosen_by_their_scores(run_folder: Folder, table: Path, method: str) -> None:
    """The best that may be kept are kept, what decides the target among them; every feature's score is told, best first."""
    found, stage, _ = features(run_folder, table, features={"selection": {"method": method, "maxFeatures": 4}})
    scores = [row["score"] for row in found.values()]
    assert None not in scores
    assert scores == sorted(scores, reverse=True)
    assert [row["chosen"] for row in found.values()] == [True] * 4 + [False] * (len(found) - 4)
    assert {"size", "town:mean"} <= {name for name, row in found.items() if row["chosen"]}
    assert stage.startswith(f"4 of {len(found)} features")


def test_no_selection_keeps_all(run_folder: Folder, table: Path) -> None:
    """method none: nothing is scored, everything is kept; and what is excluded is not there."""
    found, _, model = features(run_folder, table, features={"exclude": ["size", "id"]})
    assert {(row["score"], row["chosen"]) for row in found.values()} == {(None, True)}
    assert not [name for name in found if "size" in name]
    assert "id" not in model["dropped"]


def test_where_high_cardinality_begins_is_the_spec_s(run_folder: Folder, table: Path) -> None:
    """From so many values on a category is told by the mean of the target."""
    found, _, _ = features(run_folder, table, features={"highCardinality": 3})
    assert {"colour:mean", "town:mean"} <= found.keys()
