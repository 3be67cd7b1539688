"""How models get to the workers of a Swarm: as configs, through a registry, or from the bucket that they are kept in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drivers.contract import Done
from drivers.swarm.given import hash_of
from drivers.swarm.served import Item
from reconciler.kinds.swarm import serving
from specs.model_deployment import ModelDeployment
from tests.unit.kinds.swarmworld import SwarmWorld
from tests.unit.kinds.test_swarm_data import box
from tests.unit.kinds.test_swarm_deployment import A, B, roll, routed, world
from tests.unit.kinds.world import UID

CREDENTIALS = "[default]\naws_access_key_id = AKIA\naws_secret_access_key = canary"
WAYS = {"registry": {}, "bucket": {"credentialsRef": {"env": "BUCKET"}}}
FILE = "/run/secrets/models"


def fetched(there: SwarmWorld, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the spec say how models get to the workers."""
    there.spec["swarm"]["models"] = WAYS[way]
    there.generation += 1
    monkeypatch.setenv("BUCKET", CREDENTIALS)
    there.things.pop("given/models", None)
    if way == "bucket":
        there.things["given/models"] = Item(hash_of(CREDENTIALS, UID), "models")


def knows(there: SwarmWorld, part: str) -> bool:
    """Whether a service was given the bucket's credentials; both, or neither: the file and the word where it is."""
    secret = "models" in {row["File"]["Name"] for row in box(there, part)["Secrets"]}
    told = {f"AWS_CONFIG_FILE={FILE}", f"AWS_SHARED_CREDENTIALS_FILE={FILE}"} <= set(box(there, part)["Env"])
    assert secret == told, part
    return secret


def test_who_loads_a_model_may_read_the_bucket_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers, preflight and what keeps the routes; not the web app. What was given stands in the secret alone."""
    there = world()
    fetched(there, "bucket", monkeypatch)
    assert isinstance(there.settle(), Done)
    loads = {"service/preflight-1", "service/workers-1", "service/routes"}
    assert {part for part in there.services() if knows(there, part)} == loads
    (sent,) = [step.change for step in there.log if step.part == serving.model_part(there.object, A)]
    assert sent == {"model": A, "bucket": True}
    told: list[Any] = [[service.spec for service in there.services().values()], there.status, [step.change for step in there.log]]
    assert "canary" not in json.dumps(told, default=str)
    there.teardown()


@pytest.mark.parametrize("way", WAYS)
def test_the_way_is_changed_while_it_serves(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The served model is sent anew, the other way; its workers go over to that one, and the next revision follows."""
    before = next(each for each in WAYS if each != way)
    there = world()
    fetched(there, before, monkeypatch)
    there.settle()
    old = serving.model_part(there.object, A)
    fetched(there, way, monkeypatch)
    assert isinstance(there.settle(), Done)
    new = serving.model_part(there.object, A)
    assert old != new
    for part in ("service/workers-1", "service/routes"):
        assert there.things[new].id in {row["ConfigID"] for row in box(there, part)["Configs"]}
        assert knows(there, part) == (way == "bucket")
    roll(there, B)
    assert isinstance(there.settle(), Done)
    assert {part for part in there.things if "/model-" in part} == {serving.model_part(there.object, B)}
    there.teardown()


@pytest.mark.parametrize("way", WAYS)
def test_the_way_is_changed_while_the_revision_before_may_still_take_over(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new revision fails then: the one before has the requests back, and ends up with its model sent the other way."""
    there = world(strategy={"bakeSeconds": 600})
    fetched(there, next(each for each in WAYS if each != way), monkeypatch)
    there.settle()
    roll(there, B)
    while routed(there) != {2: 100}:
        there.step()
    fetched(there, way, monkeypatch)
    while not there.services()["service/workers-2"].update:
        there.step()
    there.pass_time(20)
    for _ in range(2):
        there.fail("service/workers-2", "it died")
    assert isinstance(there.settle(2000), Done)
    assert there.status["digest"] == A
    assert there.things[serving.model_part(there.object, A)].id in {
        row["ConfigID"] for row in box(there, "service/workers-1")["Configs"]
    }
    there.teardown()


def test_two_ways_at_once_are_refused() -> None:
    """By file, line and field as any other mistake."""
    spec = world().spec
    spec["swarm"]["models"] = {"registry": "http://a:5000", "credentialsRef": {"env": "A"}}
    raw = {"apiVersion": "anneal.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "a"}, "spec": spec}
    with pytest.raises(ValueError, match="not both; take one of them away"):
        ModelDeployment.parse(raw)
