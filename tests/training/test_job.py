"""A run of an Experiment as a process: the same model twice, nothing twice after a kill, and words for what cannot be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import modelstore
from tests.training.conftest import DIAMONDS, LOGISTIC, PENGUINS, ROOT, TREE, result, trials
from training.run import Run
from training.runid import code_digest, run_id
from training.score import score

Folder = Callable[..., Path]


def start(folder: Path, *command: str, **env: str) -> subprocess.Popen[bytes]:
    """The job as a process of its own."""
    words = [sys.executable, "-m", *(command or ("training.job", "--run")), str(folder)]
    return subprocess.Popen(words, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"} | env)


def run(folder: Path, code: int = 0) -> dict[str, Any]:
    """In this process: importing scikit-learn again for each run would take longer than the run."""
    assert Run(folder).go() == code, (folder / "log").read_text()[-2000:]
    return result(folder)


def run_apart(folder: Path, *command: str, **env: str) -> dict[str, Any]:
    process = start(folder, *command, **env)
    try:
        assert process.wait(200) == 0, (folder / "log").read_text()[-2000:]
    finally:
        process.kill()
    return result(folder)


def elsewhere(folder: Path, place: Path) -> Path:
    """The same run in another home: other paths of the run, the table and the store."""
    there = place / "another home" / "runs" / "x"
    there.mkdir(parents=True)
    request = json.loads((folder / "spec.json").read_bytes())
    table = there.parents[1] / "table.csv"
    shutil.copy(request["dataset"]["path"], table)
    request["dataset"]["path"], request["store"] = str(table), str(there.parent / "models")
    (there / "spec.json").write_text(json.dumps(request))
    return there


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def predictor(folder: Path, digest: str) -> modelstore.Predictor:
    return modelstore.load(modelstore.Store(folder.parent / "models").path(digest), expect=digest)


CHOSEN = ("number", "candidate", "parameters", "state", "metrics", "folds")
"""What of a trial does not depend on when and where it ran."""


def chosen(folder: Path) -> list[list[Any]]:
    return sorted(([row[key] for key in CHOSEN] for row in trials(folder)), key=lambda row: row[0])


def test_the_same_model_twice(run_folder: Folder, tmp_path: Path) -> None:
    """Same table, code, spec and seed: same digest, in another process and home, with trials that end in another order."""
    asked = {"algorithm": {"algorithmName": "tpe"}, "features": {"selection": {"method": "mutualInformation", "maxFeatures": 6}}}
    one = run_folder("one", maxTrialCount=14, **asked)
    two = elsewhere(one, tmp_path)
    found, again = run(one), run_apart(two, "tests.training.backwards", PYTHONHASHSEED="77")
    assert found["modelDigest"] == again["modelDigest"]
    assert chosen(one) == chosen(two)
    assert [row["number"] for row in trials(one)] != [row["number"] for row in trials(two)]
    assert len(trials(one)) == 14
    assert found["heldout"]["accuracy"] > 0.9
    model = predictor(one, found["modelDigest"])
    assert model.metadata["lineage"]["seed"] == 42
    assert model.metadata["metrics"] == found["heldout"]
    assert {"importances", "confusionMatrix", "features", "crossValidation"} <= model.metadata.keys()
    columns = {name: [value] for name, value in model.signature.example().items()}
    assert model.predict(columns).labels[0] in ("Adelie", "Chinstrap", "Gentoo")
    assert run(run_folder("other", **asked, maxTrialCount=3, seed=43))["modelDigest"] != found["modelDigest"]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_automatic_candidates_end_in_one_model(run_folder: Folder, tmp_path: Path, task: str) -> None:
    """`candidates: auto` for either task: each is screened, two are tuned, and twice is the same."""
    asked: dict[str, Any] = {"candidates": "auto", "maxTrialCount": 6, "screening": {"keepTop": 2}}
    if task == "regression":
        table = tmp_path / "some.csv"
        pd.read_csv(DIAMONDS).sample(1200, random_state=0).to_csv(table, index=False)
        asked |= {"table": table, "target": "price", "objective": {"type": "minimize", "objectiveMetricName": "mae"}}
    one = run_folder("one", **asked)
    two = elsewhere(one, tmp_path)
    found, again = run(one), run_apart(two, "tests.training.backwards", PYTHONHASHSEED="5")
    assert found["modelDigest"] == again["modelDigest"]
    assert chosen(one) == chosen(two)
    rows = json.loads((one / "progress.json").read_bytes())["candidates"]
    assert len(rows) == 5
    assert {row["state"] for row in rows} == {"Succeeded"}
    best = sorted(rows, key=lambda row: row["score"], reverse=task == "classification")[:2]
    assert {row["candidate"] for row in trials(one)} == {row["name"] for row in best}


def test_progress_tells_stages_trials_and_candidates(run_folder: Folder) -> None:
    """What `anneal up` shows while it happens stands in progress.json; what happened, in the log, with each trial's number."""
    folder = run_folder(maxTrialCount=4)
    run(folder)
    told = json.loads((folder / "progress.json").read_bytes())
    assert [row["name"] for row in told["stages"]] == [
        "Reading", "Features", "Screening", "Tuning", "Refit", "Evaluation", "Packaging",
    ]  # fmt: skip
    assert all(row["state"] == "Succeeded" and row["finished"] >= row["started"] for row in told["stages"])
    counts = told["trials"]
    assert counts["succeeded"] + counts["earlyStopped"] == counts["total"] == 4
    assert counts["running"] == counts["failed"] == 0
    assert {row["name"]: row["state"] for row in told["candidates"]} == {"logistic": "Succeeded", "tree": "Succeeded"}
    assert told["best"]["trial"].startswith(told["best"]["candidate"])
    assert {row["name"] for row in told["features"]} >= {"bill_length_mm", "island=Biscoe"}
    log = (folder / "log").read_text()
    assert all(f"number={number} " in log for number in range(1, 5))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_and_started_again(run_folder: Folder) -> None:
    """kill -9 in the middle, at several points: finished trials stay as they are, the total is right, the model is the same."""
    forest = {
        "name": "forest", "estimator": "RandomForestClassifier",
        "parameters": [{"name": "min_samples_leaf", "parameterType": "int", "feasibleSpace": {"min": 1, "max": 40}}],
    }  # fmt: skip
    slow = {"candidates": [forest, LOGISTIC], "maxTrialCount": 12, "earlyStopping": {"algorithmName": "none"}}
    straight = run(run_folder("straight", **slow))
    folder = run_folder("killed", **slow)
    seen: list[dict[str, Any]] = []
    for count in (1, 4):
        process = start(folder)
        wait_for(process, lambda most=count: len(trials(folder)) >= most)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert trials(folder)[: len(seen)] == seen
        seen = trials(folder)
        assert not (folder / "result.json").exists()
    assert run(folder)["modelDigest"] == straight["modelDigest"]
    assert trials(folder)[: len(seen)] == seen
    assert sorted(row["number"] for row in trials(folder)) == list(range(1, 13))


def test_a_raised_count_goes_on(run_folder: Folder) -> None:
    """maxTrialCount is raised: the trials that there are stay, the new ones follow, and the model is that of the large count."""
    folder = run_folder("raised", maxTrialCount=4)
    run(folder)
    before = trials(folder)
    run_folder("raised", maxTrialCount=8)
    found = run(folder)
    assert trials(folder)[:4] == before
    assert len(trials(folder)) == 8
    assert found["modelDigest"] == run(run_folder("large", maxTrialCount=8))["modelDigest"]


@pytest.mark.parametrize("left", [0, 1, 3], ids=["the file is gone", "no trial is left", "some are lost"])
def test_lost_trials_are_not_run_again_in_silence(run_folder: Folder, left: int) -> None:
    """A journal that lost trials fails loudly with RestoreUnavailable, however often it is tried; put back, it goes on."""
    folder = run_folder(maxTrialCount=4)
    run(folder)
    path = folder / "trials.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    if left:
        path.write_bytes(b"".join(lines[:left]))
    run_folder(maxTrialCount=6)
    for _ in range(3):
        error = run(folder, code=1)["error"]
        assert error["reason"] == "RestoreUnavailable"
        assert f"holds {max(0, left - 1)} trials of 4" in error["message"]
    path.write_bytes(b"".join(lines))
    run(folder)
    assert path.read_bytes().startswith(b"".join(lines))
    assert len(trials(folder)) == 6


def test_a_run_folder_that_lost_everything_is_missed(run_folder: Folder) -> None:
    """Whoever starts the job says how many trials are known to be over: without them it does not begin anew."""
    folder = run_folder(maxTrialCount=2)
    request = json.loads((folder / "spec.json").read_bytes())
    (folder / "spec.json").write_text(json.dumps(request | {"finished": 2}))
    assert run(folder, code=1)["error"]["reason"] == "RestoreUnavailable"
    assert trials(folder) == []


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"candidates": [{"name": "x", "estimator": "LogisticRegresion"}]}, "InvalidSpec", 'did you mean "LogisticRegression"'),
        ({"candidates": [{"name": "x", "estimator": "Popen"}]}, "InvalidSpec", "no estimator Popen"),
        ({"candidates": [{"name": "x", "estimator": "XGBClassifier"}]}, "InvalidSpec", "install xgboost"),
        ({"candidates": [{"name": "x", "estimator": "Ridge"}]}, "InvalidSpec", "no estimator Ridge for classification"),
        ({"candidates": [{**TREE, "fixed": [{"name": "max_dept", "value": 3}]}]}, "InvalidSpec", 'did you mean "max_depth"'),
        ({"objective": {"type": "maximize", "objectiveMetricName": "akkuracy"}}, "InvalidSpec", "no such metric"),
        ({"objective": {"type": "minimize", "objectiveMetricName": "rmse"}}, "InvalidSpec", "regression"),
        ({"target": "kind"}, "InvalidSpec", "no column 'kind'"),
        ({"table": Path("/nonexistent.csv")}, "InvalidData", "apply the Dataset again"),
        (
            {"candidates": [{"name": "x", "estimator": "SVC", "fixed": [{"name": "C", "value": "-1"}]}]},
            "NoCandidateSucceeded",
            "'C'",
        ),
        ({"features": {"exclude": list(pd.read_csv(PENGUINS).columns)}}, "InvalidSpec", "no column is left"),
    ],
    ids=[
        "typo",
        "not allowed",
        "not installed",
        "other task",
        "parameter",
        "metric",
        "task",
        "target",
        "table",
        "all fail",
        "exclude",
    ],
)
def test_what_cannot_be_says_why(run_folder: Folder, changes: Any, reason: str, words: str) -> None:
    """A run that no other attempt would help ends with a reason and with words that a person can act on."""
    folder = run_folder(**changes)
    assert Run(folder).go() == 1
    error = result(folder)["error"]
    assert error["reason"] == reason
    assert words in error["message"]


def test_a_regression(run_folder: Folder) -> None:
    """The diamonds' price: error in dollars, residuals, a model that answers numbers."""
    table = run_folder().parent / "some.csv"
    pd.read_csv(DIAMONDS).sample(3000, random_state=0).to_csv(table, index=False)
    trees = {
        "name": "boosting", "estimator": "HistGradientBoostingRegressor",
        "parameters": [{"name": "max_leaf_nodes", "parameterType": "int", "feasibleSpace": {"min": 8, "max": 32}}],
    }  # fmt: skip
    folder = run_folder(
        table=table,
        target="price",
        objective={"type": "minimize", "objectiveMetricName": "rmse"},
        candidates=[trees],
        maxTrialCount=2,
    )
    found = run(folder)
    assert found["heldout"]["r2"] > 0.9
    model = predictor(folder, found["modelDigest"])
    assert model.signature.target.task == "regression"
    assert len(model.metadata["residuals"]["actual"]) == len(model.metadata["residuals"]["predicted"])
    assert isinstance(model.predict({name: [value] for name, value in model.signature.example().items()}).labels[0], float)


def test_models_are_scored_on_the_same_rows(run_folder: Folder) -> None:
    """Champion and challenger on the held-out rows of the newest table; the labels of a worse model's table were wrong."""
    bad = run_folder().parent / "bad.csv"
    table = pd.read_csv(PENGUINS)
    table.loc[table.index % 5 != 0, "species"] = "Gentoo"
    table.to_csv(bad, index=False)
    good_folder = run_folder("good", maxTrialCount=4)
    good, worse = run(good_folder), run(run_folder("worse", table=bad, maxTrialCount=4))
    request = json.loads((good_folder / "spec.json").read_bytes())
    asked = {
        "digests": [good["modelDigest"], worse["modelDigest"], "sha256:" + "1" * 64],
        "dataset": request["dataset"], "experiment": request["experiment"], "store": request["store"],
    }  # fmt: skip
    found = score(asked)
    metrics = found["scores"][good["modelDigest"]]["metrics"]
    assert found["rows"] == 79
    assert metrics == pytest.approx(good["heldout"], abs=1e-6)
    assert found["scores"][worse["modelDigest"]]["metrics"]["accuracy"] < metrics["accuracy"]
    assert "error" in found["scores"]["sha256:" + "1" * 64]


def test_a_run_is_its_table_code_and_spec() -> None:
    """Counts and the goal may change while the run stays the run; whatever decides the outcome may not."""
    spec = {"seed": 1, "maxTrialCount": 4, "objective": {"type": "maximize", "objectiveMetricName": "accuracy"}}
    base = {"uid": "u", "dataset_digest": "sha256:1", "code_digest": code_digest(), "target": "y", "types": {}}
    same = [
        spec, spec | {"maxTrialCount": 9}, spec | {"parallelTrialCount": 4}, spec | {"maxFailedTrialCount": 0},
        spec | {"objective": {**spec["objective"], "goal": 0.9}},  # type: ignore[dict-item]
    ]  # fmt: skip
    assert len({run_id(**base, spec=one) for one in same}) == 1
    others = [
        base | {"uid": "v"}, base | {"dataset_digest": "sha256:2"}, base | {"code_digest": "x"}, base | {"target": "z"},
        base | {"types": {"y": "string"}},
    ]  # fmt: skip
    ids = {run_id(**one, spec=spec) for one in others} | {run_id(**base, spec=spec), run_id(**base, spec=spec | {"seed": 2})}
    assert len(ids) == len(others) + 2
    assert all(len(one) == 16 for one in ids)


def test_the_run_id_is_light() -> None:
    """The daemon asks for it: nothing heavy is imported."""
    heavy = {"numpy", "sklearn", "pandas", "ray"}
    code = f"import sys, training.runid; training.runid.code_digest(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT)
    assert done.stdout.strip() == "set()"
