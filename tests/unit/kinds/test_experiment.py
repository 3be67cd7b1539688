"""Wanting the best model of a table: one job per run, whatever changes or dies meanwhile, and its models on record."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Done, Present, Stop, Wait
from drivers.objects import LiveObject
from reconciler.kinds import progress
from reconciler.kinds.experiment import ExperimentKind, model_part
from specs.meta import Reason
from tests.unit.kinds.world import World, local, referred

TABLES = ["sha256:" + letter * 64 for letter in "abc"]
COLUMNS = [{"name": "species", "type": "string"}, {"name": "mass", "type": "number"}]
SPEC: dict[str, Any] = {
    "datasetRef": {"name": "x"},
    "clusterRef": {"name": "x"},
    "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
    "backoffLimit": 100,
}


def table(digest: str | None = TABLES[0], *, target: str | None = "species", ready: bool = True) -> LiveObject:
    """The Dataset, as it is seen."""
    status = {"digest": digest, "path": "/t.csv", "columns": COLUMNS} if digest else {}
    return referred("Dataset", spec={"target": target} if target else {}, status=status, ready=ready)


def cluster(*, ready: bool = True) -> LiveObject:
    """The RayCluster, as it is seen."""
    return referred("RayCluster", spec={}, status={"address": "127.0.0.1:20000", "tokenFile": "/token"}, ready=ready)


def model_of(label: str) -> str:
    """What a run makes: another run, another model."""
    return "sha256:" + hashlib.sha256(label.encode()).hexdigest()


def succeeds(_: World, __: str, unit: Any) -> dict[str, Any]:
    """A job that goes well."""
    trials = {"total": 12, "succeeded": 9, "failed": 0, "running": 0, "earlyStopped": 3}
    best = {"trial": "forest-7", "candidate": "forest", "parameters": {"n": 5}, "metrics": {"accuracy": 0.98}}
    told = {"stage": "Packaging", "trials": trials, "best": best, "stages": [{"name": "Tuning", "state": "Succeeded"}]}
    return {"progress.json": told, "result.json": {"modelDigest": model_of(unit.label), "heldout": {"accuracy": 0.97}}}


def fails(reason: str) -> Any:
    """A job that ends with an error."""
    return lambda *_: {"result.json": {"error": {"reason": reason, "message": "cannot go on: the file is torn"}}}


def world(ended: Any = succeeds, **changes: Any) -> World:
    """An experiment on a good table and a good cluster. Its ModelVersions are verified as soon as they are there."""
    things = {"dataset": table(), "cluster": cluster()}
    return World(ExperimentKind(local(), "sha256:code"), SPEC | changes, things=things, ended=ended, watch=verified)


def verified(there: World) -> None:
    """The other kind's part of the play."""
    for part, thing in there.things.items():
        if part.startswith("model/") and isinstance(thing, LiveObject) and not thing.ready:
            there.things[part] = referred("ModelVersion", spec=thing.spec, status={"digest": thing.spec["digest"]})


def models(there: World) -> set[str]:
    """The ModelVersions there are."""
    return {part for part in there.things if part.startswith("model/")}


def jobs(there: World) -> list[str]:
    """Every start of the job, by its run."""
    return [step.change["label"] for step in there.log if step.part == "job" and "command" in step.change]


def test_from_a_table_to_a_model_on_record() -> None:
    """One job, one ModelVersion named after its content, Katib's counts in the status, and then nothing is left to do."""
    there = world()
    assert isinstance(there.settle(), Done)
    assert len(jobs(there)) == 1
    digest = there.status["model"]["digest"]
    assert models(there) == {model_part(digest)}
    made = next(step for step in there.log if step.part.startswith("model/"))
    assert made.change["name"] == f"a-{digest[7:15]}" == there.status["model"]["name"]
    assert (there.status["trialsSucceeded"], there.status["trialsEarlyStopped"]) == (9, 3)
    assert there.status["currentOptimalTrial"]["bestTrialName"] == "forest-7"
    assert {row["type"]: row["status"] for row in there.status["conditions"]} == {
        "Ready": "True", "Succeeded": "True", "TuningDone": "True",
    }  # fmt: skip
    before = len(there.log)
    assert isinstance(there.settle(), Done)
    assert len(there.log) == before


def test_what_is_about_to_be_started_is_recorded_before_it_is() -> None:
    """Run and attempt stand in the status of the very pass that plans the start: who dies after it starts the same one."""
    there = world()
    seen = there.seen()
    plan = there.plan()
    assert isinstance(plan, tuple)
    assert plan[0].verb == "create"
    said = there.kind.status(there.object, seen, plan)
    assert said["submissionId"] == f"{plan[0].change['label']}-1"
    assert there.plan() == plan


@pytest.mark.parametrize(
    ("change", "runs", "starts"),
    [({"maxTrialCount": 40}, 1, 2), ({"parallelTrialCount": 1}, 1, 2), ({"maxFailedTrialCount": 9}, 1, 2), ({"seed": 7}, 2, 2),
     ({"features": {"exclude": ["mass"]}}, 2, 2), ({"backoffLimit": 3}, 1, 1), ({"modelHistoryLimit": 2}, 1, 1)],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)  # fmt: skip
def test_what_is_another_run_and_what_goes_on(change: dict[str, Any], runs: int, starts: int) -> None:
    """A count goes on with the same run, in the same folder; what decides the outcome is another run; the rest is neither."""
    there = world()
    there.settle()
    there.spec, there.generation = there.spec | change, 2
    assert isinstance(there.settle(), Done)
    assert (len(set(jobs(there))), len(jobs(there))) == (runs, starts)
    assert len(models(there)) == runs


def test_newer_code_searches_only_what_is_searched_anyway() -> None:
    """An upgrade does not repeat every search on the machine; the next changed table is searched by the new code."""
    there = world()
    there.settle()
    there.kind = replace(there.kind, code_digest="sha256:newer")
    assert isinstance(there.settle(), Done)
    assert len(jobs(there)) == 1
    there.things["dataset"] = table(TABLES[1])
    there.settle()
    assert len(set(jobs(there))) == 2
    assert there.status["resolved"]["code"] == "sha256:newer"


def test_newer_code_does_not_go_on_with_the_trials_of_older_code() -> None:
    """Raised counts go on where the run ended, but not across versions: trials of both would be taken for alike."""
    there = world()
    there.settle()
    there.kind = replace(there.kind, code_digest="sha256:newer")
    there.spec, there.generation = there.spec | {"maxTrialCount": 40}, 2
    there.settle()
    assert len(set(jobs(there))) == 2


def test_a_goal_goes_on_too() -> None:
    """The search ends earlier or later: its trials stay."""
    there = world()
    there.settle()
    there.spec, there.generation = there.spec | {"objective": SPEC["objective"] | {"goal": 0.99}}, 2
    there.settle()
    assert len(set(jobs(there))) == 1
    assert len(jobs(there)) == 2


def test_a_changed_table_is_another_run_and_ends_the_old_one() -> None:
    """While the job is at work the table changes: it is ended, and there is never more than one job."""
    there = world()
    while there.unit("job") is None:
        there.step()
    there.things["dataset"] = table(TABLES[1])
    assert isinstance(there.settle(), Done)
    assert there.status["datasetDigest"] == TABLES[1]
    assert len(set(jobs(there))) == 2
    assert len(models(there)) == 1


def test_a_job_that_dies_is_started_again_with_growing_pauses_and_not_for_ever() -> None:
    """backoffLimit starts besides the first; then it says how often it died, and why, and stops."""
    there = world(lambda *_: None, backoffLimit=3)
    starts: list[float] = []
    for _ in range(60):
        plan = there.step()
        if isinstance(plan, tuple):
            starts.append(there.now.timestamp())
        if isinstance(plan, Stop):
            break
    assert isinstance(plan, Stop)
    assert plan.reason is Reason.TRAINING_FAILED
    assert len(starts) == 4
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses == sorted(pauses)
    there.spec, there.generation = there.spec | {"seed": 8}, 2
    there.ended = succeeds
    assert isinstance(there.settle(), Done)


@pytest.mark.parametrize(
    ("error", "reason", "starts"),
    [("RestoreUnavailable", Reason.RESTORE_UNAVAILABLE, 1), ("NoCandidate", Reason.TRAINING_FAILED, 1),
     ("RayUnreachable", Reason.TRAINING_FAILED, 3), ("Interrupted", Reason.TRAINING_FAILED, 3)],
)  # fmt: skip
def test_an_error_is_tried_again_only_where_that_may_mend_it(error: str, reason: Reason, starts: int) -> None:
    """What cannot be restored is said loudly and never begun anew; a Ray that was away is worth another attempt."""
    there = world(fails(error), backoffLimit=2)
    plan = there.settle()
    assert isinstance(plan, Stop)
    assert plan.reason is reason
    assert len(jobs(there)) == starts
    if starts == 1:
        assert "the file is torn" in plan.message


def test_a_failed_run_is_not_tried_again_until_something_changes() -> None:
    """Not by looking again, not by time; a new table is a new run."""
    there = world(fails("NoCandidate"))
    there.settle()
    there.pass_time(100_000)
    assert isinstance(there.settle(), Stop)
    assert len(jobs(there)) == 1
    there.ended, there.things["dataset"] = succeeds, table(TABLES[2])
    assert isinstance(there.settle(), Done)


@pytest.mark.parametrize(
    ("change", "reason", "word"),
    [({"dataset": None}, Reason.DEPENDENCY_NOT_FOUND, 'no Dataset "x"'),
     ({"dataset": table(None, ready=False)}, Reason.DEPENDENCY_NOT_READY, "Dataset/x is not ready: a message"),
     ({"cluster": None}, Reason.DEPENDENCY_NOT_FOUND, 'no RayCluster "x"'),
     ({"cluster": cluster(ready=False)}, Reason.DEPENDENCY_NOT_READY, "RayCluster/x is not ready"),
     ({"dataset": table(target=None)}, Reason.INVALID_CONFIGURATION, "set spec.target"),
     ({"dataset": table(target="specie")}, Reason.INVALID_CONFIGURATION, 'no column "specie"')],
)  # fmt: skip
def test_what_is_missing_is_named(change: dict[str, Any], reason: Reason, word: str) -> None:
    """Nothing is started without table, target and cluster; the message says which."""
    there = world()
    there.things = {part: thing for part, thing in (there.things | change).items() if thing is not None}
    plan = there.plan()
    assert isinstance(plan, Wait | Stop)
    assert plan.reason is reason
    assert word in plan.message


def test_a_cluster_that_goes_away_does_not_undo_what_is_done() -> None:
    """A run that has ended needs no Ray."""
    there = world()
    there.settle()
    there.things["cluster"] = cluster(ready=False)
    assert isinstance(there.settle(), Done)
    del there.things["cluster"]
    assert isinstance(there.settle(), Done)


def test_a_corrupt_model_is_said_in_its_own_words() -> None:
    """The Experiment is as ready as its model is."""
    there = world()
    there.settle()
    part = next(iter(models(there)))
    there.things[part] = referred("ModelVersion", spec={}, status={}, ready=False, reason="Corrupt")
    plan = there.plan()
    assert isinstance(plan, Wait)
    assert plan.reason is Reason.CORRUPT
    assert "a message" in plan.message


def test_so_many_models_are_kept_and_the_newest_is_among_them() -> None:
    """The oldest records go, one at a time; the one just made never does."""
    there = world(modelHistoryLimit=2)
    for seed in range(5):
        there.spec, there.generation = there.spec | {"seed": seed}, seed + 1
        assert isinstance(there.settle(), Done)
        assert len(models(there)) <= 2
        assert model_part(there.status["model"]["digest"]) in models(there)


def test_counts_of_a_new_run_begin_at_nothing() -> None:
    """What an earlier run found is not told of the new one; the model of the last good run is, until there is another."""
    there = world()
    there.settle()
    old = there.status["model"]
    there.things["dataset"] = table(TABLES[1])
    there.ended = lambda *_: None
    for _ in range(6):
        there.step()
    assert there.status["trialsSucceeded"] == 0
    assert there.status.get("currentOptimalTrial") is None
    assert there.status["model"] == old


def test_one_line_says_how_far_it_is() -> None:
    """Stage, trials or candidates, the best so far, how often it was started."""
    there = world()
    while (unit := there.unit("job")) is None:
        there.step()
    obj: Any = there.object
    lines = [
        progress.line(obj, replace(unit, outputs={"progress.json": said}, starts=starts))
        for said, starts in (
            ({}, 1),
            ({"stage": "Screening", "candidates": [{"state": "Succeeded"}, {"state": "Running"}]}, 1),
            ({"stage": "Tuning", "trials": {"succeeded": 3, "failed": 1},
              "best": {"trial": "forest-2", "metrics": {"accuracy": 0.9712}}}, 2),
        )
    ]  # fmt: skip
    assert lines == [
        "starting",
        "screening, 1/2 candidates",
        "tuning, 4/12 trials, best accuracy 0.9712 (forest-2), started 2 times",
    ]


@given(st.sampled_from(["job", "dataset", "cluster", "model"]), st.integers(0, 12))
def test_silence_never_leads_to_a_step(part: str, steps: int) -> None:
    """Whatever cannot be looked at: nothing is started, ended or recorded meanwhile."""
    there = world()
    for _ in range(steps):
        there.step()
    part = next(iter(models(there)), "job") if part == "model" else part
    there.blind(part)
    assert isinstance(there.plan(), Wait | Stop)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("kill"), st.just("job")),
        st.tuples(st.just("table"), st.sampled_from([*TABLES, None])),
        st.tuples(st.just("cluster"), st.booleans()),
        st.tuples(st.just("spec"), st.sampled_from([{"seed": 1}, {"seed": 2}, {"maxTrialCount": 30}, {"modelHistoryLimit": 1}])),
        st.tuples(st.just("steps"), st.integers(1, 10)),
        st.tuples(st.just("time"), st.sampled_from([0.05, 5.0, 700.0])),
        st.tuples(st.just("lose"), st.sampled_from(["job", "model"])),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_whatever_happened_it_ends_with_the_model_of_the_wanted_run(events: list[tuple[str, Any]]) -> None:
    """After any history of deaths, tables and changes of mind: the right model is on record, Done stays Done, all of it goes."""
    there = world()
    for what, value in events:
        match what:
            case "kill":
                there.kill(value)
            case "table":
                there.things["dataset"] = table(value, ready=value is not None)
            case "cluster":
                there.things["cluster"] = cluster(ready=value)
            case "spec":
                there.spec, there.generation = there.spec | value, there.generation + 1
            case "time":
                there.pass_time(value)
            case "lose":
                there.things.pop(value if value == "job" else next(iter(models(there)), ""), None)
            case _:
                for _ in range(value):
                    there.step()
    there.things |= {"dataset": table(TABLES[1]), "cluster": cluster()}
    assert isinstance(there.settle(1500), Done)
    digest = there.status["model"]["digest"]
    assert digest == model_of(there.status["runId"])
    assert isinstance(there.seen()[model_part(digest)], Present)
    before = len(there.log)
    assert isinstance(there.settle(), Done)
    assert len(there.log) == before
    there.teardown()
