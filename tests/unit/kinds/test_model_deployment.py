"""Serving one model and changing it: from any state of the machine to the wanted model, without a moment of nobody answering."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Done, Stop, Wait
from drivers.local.folders import Folder
from drivers.swarm.stack import Stacks
from modelstore.store import Store
from reconciler.kinds import rollout, serving
from reconciler.kinds.credentials import Credentials
from reconciler.kinds.model_deployment import ModelDeploymentKind
from reconciler.kinds.rollout import beats
from tests.unit.kinds.world import World, local, referred

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
TABLE = "sha256:" + "d" * 64
GOOD = {"result.json": {"ok": True, "engine": "onnx", "golden": {"checked": 20, "wrong": 0}, "latencyMs": {"p50": 0.02}}}
BAD = {"result.json": {"ok": False, "error": "3 of 20 golden rows are predicted differently here"}}


def kind() -> ModelDeploymentKind:
    return ModelDeploymentKind(local(), Credentials(None), Stacks(None, Store("/nowhere")))  # type: ignore[arg-type]


def experiment(digest: str | None, *, ready: bool = True, metric: str = "accuracy", direction: str = "maximize") -> Any:
    spec = {"objective": {"type": direction, "objectiveMetricName": metric}}
    status: dict[str, Any] = {"datasetDigest": TABLE, "resolved": {"dataset": {"path": "/t.csv"}}}
    if digest:
        status["model"] = {"name": f"a-{digest[7:15]}", "digest": digest}
    return referred("Experiment", spec=spec, status=status, ready=ready)


def world(digest: str | None = A, replicas: int = 2, scores: dict[str, float] | None = None, **more: Any) -> World:
    """A deployment that follows an experiment with this model."""
    source = {"name": "x", **more.pop("source", {})}
    spec = {"local": {}, "predictor": {"minReplicas": replicas, "model": {"fromExperiment": source}}, **more}
    known = scores if scores is not None else {A: 0.8, B: 0.9, C: 0.7}

    def ended(_: World, part: str, unit: Any) -> Any:
        if part == "preflight":
            return GOOD
        return {"result.json": {"scores": {name: {"metrics": {"accuracy": value}} for name, value in known.items()}, "rows": 79}}

    return World(kind(), spec, things={"experiment": experiment(digest)}, ended=ended)


def routed(there: World) -> int | None:
    """The revision that gets the requests."""
    folder = there.things.get("folder")
    rows = folder.documents["routes.json"]["revisions"] if isinstance(folder, Folder) else []
    return rows[0]["revision"] if rows else None


def answering(there: World) -> int:
    """How many workers answer the requests as they are routed now."""
    folder, number = there.things.get("folder"), routed(there)
    if not isinstance(folder, Folder) or number is None:
        return 0
    units = {index: there.unit(f"worker/{number}-{index}") for index in range(8)}
    return sum(serving.answers(folder, unit, f"worker-r{number}-{index}") for index, unit in units.items())


def workers(there: World) -> set[str]:
    """The worker processes there are."""
    return {part for part in there.things if part.startswith("worker/")}


def test_a_first_model_is_tried_out_and_served() -> None:
    """Folder, web app, preflight, workers, routes; and then nothing is left to do."""
    there = world()
    assert isinstance(there.settle(), Done)
    assert routed(there) == 1
    assert answering(there) == 2
    assert there.status["url"] == "http://127.0.0.1:8437"
    assert [row["state"] for row in there.status["revisions"]] == ["Serving"]
    assert there.status["conditions"][0]["status"] == "True"


def test_a_port_that_a_stranger_took_is_replaced() -> None:
    """The page moves to another port, and its address says so; not at the first failure, which may be our own that still ends."""
    there = world()
    there.settle()
    there.kill("web")
    assert isinstance(there.settle(), Done)
    assert there.status["url"] == "http://127.0.0.1:8437"
    there.take_port("http", "web")
    assert isinstance(there.settle(), Done)
    assert there.status["url"] == "http://127.0.0.1:8438"
    assert answering(there) == 2


def test_a_port_of_the_spec_is_never_another() -> None:
    """Who named a port is told that it is taken, and by what it can be had again."""
    there = world(local={"port": 8437})
    there.settle()
    there.take_port("http", "web")
    for _ in range(60):
        plan = there.step()
    assert isinstance(plan, Wait)
    assert "port 8437 is taken by another program" in plan.message
    assert there.status["url"] == "http://127.0.0.1:8437"


def test_a_better_model_takes_over_without_a_gap() -> None:
    """At every single moment between the two revisions somebody answers; the old workers are gone in the end."""
    there = world()
    there.settle()
    gaps: list[str] = []
    there.watch = lambda now: gaps.append(str(now.log[-1])) if not answering(now) else None
    there.things["experiment"] = experiment(B)
    assert isinstance(there.settle(), Done)
    assert gaps == []
    assert routed(there) == 2
    assert workers(there) == {"worker/2-0", "worker/2-1"}
    assert [row["state"] for row in there.status["revisions"]] == ["Superseded", "Serving"]
    assert there.status["challenger"]["decision"] == "Promoted"


def test_a_worse_model_is_not_promoted() -> None:
    """It is scored on the same rows, and that is the end of it; the scores are said, and nothing is scored twice."""
    there = world()
    there.settle()
    there.things["experiment"] = experiment(C)
    assert isinstance(there.settle(), Done)
    assert routed(there) == 1
    assert there.status["challenger"] | {"rows": 79} == there.status["challenger"]
    assert there.status["challenger"]["decision"] == "NotBetter"
    assert "is not better" in there.status["conditions"][0]["message"]
    scored = [step for step in there.log if step.part == "score"]
    del there.things["score"]
    there.settle()
    assert [step for step in there.log if step.part == "score"] == scored


def test_one_condition_says_whether_the_newest_model_is_served() -> None:
    """Promoted: by whom it was decided, in words that a person can act on."""
    there = world(source={"promotion": "Manual"})
    broken = referred("Experiment", spec={}, status={}, ready=False, reason="Corrupt")
    at_work = referred("Experiment", spec={}, status={}, ready=False, reason="Training")

    def said() -> tuple[str, str]:
        there.settle()
        row = next(row for row in there.status["conditions"] if row["type"] == "Promoted")
        return row["status"], row["reason"]

    assert said() == ("True", "Available")
    there.things["experiment"] = at_work
    assert said() == ("Unknown", "DependencyNotReady")
    there.things["experiment"] = broken
    assert said() == ("False", "DependencyNotReady")
    assert "Experiment/x is not ready: a message" in there.status["conditions"][0]["message"]
    assert there.status["conditions"][0]["status"] == "True"
    there.things["experiment"] = experiment(C)
    assert said() == ("False", "NotBetter")
    there.things["experiment"] = experiment(B)
    assert said() == ("False", "AwaitsPromotion")
    there.spec |= {"rollout": {"paused": True}}
    assert said() == ("Unknown", "Paused")
    there.spec |= {"rollout": {"promote": B}}
    assert said() == ("True", "Available")
    there.spec = {key: value for key, value in there.spec.items() if key != "rollout"} | {"rollout": {"promote": C}}
    there.things["experiment"] = experiment(C)
    there.things.pop("score", None)
    there.ended = lambda w, part, unit: BAD if part == "preflight" else there_scores()
    assert said() == ("False", "PreflightFailed")


def test_a_person_decides_where_promotion_is_manual() -> None:
    """A better model waits; `promote` names it and it is rolled out; a worse one is, too, if a person says so."""
    there = world(source={"promotion": "Manual"})
    there.settle()
    there.things["experiment"] = experiment(B)
    there.settle()
    assert routed(there) == 1
    assert there.status["challenger"]["decision"] == "AwaitsPromotion"
    there.spec |= {"rollout": {"promote": B}}
    there.settle()
    assert routed(there) == 2
    there.things["experiment"] = experiment(C)
    there.spec |= {"rollout": {"promote": C}}
    there.settle()
    assert there.status["digest"] == C


def test_a_failed_revision_is_remembered_until_the_spec_changes() -> None:
    """The one before goes on. Not tried again after a restart of everything; tried again after a change of the spec."""
    there = world()
    there.settle()
    there.ended, good = lambda w, part, unit: BAD if part == "preflight" else there_scores(), there.ended
    there.things["experiment"] = experiment(B)
    assert isinstance(there.settle(), Done)
    assert routed(there) == 1
    assert answering(there) == 2
    assert [row["state"] for row in there.status["revisions"]] == ["Serving", "Failed"]
    before = len(there.log)
    for part in ("web", "worker/1-0", "worker/1-1", "preflight", "score"):
        there.kill(part)
    there.settle()
    assert not [step for step in there.log[before:] if step.part == "preflight" and step.verb == "create"]
    there.ended, there.generation = good, 2
    there.settle()
    assert routed(there) == 3


def there_scores() -> dict[str, Any]:
    return {"result.json": {"scores": {A: {"accuracy": 0.8}, B: {"accuracy": 0.9}, C: {"accuracy": 0.7}}, "rows": 79}}


def test_workers_that_do_not_come_up_are_a_failed_revision() -> None:
    """After three starts, or when the deadline is over; its workers are ended, the revision before serves."""
    for falls in (True, False):
        there = world()
        there.settle()
        there.starts = lambda w, part, unit, falls=falls: not (falls and part.startswith("worker/2"))
        if not falls:  # they run and never answer
            there._says_ready = lambda part, unit, say=there._says_ready: None if "worker/2" in part else say(part, unit)  # type: ignore[method-assign]
        there.things["experiment"] = experiment(B)
        assert isinstance(there.settle(1000), Done)
        assert routed(there) == 1
        assert workers(there) == {"worker/1-0", "worker/1-1"}
        assert there.status["revisions"][-1]["state"] == "Failed"
        assert there.status["revisions"][-1]["reason"] == "RolloutFailed"
        assert there.status["revisions"][-1]["message"]
        assert {row["type"]: row["status"] for row in there.status["conditions"]}["Preflight"] == "True"


@pytest.mark.parametrize("how", ["dies", "hangs"])
def test_a_preflight_without_an_answer_is_a_failed_revision(how: str) -> None:
    """It dies of a signal again and again, or never ends: that is said, it is ended, and the revision before serves."""
    there = world()
    there.settle()
    good = there.ended
    there.ended = lambda w, part, unit: None if part == "preflight" else good(w, part, unit)
    if how == "hangs":
        work = there._work
        there._work = lambda part, unit: None if part == "preflight" else work(part, unit)  # type: ignore[method-assign]
    there.things["experiment"] = experiment(B)
    assert isinstance(there.settle(1000), Done)
    assert (routed(there), answering(there)) == (1, 2)
    failed = there.status["revisions"][-1]
    assert (failed["state"], failed["reason"]) == ("Failed", "PreflightFailed")
    assert ("died 3 times" if how == "dies" else "no answer after") in failed["message"]
    unit = there.unit("preflight")
    assert unit is None or unit.state == "Exited"


def test_undo_serves_the_model_before_until_resume() -> None:
    """`undo` pins a revision's model; a newer one waits; `resume` lets it compete again."""
    there = world()
    there.settle()
    there.things["experiment"] = experiment(B)
    there.settle()
    there.spec |= {"rollout": {"revision": 1}}
    there.generation = 2
    there.settle()
    assert there.status["digest"] == A
    there.spec.pop("rollout")
    there.generation = 3
    there.settle()
    assert there.status["digest"] == B


def test_a_pause_holds_what_is_served() -> None:
    """Whatever is newer waits, and is not even scored."""
    there = world(rollout={"paused": True})
    there.settle()
    assert there.status["digest"] == A
    there.things["experiment"] = experiment(B)
    there.settle()
    assert there.status["digest"] == A
    assert not [step for step in there.log if step.part == "score"]


def test_without_a_model_it_says_whom_it_waits_for() -> None:
    """An experiment that is not there or not ready is named, and the web app is up meanwhile."""
    there = world(None)
    for thing in (None, experiment(None, ready=False)):
        there.things["experiment"] = thing
        if thing is None:
            del there.things["experiment"]
        for _ in range(30):
            plan = there.step()
        assert isinstance(plan, Wait)
        assert "xperiment" in plan.message
        assert there.unit("web")


def test_fewer_and_more_replicas() -> None:
    """Workers are started and ended as the spec says, and with none of them nothing is said to answer."""
    there = world()
    for count in (3, 1, 0, 2):
        there.spec["predictor"]["minReplicas"] = count
        there.generation += 1
        assert isinstance(there.settle(), Done)
        assert len(workers(there)) == count
        assert answering(there) == count


def test_a_changed_configuration_replaces_workers_one_at_a_time() -> None:
    """Limits are read at the start: web app and workers are started anew, and all but one worker answer at any time."""
    there = world(replicas=3)
    there.settle()
    least: list[int] = []
    there.watch = lambda now: least.append(answering(now))
    there.spec["limits"] = {"maxRows": 5}
    there.generation = 2
    there.settle()
    assert min(least) >= 2
    assert answering(there) == 3
    assert there.things["folder"].documents["config.json"]["limits"]["maxRows"] == 5


PARTS = ["web", "worker/1-0", "worker/1-1", "worker/2-0", "worker/2-1", "preflight", "score"]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("kill"), st.sampled_from(PARTS)),
        st.tuples(st.just("model"), st.sampled_from([A, B, C, None])),
        st.tuples(st.just("steps"), st.integers(1, 12)),
        st.tuples(st.just("spec"), st.sampled_from([{}, {"paused": True}, {"revision": 1}, {"promote": C}])),
        st.tuples(st.just("time"), st.sampled_from([0.05, 1.0, 30.0, 1000.0])),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.booleans())
def test_whatever_happened_it_ends_with_a_model_that_answers(events: list[tuple[str, Any]], preflight_fails_for_b: bool) -> None:
    """After any history of kills, new models and changes of mind: Done stays Done, nothing is made twice, somebody answers."""
    there = world()
    usual = there.ended

    def ended(w: World, part: str, unit: Any) -> Any:
        return BAD if preflight_fails_for_b and part == "preflight" and unit.label.endswith(B) else usual(w, part, unit)

    there.ended = ended
    for what, value in events:
        match what:
            case "kill":
                there.kill(value)
            case "model":
                there.things["experiment"] = experiment(value, ready=value is not None)
            case "spec":
                there.spec = {k: v for k, v in there.spec.items() if k != "rollout"} | ({"rollout": value} if value else {})
                there.generation += 1
            case "time":
                there.pass_time(value)
            case _:
                for _ in range(value):
                    there.step()
    there.things["experiment"] = experiment(A)
    there.spec = {key: value for key, value in there.spec.items() if key != "rollout"}
    there.generation += 1
    assert isinstance(there.settle(1500), Done)
    assert answering(there) == 2
    assert len(workers(there)) == 2
    before = len(there.log)
    assert isinstance(there.settle(), Done)
    assert len(there.log) == before
    there.teardown()


@given(st.sampled_from(["folder", "web", "worker/1-0", "experiment", "preflight"]), st.integers(0, 40))
def test_silence_never_leads_to_a_step(part: str, steps: int) -> None:
    """Whatever cannot be looked at: nothing is created, changed or ended meanwhile."""
    there = world()
    for _ in range(steps):
        there.step()
    there.parts()
    there.blind(part)
    if part in there.parts():
        assert isinstance(there.plan(), Wait | Stop)


@pytest.mark.parametrize(
    ("challenger", "incumbent", "maximize", "margin", "expected"),
    [("0.9", "0.8", True, 0, True), ("0.8", "0.8", True, 0, True), ("0.79", "0.8", True, 0, False),
     ("0.85", "0.8", True, 0.1, False),
     ("0.9", "0.8", True, 0.1, True), ("10", "12", False, 0, True), ("12", "10", False, 0, False), ("10", "12", False, 3, False),
     (None, "0.1", True, 0, False), ("0.1", None, True, 0, True)],
)  # fmt: skip
def test_who_beats_whom(challenger: str | None, incumbent: str | None, maximize: bool, margin: float, expected: bool) -> None:
    """Not worse with a margin of 0, better by the margin otherwise; who cannot be scored loses."""
    assert beats(challenger, incumbent, maximize, margin) is expected


def test_the_routing_table_is_what_is_served() -> None:
    """A status that was lost is derived from the routes again: nothing is started anew."""
    there = world()
    there.settle()
    there.status = {}
    before = len(there.log)
    assert isinstance(there.settle(), Done)
    assert [step for step in there.log[before:] if step.verb != "update"] == []
    assert there.status["revision"] == 1


def test_a_view_of_nothing() -> None:
    """Before anything is there, a view says so."""
    seen = world(None).seen()
    found = rollout.view(world(None).object, seen)  # type: ignore[arg-type]
    assert (found.serving, found.rows) == (None, ())
