"""What keeps a deployment's data on a Swarm: three members of a broker, somebody else's broker; and its dead letters."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from drivers.contract import Done, Wait
from drivers.swarm.given import hash_of
from drivers.swarm.served import Item, Service
from reconciler.kinds.swarm.letters import ANNOTATION, Request
from specs.model_deployment import ModelDeployment
from tests.unit.kinds.swarmworld import GOOD, SwarmWorld, cluster
from tests.unit.kinds.test_swarm_deployment import A, B, roll, world
from tests.unit.kinds.world import UID

MEMBERS = ["broker-1", "broker-2", "broker-3"]
URL, OTHER_URL = (f"amqp://somebody:{word}@rabbit.example/v" for word in ("tulip-canary", "rose-canary"))


def box(there: SwarmWorld, part: str) -> dict[str, Any]:
    """A service's container."""
    service = there.things[part]
    assert isinstance(service, Service)
    return dict(service.spec["TaskTemplate"]["ContainerSpec"])


def test_three_members_are_made_one_after_another_each_with_a_node_of_its_own() -> None:
    """The others join the first, so that runs before they are made; and nobody makes a queue before all are there."""
    there = world(broker={"replicas": 3})
    wrong: list[str] = []

    def watch(now: Any) -> None:
        members = [now.things.get(f"service/{name}") for name in MEMBERS]
        if any(members[1:]) and not (members[0] and (members[0].running or members[0].update)):
            wrong.append("a member was made before the first one ran")
        if any("preflight" in part or "workers" in part for part in now.services()) and not all(members):
            wrong.append("the revision was begun before all members were there")

    there.watch = watch
    assert isinstance(there.settle(), Done)
    assert not wrong
    assert len({there.status["pins"][name] for name in MEMBERS}) == 3
    assert [box(there, f"service/{name}")["Hostname"] for name in MEMBERS] == MEMBERS
    assert "service/broker" not in there.things
    aliases = there.things["service/broker-2"].spec["TaskTemplate"]["Networks"][0]["Aliases"]
    assert aliases == ["broker", "broker-2"]
    there.teardown()


def test_a_member_that_is_away_keeps_nobody_from_being_answered() -> None:
    """Two of three are a majority: Available stays True, and another model is rolled out; with one it is not."""
    there = world(broker={"replicas": 3})
    there.settle()
    there.comes_up = lambda part, spec: "no power" if part == "service/broker-2" else ""
    there.fail("service/broker-2", "no power")
    roll(there, B)
    for _ in range(400):
        there.step()
    assert there.status["digest"] == B
    assert next(row for row in there.status["conditions"] if row["type"] == "Available")["status"] == "True"
    there.comes_up = lambda part, spec: "no power" if part in ("service/broker-1", "service/broker-2") else ""
    there.fail("service/broker-1", "no power")
    there.step()
    assert next(row for row in there.status["conditions"] if row["type"] == "Available")["status"] != "True"


def test_three_members_want_three_nodes() -> None:
    """With two nodes nothing is begun, and it says what is missing."""
    there = world(broker={"replicas": 3})
    there.things["cluster"] = cluster(2)
    for _ in range(200):
        there.step()
    plan = there.plan()
    assert isinstance(plan, Wait)
    assert "broker-3" in plan.message
    assert not [part for part in there.services() if "workers" in part]


def given(there: SwarmWorld, monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    """Have the environment hold this URL, and the world see it; the part of its secret."""
    monkeypatch.setenv("THEIR_BROKER", url)
    there.things["given/broker"] = Item(hash_of(url, UID), "broker")
    return f"secret/broker-{hash_of(url, UID)}"


def test_a_broker_that_is_there_already_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No RabbitMQ is made; its URL stands in a secret and nowhere else; another URL takes its place task by task, and the secret
    with the one before goes when the preflight that was given it does, with the next revision."""
    there = world(broker={"credentialsRef": {"env": "THEIR_BROKER"}})
    first = given(there, monkeypatch, URL)
    assert isinstance(there.settle(), Done)
    assert not [part for part in there.services() if "broker" in part]
    for part in ("service/web", "service/workers-1", "service/routes"):
        assert {row["File"]["Name"] for row in box(there, part)["Secrets"]} == {"password", "broker"}
    second = given(there, monkeypatch, OTHER_URL)
    assert isinstance(there.settle(), Done)
    assert second in there.things
    roll(there, B)
    assert isinstance(there.settle(), Done)
    assert first not in there.things
    for part in ("service/web", "service/workers-2", "service/routes"):
        assert there.things[second].id in {row["SecretID"] for row in box(there, part)["Secrets"]}
        assert there.things[part].spec["UpdateConfig"]["Order"] == "start-first"
    told = json.dumps([[service.spec for service in there.services().values()], there.status], default=str)
    told += json.dumps([step.change for step in there.log], default=str)
    assert "canary" not in told
    there.teardown()


def test_with_neither_of_its_own_it_needs_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broker and store are others': nothing that keeps data is made."""
    monkeypatch.setenv("THEIR_STORE", "redis://somebody@redis.example/0")
    there = world(broker={"credentialsRef": {"env": "THEIR_BROKER"}}, store={"credentialsRef": {"env": "THEIR_STORE"}})
    given(there, monkeypatch, URL)
    there.things["given/store"] = Item(hash_of("redis://somebody@redis.example/0", UID), "store")
    assert isinstance(there.settle(), Done)
    assert "secret/password" not in there.things
    assert not [part for part in there.services() if part in ("service/store", "service/broker")]
    assert next(row for row in there.status["conditions"] if row["type"] == "Ready")["status"] == "True"
    there.teardown()


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ({}, {"broker": {"replicas": 3}}, "spec.swarm.broker.replicas"),
        ({}, {"broker": {"credentialsRef": {"env": "A"}}}, "spec.swarm.broker"),
        ({"store": {"credentialsRef": {"env": "A"}}}, {}, "spec.swarm.store"),
    ],
    ids=["replicas", "to somebody else's", "to one of its own"],
)
def test_where_accepted_requests_are_kept_is_for_life(before: Any, after: Any, where: str) -> None:
    """Another choice is refused, with the reason."""
    specs = [{"spec": {"swarm": {"clusterRef": {"name": "s"}, **each}}} for each in (before, after)]
    ((path, message),) = ModelDeployment.changes_refused(*specs)
    assert path == where
    assert "for life" in message
    assert ModelDeployment.changes_refused(specs[0], specs[0]) == []


def test_dead_letters_are_read_by_a_job_that_is_gone_when_nobody_waits_for_it() -> None:
    """Asked for by an annotation: one job is made; when its time is over it is removed, also if the annotation stays."""
    there = world()
    there.settle()
    request = Request("0123abcd", "replay", ("a", "b"), there.now + timedelta(seconds=120))
    there.metadata = {"annotations": {ANNOTATION: request.dump()}}
    there.settle()
    command = box(there, request.part)["Command"]
    assert command[-7:] == ["replay", "--request", request.id, "--id", "a", "--id", "b"]
    assert [step.part for step in there.log].count(request.part) == 1
    there.pass_time(121)
    there.settle()
    assert request.part not in there.things
    roll(there, A)
    there.settle()
    assert request.part not in there.things


def test_dead_letters_are_read_though_a_node_could_not_begin_the_job() -> None:
    """Another try reads them, for whoever still waits."""
    there = world()
    there.settle()
    answers = iter(["No such image", GOOD])
    there.trial = lambda spec: next(answers)
    request = Request("0123abcd", "list", (), there.now + timedelta(seconds=120))
    there.metadata = {"annotations": {ANNOTATION: request.dump()}}
    there.settle()
    assert there.services()[request.part].output == GOOD


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"id": "a/b", "verb": "list", "ids": [], "until": "2030-01-01T00:00:00Z"}'])
def test_a_request_that_makes_no_sense_is_none(text: str) -> None:
    """Whatever somebody wrote into the annotation."""
    there = world()
    there.metadata = {"annotations": {ANNOTATION: text}}
    assert isinstance(there.settle(), Done)
    assert not [part for part in there.services() if "letters" in part]
