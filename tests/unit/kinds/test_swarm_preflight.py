"""A model is tried out on the Swarm before it serves: what that says of it, and what says nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from drivers.contract import Done, Stop
from drivers.swarm.served import BEGUN_AGAIN
from reconciler.kinds.swarm.keeping import AGAIN_SECONDS
from tests.unit.kinds.swarmworld import GOOD
from tests.unit.kinds.test_swarm_deployment import IMAGE, OTHER, B, condition, roll, routed, world

BAD = {"ok": False, "error": "3 of 20 golden rows are predicted differently here"}


def test_a_model_that_fails_its_preflight_changes_nothing_and_is_not_tried_again() -> None:
    """The one before serves on; tried again only after the spec changed."""
    there = world()
    there.settle()
    there.trial = lambda spec: BAD
    roll(there, B)
    there.settle()
    assert routed(there) == {1: 100}
    assert condition(there)["status"] == "True"
    assert condition(there, "Preflight")["reason"] == "PreflightFailed"
    assert "golden rows" in condition(there)["message"]
    before = len(there.log)
    there.settle()
    assert len(there.log) == before
    there.trial = lambda spec: GOOD
    there.generation += 1
    there.settle()
    assert there.status["digest"] == B


@pytest.mark.parametrize("ended", [False, True])
def test_a_preflight_that_is_lost_with_its_node_is_begun_on_another_one(ended: bool) -> None:
    """Docker leaves it where it is; that says nothing against the model."""
    there = world()
    there.settle()
    roll(there, B)
    part = "service/preflight-2"
    while not (part in there.things and there.services()[part].tasks):
        there.step()
    trial = there.services()[part]
    stuck = tuple(replace(task, state="complete" if ended else "assigned", lost=True) for task in trial.tasks)
    there.things[part] = replace(trial, tasks=stuck, output={})
    assert isinstance(there.settle(), Done)
    assert there.services()[part].id != trial.id
    assert routed(there) == {2: 100}


@pytest.mark.parametrize("times", [1, 2])
def test_a_preflight_that_its_node_could_not_begin_is_begun_again(times: int) -> None:
    """After a pause: the network, or the registry, is a moment away. It says nothing against the model."""
    there = world()
    there.settle()
    began: list[float] = []

    def trial(spec: dict[str, Any]) -> Any:
        began.append(there.now.timestamp())
        return "Pool overlaps with other one on this address space" if len(began) <= times else GOOD

    there.trial = trial
    roll(there, B)
    assert isinstance(there.settle(), Done)
    assert routed(there) == {2: 100}
    assert len(began) == times + 1
    assert all(after - before >= AGAIN_SECONDS * n for n, (before, after) in enumerate(itertools.pairwise(began), 1))


def test_a_bad_image_is_found_out_by_the_preflight() -> None:
    """Nothing that serves is touched with it, the web app least of all; both images are on record."""
    there = world()
    there.settle()
    there.trial = lambda spec: "No such image" if spec["TaskTemplate"]["ContainerSpec"]["Image"] == OTHER else GOOD
    there.spec["swarm"]["image"] = OTHER
    there.generation += 1
    there.settle()
    running = {s.spec["TaskTemplate"]["ContainerSpec"]["Image"] for p, s in there.services().items() if "preflight" not in p}
    assert OTHER not in running
    assert routed(there) == {1: 100}
    assert [(row["image"], row["state"]) for row in there.status["revisions"]] == [(IMAGE, "Serving"), (OTHER, "Failed")]
    assert "No such image" in there.status["revisions"][-1]["message"]
    assert len(there.services()["service/preflight-2"].tasks) == 1 + BEGUN_AGAIN


def test_a_first_model_that_fails_says_so_and_stops() -> None:
    """There is nothing to go back to, and nothing is tried again and again."""
    there = world()
    there.trial = lambda spec: BAD
    assert isinstance(there.settle(), Stop)
    assert condition(there)["reason"] == "PreflightFailed"
