"""A model served by services on a real Swarm, and changed for another one while a hundred people a second ask."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import requests

from tests.support.daemon import condition_of, until
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import (
    PATIENCE,
    PORT,
    crowd,
    failed,
    kill_one,
    on_stage,
    on_swarm,
    predicted_by_browser,
    served_good,
    serves,
)
from tests.support.theatre import NAME, House, Stage, asked, quiet, status


@pytest.fixture
async def at(house: House, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served on the Swarm."""
    async with on_stage(house, lab) as there:
        await served_good(there, on_swarm(lab))
        yield there
    for kind in ("services", "configs", "secrets"):
        assert [row["ID"] for row in getattr(lab.api(), kind)(filters={"label": ["anneal.dev/owner"]})] == []


def service(lab: SwarmLab, part: str) -> dict[str, Any]:
    """A service of the deployment, as the Swarm has it."""
    (found,) = lab.api().services(filters={"label": [f"anneal.dev/part=service/{part}"]})
    return dict(found)


async def test_a_finished_experiment_is_served_by_every_node(at: Stage, lab: SwarmLab) -> None:
    """From nothing: the Experiment ends, its model is tried out on the Swarm and served; every node's port answers with the
    revision that the status tells of, and in a browser one click predicts."""
    obj = await at.deployment()
    assert condition_of(obj)["reason"] == "Available"
    assert condition_of(obj, "Preflight")["status"] == "True"
    assert (status(obj)["replicas"], status(obj)["readyReplicas"]) == (2, 2)
    assert status(obj)["url"].endswith(f":{PORT}")
    (trial,) = lab.api().tasks(filters={"service": service(lab, "preflight-1")["ID"]})
    assert trial["Status"]["State"] == "complete"
    for address in lab.addresses.values():
        answer = asked(f"http://{address}:{PORT}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"]["digest"] == status(obj)["digest"]
    assert await asyncio.to_thread(predicted_by_browser, status(obj)["url"]) in {"Adelie", "Chinstrap", "Gentoo"}


@pytest.mark.parametrize("strategy", [{"type": "blueGreen"}, {"type": "rolling", "steps": [20, 60], "stepSeconds": 3}], ids=str)
async def test_a_better_model_takes_over_and_nobody_notices(at: Stage, lab: SwarmLab, strategy: dict[str, Any]) -> None:
    """At a hundred requests a second all through: no failed request, every answer carries its revision, the old one's services
    and its model are gone in the end."""
    await at.edit("modeldeployments", {"swarm": {"strategy": {**strategy, "bakeSeconds": 10}}})
    with crowd(lab) as load:
        await at.show("better")
        obj = await serves(at, "better")
    TALLY.rollouts += 1
    assert load.failures == []
    assert set(load.revisions) == {1, 2}
    assert [row["state"] for row in status(obj)["revisions"]] == ["Superseded", "Serving"]
    names = {row["Spec"]["Labels"]["anneal.dev/part"] for row in lab.api().services(filters={"label": ["anneal.dev/part"]})}
    assert {name for name in names if "workers" in name} == {"service/workers-2"}
    models = [row for row in lab.api().configs() if "config-model" in row["Spec"]["Name"]]
    assert len(models) == 1


async def test_a_word_at_the_terminal_undoes_and_pauses_and_tells_what_served(at: Stage, lab: SwarmLab) -> None:
    """`anneal rollout` on a Swarm as on this machine, at a hundred requests a second: the model before serves again, and nothing
    newer does until it may; the history says what served from when to when."""
    what = f"mdep/{NAME}"
    await at.edit("modeldeployments", {"swarm": {"strategy": {"bakeSeconds": 1}}})
    with crowd(lab) as load:
        await at.show("better")
        await serves(at, "better")
        undone = await asyncio.to_thread(at.cli, "rollout", "undo", what, seconds=120)
        assert undone.code == 0, undone
        await at.until(lambda obj: status(obj).get("digest") == at.models["good"], PATIENCE)
        resumed = await asyncio.to_thread(at.cli, "rollout", "resume", what, seconds=120)
        assert resumed.code == 0, resumed
        obj = await serves(at, "better")
    TALLY.rollouts += 3
    assert load.failures == []
    history = await asyncio.to_thread(at.cli, "rollout", "history", what, seconds=120)
    rows = [line.split() for line in history.lines[1:]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert [row[2] for row in rows] == ["Superseded", "Superseded", "Superseded", "Serving"]
    served = status(obj)["revisions"]
    assert all(before["servedUntil"] <= after["servedFrom"] for before, after in itertools.pairwise(served))


async def test_workers_that_die_while_they_serve_lose_the_requests(at: Stage, lab: SwarmLab) -> None:
    """A new revision's workers are killed again and again after the switch: the one before has the requests back, nobody was
    refused, and the failed revision is remembered with its reason."""
    await at.edit("modeldeployments", {"swarm": {"strategy": {"bakeSeconds": 60}}})
    with crowd(lab) as load:
        await at.show("better")
        await at.until(lambda obj: status(obj).get("revision") == 2, PATIENCE)
        await until(lambda: load.revisions[2] > 100, PATIENCE, lambda: "the new revision gets no requests")
        for _ in range(2):
            await asyncio.to_thread(kill_one, lab, "workers-2")
        row = await failed(at, "RolledBack", 2)
        before = load.revisions[1]
        await until(lambda: load.revisions[1] > before + 100, PATIENCE, lambda: "the one before gets no requests")
    TALLY.rollouts += 1
    assert load.failures == []
    assert row["digest"] == at.models["better"]
    obj = await at.deployment()
    assert (status(obj)["revision"], status(obj)["digest"]) == (1, at.models["good"])
    assert condition_of(obj, "Promoted")["reason"] == "RolledBack"


async def test_a_daemon_that_is_killed_again_and_again_ends_its_rollout_all_the_same(at: Stage, lab: SwarmLab) -> None:
    """kill -9 every few seconds from the first step to the last: nobody who asks notices, nothing is there twice, and the end is
    that of a rollout in peace."""
    with crowd(lab) as load:
        await at.show("better")
        lives = 0
        while True:
            await asyncio.sleep(2)  # a life of that length, wherever it ends
            obj = await at.deployment()
            if status(obj).get("digest") == at.models["better"] or lives == 8:
                break
            at.daemon.kill()
            await at.daemon.start(seconds=PATIENCE)
            lives += 1
        obj = await serves(at, "better")
    TALLY.rollouts += 1
    assert lives > 1
    assert load.failures == []
    parts = [row["Spec"]["Labels"]["anneal.dev/part"] for row in lab.api().services(filters={"label": ["anneal.dev/part"]})]
    assert len(parts) == len(set(parts))
    assert [part for part in parts if "workers" in part] == [f"service/workers-{status(obj)['revision']}"]


async def test_what_a_hand_took_away_or_changed_is_restored_and_strangers_are_left_alone(at: Stage, lab: SwarmLab) -> None:
    """Web deleted, entry scaled into nonsense by its image: both as before; a service of somebody else is as it was."""
    api = lab.api()
    template = {"ContainerSpec": {"Image": lab.images["redis"], "Command": ["sleep", "3600"]}}
    foreign = api._result(
        api._post_json(api._url("/services/create"), data={"Name": "stranger", "TaskTemplate": template}), True
    )["ID"]
    try:
        was = api.inspect_service(foreign)["Version"]["Index"]
        api.remove_service(service(lab, "web")["ID"])
        entry = service(lab, "entry")
        spec = entry["Spec"]
        good = spec["TaskTemplate"]["ContainerSpec"]["Image"]
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = lab.images["python"]
        api._raise_for_status(
            api._post_json(
                api._url("/services/{0}/update", entry["ID"]), data=spec, params={"version": entry["Version"]["Index"]}
            )
        )

        def restored() -> bool:
            webs = api.services(filters={"label": ["anneal.dev/part=service/web"]})
            return bool(webs) and service(lab, "entry")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == good

        await until(restored, PATIENCE, lambda: "it is not restored")
        await at.until(quiet, PATIENCE)
        await until(lambda: answers(lab), PATIENCE, lambda: "it does not answer")
        assert api.inspect_service(foreign)["Version"]["Index"] == was
    finally:
        api.remove_service(foreign)


def answers(lab: SwarmLab) -> bool:
    """Whether every node's port answers."""
    try:
        return all(asked(f"http://{address}:{PORT}").status_code == 200 for address in lab.addresses.values())
    except requests.RequestException:
        return False
