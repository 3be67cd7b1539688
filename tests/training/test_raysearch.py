"""What Ray Tune is told to run next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from specs.experiment import ExperimentSpec
from tests.training.conftest import LOGISTIC
from training.rayhall import Hall
from training.raysearch import DeskSearcher
from training.search import Search
from training.spaces import Space
from training.trials import Journal
from training.tuning import Desk


class Nobody:
    """Does not want to know."""

    def begun(self, trial: Any) -> None: ...

    def ended(self, outcome: Any) -> None: ...


@pytest.fixture
def told() -> list[int]:
    """What the hall hears."""
    return []


@pytest.fixture
def searcher(tmp_path: Path, told: list[int]) -> DeskSearcher:
    """Six trials, two at once: the fifth waits for the outcome of the first."""
    spec = ExperimentSpec.model_validate(
        {
            "datasetRef": {"name": "x"},
            "clusterRef": {"name": "x"},
            "candidates": [LOGISTIC],
            "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
            "parallelTrialCount": 2,
            "maxTrialCount": 6,
        }
    )
    desk = Desk(Search(spec, [Space.of(one) for one in spec.candidates]), Journal(tmp_path / "trials.jsonl", {}), Nobody())
    return DeskSearcher(desk, 2, SimpleNamespace(tell=SimpleNamespace(remote=told.append)))


def over(searcher: DeskSearcher, trial_id: str, given: dict[str, Any]) -> None:
    """A trial has ended well; or the waiting is over."""
    trial = given["trial"]
    metrics: dict[str, Any] = {"state": "Succeeded", "metrics": {"accuracy": 0.5}, "folds": [{"accuracy": 0.5}] * 5}
    outcome = [trial_record(trial) | metrics] if trial else []
    searcher.on_trial_complete(trial_id, {"score": 0.5, "outcome": outcome})


def trial_record(trial: dict[str, Any]) -> dict[str, Any]:
    """What an outcome repeats of its trial."""
    return {"name": f"t-{trial['number']}", **{key: trial[key] for key in ("number", "candidate", "parameters")}}


def test_an_actor_is_never_without_something_to_do(searcher: DeskSearcher, told: list[int]) -> None:
    """Tune throws away the second idle actor, and a new one takes seconds: so while one slow trial holds up the search, the
    other actor is told to wait for news; with the news comes the next trial."""
    slow = searcher.suggest("a")
    for number, name in enumerate("bcd", start=2):
        given = searcher.suggest(name)
        assert given["trial"]["number"] == number
        assert searcher.suggest("too many") is None
        over(searcher, name, given)
    waiting = searcher.suggest("e")
    assert waiting == {"trial": None, "told": 3}
    over(searcher, "a", slow)
    assert told == [1, 2, 3, 4]
    over(searcher, "e", waiting)
    assert told == [1, 2, 3, 4], "waiting is no trial"
    last = {name: searcher.suggest(name) for name in "fg"}
    assert [given["trial"]["number"] for given in last.values()] == [5, 6]
    for name, given in last.items():
        over(searcher, name, given)
    assert searcher.suggest("h") == Searcher.FINISHED


def test_one_who_dies_waiting_costs_no_trial(searcher: DeskSearcher, told: list[int]) -> None:
    """The process that waited is gone: nothing was lost, nothing has failed. The one with the trial: it is run again."""
    slow = searcher.suggest("a")
    for name in "bcd":
        over(searcher, name, searcher.suggest(name))
    assert searcher.suggest("e")["trial"] is None
    searcher.failed("e", "killed")
    assert len(told) == 3
    searcher.failed("a", "killed")
    assert len(told) == 4, "who waits must hear of it: there is a trial to run"
    assert searcher.suggest("f") == slow


async def test_the_hall_lets_them_go_with_the_news() -> None:
    """Who waits goes at once when something is told, does not wait for what was told before, and never waits for ever."""
    hall = Hall.__ray_metadata__.modified_class(1)
    async with asyncio.timeout(5):
        waiting = asyncio.create_task(hall.wait(0))
        await asyncio.sleep(0)
        await hall.tell(1)
        await waiting
        await hall.wait(0)
