"""The order of asking and telling: the same trials, whoever runs them, in whatever order, killed and gone on, or not."""

from __future__ import annotations

import json
import random
import resource
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.experiment import ExperimentSpec
from specs.parameters import Candidate
from tests.training.conftest import LOGISTIC, TREE, spec
from training import racing
from training.errors import RestoreUnavailable
from training.estimators import automatic
from training.files import append_line, read_lines
from training.search import Search
from training.spaces import Space, grid
from training.trials import Journal, Outcome, Trial

SPACES = [Space.of(Candidate.model_validate(row)) for row in (LOGISTIC, TREE)]
ALGORITHMS = st.sampled_from(["random", "tpe"])


def measured(trial: Trial, seed: int = 0, fails: float = 0.0) -> Outcome:
    """What a trial would come to: a function of what it tries."""
    rng = random.Random(f"{trial.candidate} {trial.parameters} {seed}")
    if rng.random() < fails:
        return Outcome(trial.number, trial.name, trial.candidate, trial.parameters, "Failed", message="it would not")
    base, folds = rng.random(), []
    for _ in range(3):
        folds.append({"accuracy": base + rng.gauss(0, 0.01)})
        scores = [fold["accuracy"] for fold in folds]
        if (
            trial.rival
            and trial.spread is not None
            and len(folds) < 3
            and racing.beaten(scores, trial.rival, trial.spread, maximize=True)
        ):
            break
    state: Any = "Succeeded" if len(folds) == 3 else "EarlyStopped"
    metrics = {"accuracy": sum(fold["accuracy"] for fold in folds) / len(folds)}
    return Outcome(trial.number, trial.name, trial.candidate, trial.parameters, state, metrics, folds)


def play(
    asked: ExperimentSpec, shuffle: random.Random, finished: list[Outcome], stop_after: int = 10**9
) -> tuple[list[Outcome], Search]:
    """Run a search with `parallelTrialCount` workers that finish in any order; perhaps killed after some trials."""
    search, done, running = Search(asked, SPACES, finished), list(finished), list[Trial]()
    while True:
        while len(running) < asked.parallel_trial_count and (trial := search.ask()) is not None:
            running.append(trial)
        if not running or search.complete or len(done) - len(finished) >= stop_after:
            return done, search
        trial = running.pop(shuffle.randrange(len(running)))
        done.append(measured(trial, asked.seed))
        search.tell(done[-1])


def by_number(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.number)]


@given(
    ALGORITHMS, st.integers(0, 5), st.integers(1, 4), st.randoms(use_true_random=False), st.lists(st.integers(0, 9), max_size=3)
)
@settings(max_examples=25, deadline=None)
def test_the_same_trials_whatever_happens(name: str, seed: int, parallel: int, shuffle: Any, kills: list[int]) -> None:
    """Workers that finish in another order, and kills in between, change nothing: no trial is run twice, the total is right."""
    asked = spec(algorithm={"algorithmName": name}, seed=seed, parallelTrialCount=parallel, maxTrialCount=14)
    straight, search = play(asked, random.Random(1), [])
    done: list[Outcome] = []
    for kill in kills:
        done, _ = play(asked, shuffle, done, kill)
    done, again = play(asked, shuffle, done)
    assert len(done) == 14
    assert by_number(done) == by_number(straight)
    assert again.best() == search.best()
    assert search.over == again.over == "MaxTrialsReached"


@given(ALGORITHMS, st.integers(1, 13))
@settings(max_examples=15, deadline=None)
def test_a_raised_count_goes_on(name: str, first: int) -> None:
    """maxTrialCount of 14 after one of `first` is what 14 would have been at once."""
    few, many = (spec(algorithm={"algorithmName": name}, maxTrialCount=count) for count in (first, 14))
    done, _ = play(few, random.Random(0), [])
    assert len(done) == first
    assert by_number(play(many, random.Random(0), done)[0]) == by_number(play(many, random.Random(0), [])[0])


@given(ALGORITHMS, st.floats(0.3, 0.95), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_goal_ends_it_at_the_same_trial(name: str, goal: float, shuffle: Any) -> None:
    """The best is the first, in the order of asking, that reaches the goal; not the one that happened to finish first."""
    objective = {"type": "maximize", "objectiveMetricName": "accuracy", "goal": goal}
    asked = spec(algorithm={"algorithmName": name}, objective=objective, maxTrialCount=20)
    one, other = (play(asked, order, [])[1] for order in (random.Random(2), shuffle))
    assert (one.over, one.best()) == (other.over, other.best())
    if one.over == "GoalReached":
        assert one.best().metrics["accuracy"] >= goal


def test_too_many_failures_end_it() -> None:
    """More than maxFailedTrialCount, as in Katib."""
    asked = spec(maxFailedTrialCount=2, maxTrialCount=20, parallelTrialCount=1)
    search = Search(asked, SPACES)
    for count in range(1, 4):
        trial = search.ask()
        assert trial is not None
        search.tell(measured(trial, fails=1.0))
        assert (search.over == "MaxFailedTrialsReached") == (count == 3)
    assert search.ask() is None
    assert search.complete


def test_a_grid_is_walked_once() -> None:
    """Each point once, candidates in turn; then the space is exhausted."""
    tree = Space.of(Candidate.model_validate(TREE))
    search = Search(spec(candidates=[TREE], algorithm={"algorithmName": "grid"}, maxTrialCount=100), [tree])
    seen = []
    while (trial := search.ask()) is not None:
        seen.append(json.dumps(trial.parameters))
        search.tell(measured(trial))
    assert len(seen) == len(set(seen)) == 24
    assert search.over == "SpaceExhausted"
    assert search.complete


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_automatic_candidates_have_a_grid(task: str) -> None:
    """Each range is walked from its one end to the other."""
    for candidate in automatic(task):
        points = list(Space.of(candidate).grid())
        assert len({json.dumps(point) for point in points}) == len(points)
        for parameter in candidate.parameters:
            values = [point[parameter.name] for point in points]
            if (ends := parameter.feasible_space).list is None:
                assert (min(values), max(values)) == (float(ends.min), float(ends.max))


def test_finished_trials_stay_as_they_were_when_more_run_at_once() -> None:
    """parallelTrialCount may be raised in the middle of a run: what is finished counts as it was, and nothing is tried twice."""
    few, many = (spec(algorithm={"algorithmName": "tpe"}, parallelTrialCount=count, maxTrialCount=20) for count in (1, 4))
    done, _ = play(few, random.Random(0), [], stop_after=12)
    after, search = play(many, random.Random(0), done)
    assert after[:12] == done
    assert sorted(row.number for row in after) == list(range(1, 21))
    assert len({(row.candidate, json.dumps(row.parameters)) for row in after}) == 20
    assert search.over == "MaxTrialsReached"


def test_a_candidate_without_parameters_is_tried_once() -> None:
    """There is one point: its defaults."""
    plain = Space.of(Candidate.model_validate({"name": "one", "estimator": "GaussianNB"}))
    done, search = play(spec(maxTrialCount=10), random.Random(0), [])
    assert len({(row.candidate, json.dumps(row.parameters)) for row in done}) == 10
    alone = Search(spec(maxTrialCount=10), [plain])
    assert alone.ask() is not None
    assert alone.ask() is None
    assert alone.over == "SpaceExhausted"
    del search


def parameter(kind: str, **space: Any) -> dict[str, Any]:
    return {"name": "p", "parameterType": kind, "feasibleSpace": space}


@pytest.mark.parametrize(
    ("row", "allowed"),
    [
        (parameter("int", min="1", max="4"), [1, 2, 3, 4]),
        (parameter("int", min=2, max=9, step=3), [2, 5, 8]),
        (parameter("double", min="0.1", max="0.3", step="0.1"), [0.1, 0.2, 0.3]),
        (parameter("discrete", list=["1", "2.5", 10]), [1, 2.5, 10]),
        (parameter("categorical", list=["a", "true", "None", "0.5"]), ["a", True, None, 0.5]),
    ],
    ids=["int", "int with step", "double with step", "discrete", "categorical"],
)
def test_katib_s_spaces(row: Any, allowed: list[Any]) -> None:
    """Numbers written as text are numbers; what is drawn, by chance or by Optuna, lies in the space; a grid holds all of it."""
    import numpy as np
    import optuna

    space = Space.of(Candidate.model_validate({"name": "c", "estimator": "E", "parameters": [row]}))
    assert [values["p"] for _, values in grid([space])] == allowed
    rng = np.random.default_rng(0)
    assert {json.dumps(space.draw(rng)["p"]) for _ in range(200)} == {json.dumps(value) for value in allowed}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert all(space.dimensions["p"].suggest(study.ask(), "p") in allowed for _ in range(30))


@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e4), st.booleans(), st.integers(0, 99))
def test_ranges_hold(low: float, factor: float, log: bool, seed: int) -> None:
    """What is drawn lies between min and max."""
    import numpy as np

    row = parameter("double", min=low, max=low * factor, distribution="logUniform" if log else "uniform")
    space = Space.of(Candidate.model_validate({"name": "c", "estimator": "E", "parameters": [row]}))
    value = space.draw(np.random.default_rng(seed))["p"]
    assert low * (1 - 1e-9) <= value <= low * factor * (1 + 1e-9)


def test_racing_spares_the_best() -> None:
    """Who is ahead is never stopped; who is far behind is; the less sure, the later."""
    rival = [0.9, 0.8, 0.85]
    assert not racing.beaten([0.91], rival, 0.01, maximize=True)
    assert racing.beaten([0.5], rival, 0.01, maximize=True)
    assert not racing.beaten([0.5], rival, 0.5, maximize=True)
    assert racing.beaten([1.3], rival, 0.01, maximize=False)
    assert racing.spread([], rival, maximize=True) is None
    assert racing.spread([[0.8, 0.7, 0.75]], rival, maximize=True) == pytest.approx(0, abs=1e-12)


def test_a_torn_line_is_a_trial_that_did_not_finish(tmp_path: Path) -> None:
    """A writer killed in the middle of a line leaves a journal that goes on without it."""
    path, head = tmp_path / "trials.jsonl", {"format": 1}
    journal = Journal(path, head)
    for number in (1, 2):
        journal.add(measured(Trial(number, "tree", {"max_depth": number, "criterion": "gini"})))
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    again = Journal(path, head)
    assert [outcome.number for outcome in again] == [1]
    again.add(journal.outcomes[1])
    assert path.read_bytes() == whole


def test_a_line_that_the_disk_has_no_room_for_leaves_nothing(tmp_path: Path) -> None:
    """Half a line would break the journal for good once the next one is written behind it."""
    path = tmp_path / "trials.jsonl"
    append_line(path, {"format": 1})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match=r"too large|space"):
            append_line(path, {"number": 1, "name": "forest-1"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    append_line(path, {"number": 1})
    assert read_lines(path) == [{"format": 1}, {"number": 1}]


@pytest.mark.parametrize("damage", ["middle", "head", "twice", "field"])
def test_what_cannot_be_gone_on_from_says_so(tmp_path: Path, damage: str) -> None:
    """A broken journal, or another run's, is RestoreUnavailable: never a fresh run in silence."""
    path = tmp_path / "trials.jsonl"
    journal = Journal(path, {"format": 1})
    for number in (1, 2):
        journal.add(measured(Trial(number, "tree", {"max_depth": number, "criterion": "gini"})))
    lines = path.read_bytes().splitlines()
    match damage:
        case "middle":
            lines[1] = lines[1][:20]
        case "head":
            lines[0] = b'{"format":2}'
        case "twice":
            lines.append(lines[2])
        case "field":
            lines[1] = b'{"numbre":1}'
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(RestoreUnavailable, match="fresh run"):
        Journal(path, {"format": 1})
