"""Serving a model on a Swarm and changing it: from any state of the Swarm to the wanted model, without a gap."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Done, Wait
from drivers.swarm.answers import Answers, Tally
from drivers.swarm.served import Item, Service, differs
from drivers.swarm.services import merged
from drivers.swarm.stack import Stacks
from modelstore.store import Store
from reconciler.kinds.credentials import Credentials
from reconciler.kinds.model_deployment import ModelDeploymentKind
from reconciler.kinds.swarm import serving
from tests.unit.kinds.swarmworld import SwarmWorld, cluster
from tests.unit.kinds.world import BLIND, local, referred

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
IMAGE, OTHER = ("registry:5000/serving@sha256:" + letter * 64 for letter in "12")


class Anywhere:
    """A Swarm's client that nobody asks anything in these tests."""

    name = "unix:///nowhere"

    async def of(self, *_: str) -> Anywhere:
        return self


def kind() -> ModelDeploymentKind:
    return ModelDeploymentKind(local(), Credentials(None), Stacks(Anywhere(), Store("/nowhere")))  # type: ignore[arg-type]


def model(digest: str | None) -> Any:
    status = {"digest": digest} if digest else {}
    return referred("ModelVersion", spec={}, status=status)


def world(digest: str | None = A, replicas: int = 2, image: str = IMAGE, **more: Any) -> SwarmWorld:
    swarm = {"clusterRef": {"name": "s"}, "image": image, **more}
    spec = {"swarm": swarm, "predictor": {"minReplicas": replicas, "model": {"modelVersionRef": {"name": "x"}}}}
    return SwarmWorld(kind(), spec, things={"model": model(digest), "cluster": cluster()})


def routed(there: SwarmWorld) -> dict[int, int]:
    """Revision → share, as Redis would hold it."""
    return {row["revision"]: row["weight"] for row in serving.table_of(there.seen()).get("revisions", ())}


def answering(there: SwarmWorld) -> bool:
    """Whether every revision that gets requests has workers, and all that stands before them runs."""
    shares = routed(there)
    parts = ["service/web", "service/entry", "service/broker", "service/store"]
    parts += [f"service/workers-{number}" for number in shares]
    tiers = [there.things.get(part) for part in parts]
    return bool(shares) and all(isinstance(tier, Service) and bool(tier.running or tier.outdated) for tier in tiers)


def condition(there: SwarmWorld, name: str = "Ready") -> dict[str, Any]:
    return next(row for row in there.status["conditions"] if row["type"] == name)


def roll(there: SwarmWorld, digest: str) -> None:
    there.things["model"] = model(digest)
    there.generation += 1


def test_from_nothing_to_a_served_model() -> None:
    """Services, network, password, configs: once each, in an order that Docker takes; the status says where and what."""
    there = world()
    assert isinstance(there.settle(), Done)
    assert routed(there) == {1: 100}
    assert answering(there)
    assert there.status["url"] == "http://10.0.0.2:8437"
    assert (there.status["revision"], there.status["digest"], there.status["readyReplicas"]) == (1, A, 2)
    assert condition(there)["status"] == "True"
    assert condition(there, "Preflight")["status"] == "True"
    there.teardown()


def test_what_keeps_data_stays_where_its_data_is() -> None:
    """Broker and store are pinned to their nodes, and come back there though they were deleted and nodes changed meanwhile."""
    there = world()
    there.settle()
    home = dict(there.status["pins"])
    assert len(set(home.values())) == 2
    for name in home:
        del there.things[f"service/{name}"]
    there.things["cluster"] = cluster(9)
    there.settle()
    for name, node in home.items():
        service = there.things[f"service/{name}"]
        assert f"node.id=={node}" in service.spec["TaskTemplate"]["Placement"]["Constraints"]


@pytest.mark.parametrize("strategy", [{"type": "blueGreen"}, {"type": "rolling", "steps": [10, 50]}], ids=str)
def test_a_new_model_takes_over_without_a_gap(strategy: dict[str, Any]) -> None:
    """At every moment somebody answers; the revision before stays ready for a while, and is gone in the end with its config."""
    there = world(strategy=strategy)
    there.settle()
    gaps: list[str] = []
    shares: list[dict[int, int]] = []

    def watch(now: Any) -> None:
        shares.append(routed(now))
        if not answering(now):
            gaps.append(str(now.log[-1]))

    there.watch = watch
    roll(there, B)
    assert isinstance(there.settle(), Done)
    assert gaps == []
    assert routed(there) == {2: 100}
    seen = [shares[n] for n in range(len(shares)) if n == 0 or shares[n] != shares[n - 1]]
    steps = [{1: 90, 2: 10}, {1: 50, 2: 50}] if strategy["type"] == "rolling" else []
    assert seen == [{1: 100}, *steps, {2: 100}]
    assert "service/workers-1" not in there.things
    assert serving.model_part(there.object, A) not in there.things
    first, second = there.status["revisions"]
    assert (first["state"], second["state"]) == ("Superseded", "Serving")
    assert first["servedFrom"] < first["servedUntil"] == second["servedFrom"]
    assert "servedUntil" not in second


def test_a_new_image_is_a_new_revision() -> None:
    """It goes the way that a new model goes; web and routes follow what is served."""
    there = world()
    there.settle()
    there.spec["swarm"]["image"] = OTHER
    there.generation += 1
    assert isinstance(there.settle(), Done)
    assert routed(there) == {2: 100}
    for part in ("service/web", "service/routes", "service/workers-2"):
        assert there.services()[part].spec["TaskTemplate"]["ContainerSpec"]["Image"] == OTHER


def test_workers_that_fail_while_they_serve_lose_the_requests() -> None:
    """The revision before has them again in one step; the failed one is remembered by the table itself, whatever forgets."""
    there = world()
    there.settle()
    roll(there, B)
    while routed(there) != {2: 100}:
        there.step()
    there.pass_time(20)
    for _ in range(2):
        there.fail("service/workers-2", "task: non-zero exit (139)")
    assert isinstance(there.settle(), Done)
    assert routed(there) == {1: 100}
    last = there.status["revisions"][-1]
    assert (last["state"], last["reason"], last["digest"]) == ("Failed", "RolledBack", B)
    assert "139" in last["message"]
    assert last["servedFrom"] < last["servedUntil"]
    assert "servedUntil" not in there.status["revisions"][0]
    assert condition(there, "Promoted")["reason"] == "RolledBack"
    assert "service/workers-2" not in there.things
    there.status["revisions"] = [row for row in there.status["revisions"] if row["revision"] == 1] + [last | {"state": "Pending"}]
    there.settle()
    assert routed(there) == {1: 100}


ANALYSIS = {"minRequests": 100, "maxErrorRatio": 0.02, "maxLatencyMs": 200, "maxLatencyRatio": 2.0}


@pytest.mark.parametrize("strategy", [{"type": "blueGreen"}, {"type": "rolling", "steps": [10, 50]}], ids=str)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (Tally(1000, 1, 20.0), Tally(100, 30, 20.0), "30 of its 100 answers are errors (30.0%, at most 2.0%; revision 1: 0.1%)"),
        (Tally(1000, 0, 20.0), Tally(500, 0, 900.0), "take up to 900 ms (at most 200 ms; revision 1: 20 ms)"),
        (Tally(1000, 0, 300.0), Tally(500, 0, 900.0), "take up to 900 ms (at most 600 ms; revision 1: 300 ms)"),
    ],
    ids=["errors", "late", "later than the one before"],
)
def test_bad_or_late_answers_cost_a_revision_its_requests(old: Tally, new: Tally, said: str, strategy: dict[str, Any]) -> None:
    """The one before has them again; the status says the numbers, and both revisions by model and image."""
    there = world(strategy={**strategy, "analysis": ANALYSIS})
    there.spec["revisionHistoryLimit"] = 1  # however few are remembered, the one that has to take over again is
    there.settle()
    roll(there, B)
    while 2 not in routed(there):
        there.step()
    there.answers = Answers({1: old, 2: new})
    assert isinstance(there.settle(), Done)
    assert routed(there) == {1: 100}
    last = there.status["revisions"][-1]
    assert (last["state"], last["reason"], last["digest"]) == ("Failed", "RolledBack", B)
    assert said in last["message"]
    found = condition(there, "RolledBack")
    assert (found["status"], found["reason"]) == ("True", "RolledBack")
    assert all(word in found["message"] for word in (A, B, IMAGE, said))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Tally(1000, 0, 20.0), Tally(99, 99, 9000.0)),
        (Tally(1000, 0, 20.0), Tally(499, 0, 9000.0)),
        (Tally(1000, 300, 20.0), Tally(1000, 250, 20.0)),
        (Tally(1000, 0, 20.0), Tally(1000, 10, 150.0)),
        (Tally(1000, 0, 700.0), Tally(1000, 0, 1100.0)),
    ],
    ids=["too few", "too few for a percentile", "no worse than before", "within bounds", "not much later than the one before"],
)
def test_answers_that_say_nothing_against_it_let_a_revision_go_on(old: Tally, new: Tally) -> None:
    """Too few to judge, as bad as those before, or within the bounds."""
    there = world(strategy={"type": "rolling", "analysis": ANALYSIS})
    there.settle()
    there.answers = Answers({1: old, 2: new})
    roll(there, B)
    there.settle()
    assert routed(there) == {2: 100}
    assert condition(there, "RolledBack")["status"] == "False"


def test_an_entry_that_is_silent_keeps_the_requests_where_they_are() -> None:
    """Tasks that run are not enough: no request goes over before answers are seen; in the end the revision has failed."""
    there = world()
    there.settle()
    there.answers = Answers({}, "http://10.0.0.1:8437 does not answer")
    roll(there, B)
    for _ in range(50):
        there.step()
        assert routed(there) == {1: 100}
    there.settle()
    assert routed(there) == {1: 100}
    assert there.status["revisions"][-1]["reason"] == "RolloutFailed"
    assert "does not answer" in there.status["revisions"][-1]["message"]


def test_a_change_without_new_tasks_does_not_cut_an_update_short() -> None:
    """Docker would end the tasks of before at once: more web apps are asked for once the new ones answer."""
    there = world()
    there.settle()
    part = "service/web"
    stale = tuple(replace(task, current=False) for task in there.services()[part].tasks)
    under_way = replace(there.services()[part], update="updating", update_since=there.now.timestamp(), tasks=stale)
    there.things[part] = under_way
    there.spec["swarm"]["web"] = {"replicas": 3}
    there.generation += 1
    there.step()
    assert there.services()[part] == under_way
    there.things[part] = replace(under_way, update="completed")
    assert isinstance(there.settle(), Done)
    assert there.services()[part].spec["Mode"] == {"Replicated": {"Replicas": 3}}


@pytest.mark.parametrize("update", ["paused", "rollback_paused", "updating"])
def test_an_update_that_does_not_end_is_begun_anew_once_and_then_stalled(update: str) -> None:
    """What Docker paused at once, what goes on for ever after the deadline; a changed spec is tried again."""
    there = world()
    there.settle()
    part, started = "service/web", there.now.timestamp()
    web = there.services()[part]
    stale = tuple(replace(task, current=False) for task in web.tasks)

    def halted() -> None:
        there.things[part] = replace(there.services()[part], update=update, update_since=started, tasks=stale)

    halted()
    count = len(there.log)
    if update == "updating":
        assert isinstance(there.plan(), Wait)
        there.now += timedelta(seconds=121)
    forced = there.plan()
    assert isinstance(forced, tuple)
    there.do(forced[0])
    assert there.services()[part].spec["TaskTemplate"]["ForceUpdate"] == 1
    halted()
    there.step()
    assert len(there.log) == count
    assert condition(there, "Stalled")["status"] == "True"
    assert "service" not in condition(there, "Stalled")["message"]
    assert condition(there)["reason"] == "Available", "the tasks of before answer on"
    assert condition(there, "Stalled")["message"] in condition(there)["message"]
    there.spec["limits"] = {"maxRows": 7}
    there.generation += 1
    assert isinstance(there.settle(), Done)
    assert condition(there, "Stalled")["status"] == "False"


def test_a_task_that_docker_forgot_to_start_is_begun_anew_each_time_somebody_changed_the_service() -> None:
    """Others of the service answer; one is ready and waits for what never ended, since it never was. Twice is not Stalled."""
    there = world()
    there.settle()
    part = "service/entry"
    for again in (1, 2):
        entry = there.services()[part]
        given_up = replace(entry.tasks[0], id="given up", current=False, state="pending", desired="shutdown")
        forgotten = replace(entry.tasks[0], id="forgotten", state="ready", desired="ready", since=there.now.timestamp())
        tasks = (*entry.tasks, given_up, forgotten)
        there.things[part] = replace(entry, tasks=tasks, update="completed")
        assert isinstance(there.plan(), Done), "it may be about to be started"
        there.now += timedelta(seconds=21)
        forced = there.plan()
        assert isinstance(forced, tuple)
        assert "Docker does not start it" in forced[0].why
        there.do(forced[0])
        assert there.services()[part].spec["TaskTemplate"]["ForceUpdate"] == again
        assert isinstance(there.settle(), Done)
        changed = there.services()[part]
        by_hand = {"TaskTemplate": {"ContainerSpec": {"Image": "another"}}}
        there.things[part] = replace(changed, spec=merged(changed.spec, by_hand))
        assert isinstance(there.settle(), Done)


def test_workers_that_do_not_come_up_are_a_failed_revision() -> None:
    """Their words are said, they are ended, the revision before serves."""
    there = world()
    there.settle()
    there.comes_up = lambda part, spec: "out of memory" if part == "service/workers-2" else ""
    roll(there, B)
    there.settle()
    assert routed(there) == {1: 100}
    assert there.status["revisions"][-1]["reason"] == "RolloutFailed"
    assert "out of memory" in there.status["revisions"][-1]["message"]
    assert "service/workers-2" not in there.things


def test_undo_serves_an_earlier_revision_again() -> None:
    """`anneal rollout undo` names a revision: its model is served again as a new one, by the same road."""
    there = world()
    there.settle()
    roll(there, B)
    there.settle()
    there.spec["rollout"] = {"revision": 1}
    there.generation += 1
    there.settle()
    assert there.status["digest"] == A
    assert there.status["revision"] == 3


@pytest.mark.parametrize("part", [*("service/web", "service/entry", "service/routes", "service/workers-1"), "service/store"])
def test_what_a_hand_changed_or_took_away_is_restored(part: str) -> None:
    """A service that was changed is set right, one that was deleted is made anew; what others wrote beside ours stays."""
    there = world()
    there.settle()
    wanted = there.services()[part]
    assert not differs(wanted.spec, wanted.spec)
    broken = json.loads(json.dumps(wanted.spec))
    broken["TaskTemplate"]["ContainerSpec"]["Image"] = "evil"
    broken["Labels"]["mine"] = "stays"
    there.things[part] = replace(wanted, spec=broken, version=99)
    there.settle()
    after = there.services()[part]
    assert after.spec["TaskTemplate"] == wanted.spec["TaskTemplate"]
    assert after.spec["Labels"]["mine"] == "stays"
    del there.things[part]
    there.settle()
    again = there.services()[part].spec["TaskTemplate"]
    assert routed(there) == {1: 100}
    assert part == "service/routes" or again == wanted.spec["TaskTemplate"]


def test_a_table_that_is_made_anew_is_newer_than_the_one_in_redis() -> None:
    """The service that keeps the table is taken away: nothing else is touched, and its successor is not taken for an old one."""
    there = world()
    there.settle()
    roll(there, B)
    there.settle()
    before = serving.table_of(there.seen())["serial"]
    count = len(there.log)
    there.pass_time(5)
    del there.things["service/routes"]
    there.settle()
    assert {step.part for step in there.log[count:]} == {"service/routes"}
    assert routed(there) == {2: 100}
    assert serving.table_of(there.seen())["serial"] > before


def test_the_workers_before_stay_until_the_new_table_is_in_redis() -> None:
    """However long it takes to get there: a web app that still reads the old one finds somebody who answers."""
    there = world(strategy={"bakeSeconds": 0})
    there.settle()
    there.comes_up = lambda part, spec: "no room" if part == "service/routes" else ""
    roll(there, B)
    for _ in range(400):
        there.step()
    assert routed(there) == {2: 100}
    assert there.services()["service/workers-1"].running
    there.comes_up = lambda part, spec: ""
    there.settle()
    assert "service/workers-1" not in there.things


def test_a_changed_text_is_another_config_and_the_old_one_goes() -> None:
    """The services are updated to it; nothing is deleted that a service still names."""
    there = world()
    there.settle()
    before = {part for part in there.things if part.startswith("config/app")}
    there.spec["limits"] = {"maxRows": 7}
    there.generation += 1
    there.settle()
    after = {part for part in there.things if part.startswith("config/app")}
    web = there.services()["service/web"].spec["TaskTemplate"]["ContainerSpec"]["Configs"]
    item = there.things[(after - before).pop()]
    assert isinstance(item, Item)
    assert item.id in {row["ConfigID"] for row in web}
    assert routed(there) == {1: 100}


def test_nothing_is_done_while_anything_cannot_be_seen() -> None:
    """A Swarm that does not answer is never taken for one without our services."""
    for part in ("service/web", "network", "service/workers-1"):
        there = world()
        there.settle()
        there.things[part] = BLIND
        assert isinstance(there.plan(), Wait)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(["roll", "image", "kill", "lose", "config", "pass"]), max_size=8), st.randoms())
def test_whatever_happens_it_ends_with_the_wanted_model_and_nothing_left_over(events: list[str], dice: Any) -> None:
    """Models, images, lost services, changed specs in any order: in the end the wanted one serves, and Done stays Done."""
    there = world(strategy={"type": dice.choice(["rolling", "blueGreen"])})
    for event in events:
        for _ in range(dice.randrange(30)):
            there.step()
        match event:
            case "roll":
                roll(there, dice.choice([A, B, C]))
            case "image":
                there.spec["swarm"]["image"] = dice.choice([IMAGE, OTHER])
                there.generation += 1
            case "lose" if there.services():
                del there.things[dice.choice(sorted(there.services()))]
            case "config":
                there.spec["limits"] = {"maxRows": dice.randrange(1, 5)}
                there.generation += 1
            case "pass":
                there.pass_time(60)
    assert isinstance(there.settle(2000), Done)
    assert isinstance(there.plan(), Done)
    digest = there.things["model"].status["digest"]
    assert there.status["digest"] == digest
    assert list(routed(there).values()) == [100]
    assert [part for part in there.services() if "workers" in part] == [f"service/workers-{there.status['revision']}"]
    models = {part for part in there.things if part.startswith("config/model")}
    assert serving.model_part(there.object, digest) in models
    there.teardown()
