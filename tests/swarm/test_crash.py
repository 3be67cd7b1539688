"""Crash anywhere, converge anyway, on a real Swarm: a daemon that is killed at each of its calls, again and again.

Every life of the daemon gets as far as its next call to the Swarm and is killed there: once the call was sent and its answer is
lost, or with the answer in hand. So one run of a deployment, of a rollout, of a deletion is a crash at every mutating step of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from reconciler.client import ApiUnavailable, Object
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import DEPLOYMENTS, PATIENCE, crowd, on_stage, on_swarm
from tests.support.theatre import NAME, SEEDS, House, Stage, experiment, quiet, status
from tests.support.world import intents

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1200)]
LONGEST = 900.0
BAKE = {"bakeSeconds": 5}
Deed = Callable[[], Awaitable[object]]
Portrait = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, lab: SwarmLab) -> AsyncIterator[Stage]:
    """A model that waits to be served, and a Swarm."""
    async with on_stage(house, lab) as there:
        await there.lab.create("Experiment", NAME, **experiment(SEEDS["good"]))
        yield there


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clean(at: Stage, lab: SwarmLab) -> tuple[Portrait, Portrait, Portrait]:
    """What is there after a deployment, a rollout and a deletion that nobody disturbed."""
    return await _life(at, lab, None)


async def _life(at: Stage, lab: SwarmLab, phase: str | None) -> tuple[Portrait, Portrait, Portrait]:
    """Deploy `good`, roll `better` out, delete; what is there after each."""
    await at.show("good")
    await _play(at, phase, lambda: at.lab.create("ModelDeployment", NAME, **on_swarm(lab, strategy=BAKE)), _serves(at, "good"))
    first = portrait(lab, await at.deployment())
    with crowd(lab) as load:
        deaths = await _play(at, phase, lambda: at.show("better"), _serves(at, "better"))
        second = portrait(lab, await at.deployment())
    TALLY.rollouts += 2
    assert load.failures == []
    assert phase is None or deaths >= 6, "model, preflight, workers, table, and the removal of what was before"
    await _play(at, phase, lambda: at.lab.client.delete(DEPLOYMENTS, "default", NAME), lambda obj: obj is None)
    return first, second, portrait(lab, None)


def _serves(at: Stage, model: str) -> Callable[[Object | None], bool]:
    return lambda obj: obj is not None and status(obj).get("digest") == at.models[model] and quiet(obj)


async def _play(at: Stage, phase: str | None, deed: Deed, over: Callable[[Object | None], bool]) -> int:
    """Do it, and start the daemon again whenever it dies, until all is done; how often it died."""
    env = {"ANNEAL_CRASH_AT": f"@call:{phase}"} if phase else {}
    at.daemon.kill()
    await at.daemon.start(env, wait=False)
    deaths, begun = 0, False
    async with asyncio.timeout(LONGEST):
        while True:
            try:
                if not begun:
                    await deed()
                    begun = True
                if over(await at.lab.client.get(DEPLOYMENTS, "default", NAME)):
                    break
            except ApiUnavailable:
                if not at.daemon.alive:
                    deaths += 1
                    await at.daemon.start(env, wait=False)
            await asyncio.sleep(0.1)
    at.daemon.kill()  # it may have a crash in store for which it found no occasion
    await at.daemon.start(seconds=PATIENCE)
    if await at.lab.client.get(DEPLOYMENTS, "default", NAME):
        await at.until(quiet, LONGEST)
    return deaths


def portrait(lab: SwarmLab, obj: Object | None) -> Portrait:
    """Everything of ours on the Swarm, by part, with ids and times left out; and what the status makes of it."""
    api, ours = lab.api(), {"label": ["anneal.dev/part"]}
    found: Portrait = {"services": {}, "others": []}
    for row in api.services(filters=ours):
        spec = row["Spec"]
        box = spec["TaskTemplate"]["ContainerSpec"]
        config = sorted(each["File"]["Name"] for each in box.get("Configs") or ())
        part, command = spec["Labels"]["anneal.dev/part"], [word for word in box["Command"] if not word.startswith("{")]
        assert part not in found["services"], f"{part} is there twice"
        found["services"][part] = [box["Image"], command, config, spec["Mode"]]
    for rows in (api.configs(filters=ours), api.secrets(filters=ours), api.networks(filters=ours)):
        found["others"] += sorted((row.get("Spec") or row)["Labels"]["anneal.dev/part"] for row in rows)
    assert len(found["others"]) == len(set(found["others"])), found["others"]
    if obj is not None:
        assert intents(obj) == []
        found["revisions"] = [(row["revision"], row["digest"], row["state"]) for row in status(obj)["revisions"]]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


@pytest.mark.parametrize("phase", ["sent", "after"])
async def test_a_daemon_that_is_killed_at_each_of_its_calls_ends_as_one_that_is_not(
    at: Stage, lab: SwarmLab, clean: tuple[Portrait, Portrait, Portrait], phase: str
) -> None:
    """First deployment, rollout at a hundred requests a second without a failed one, deletion: after each, the Swarm holds what
    it holds after a run in peace, and nothing twice."""
    assert await _life(at, lab, phase) == clean
    assert clean[2] == {"services": {}, "others": []}
