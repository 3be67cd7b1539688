"""Revisions that are bad in one way each, on a real Swarm at a hundred requests a second: the one before serves on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.daemon import condition_of, until
from tests.support.load import Load
from tests.support.swarmimages import bad_image
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import CALM, CLUSTERS, PATIENCE, PORT, RATE, crowd, failed, on_stage, on_swarm, served_good, serves
from tests.support.theatre import NAME, ROW, House, Stage, quiet, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1200)]
NOWHERE = "@sha256:" + "0" * 64
BLUE_GREEN = {"type": "blueGreen", "bakeSeconds": 60, "analysis": CALM}
ROLLING = {"type": "rolling", "steps": [10, 50], "stepSeconds": 8, "bakeSeconds": 45, "analysis": CALM}
STRATEGIES = pytest.mark.parametrize("strategy", [BLUE_GREEN, ROLLING], ids=["blueGreen", "rolling"])
SLOW = pytest.mark.slow
ERRORS, LATENCY = "answers are errors (", " ms (at most "
RESTARTS = {"blueGreen": 3, "rolling": 1}
"""What is remembered is remembered the same way; once for each strategy would be enough."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served on the Swarm, for all tests of this file."""
    async with on_stage(house, lab) as there:
        assert await there.lab.get(CLUSTERS, NAME)
        await served_good(there, on_swarm(lab) | {"progressDeadlineSeconds": 90})
        yield there


@pytest.fixture(scope="module")
def images(lab: SwarmLab) -> dict[str, str]:
    """Every bad image, by how it is bad."""
    made = {name: bad_image(lab, name) for name in ("never-healthy", "crashes", "errs", "dawdles")}
    return made | {"not-there": lab.images["serving"].partition("@")[0] + NOWHERE}


@pytest_asyncio.fixture(loop_scope="module")
async def served(at: Stage, lab: SwarmLab) -> AsyncIterator[dict[str, Any]]:
    """The row of the revision that serves, and the number of the next one; it serves again afterwards."""
    rows = status(await at.deployment())["revisions"]
    yield next(row for row in rows if row["state"] == "Serving") | {"next": max(row["revision"] for row in rows) + 1}
    if not at.daemon.alive:
        await at.daemon.start(seconds=PATIENCE)
    await at.show("good")
    await at.edit("modeldeployments", {"swarm": {"image": lab.images["serving"]}, "rollout": None})
    await serves(at, "good")


def services(lab: SwarmLab) -> dict[str, tuple[str, int]]:
    """Every service of the deployment, by part: its id, and how often it was changed."""
    rows = lab.api().services(filters={"label": ["anneal.dev/part"]})
    return {row["Spec"]["Labels"]["anneal.dev/part"]: (row["ID"], row["Version"]["Index"]) for row in rows}


def shares(lab: SwarmLab) -> set[str]:
    """The parts that are workers."""
    return {part for part in services(lab) if "workers" in part}


async def remembered(at: Stage, lab: SwarmLab, row: dict[str, Any], restarts: int) -> None:
    """It is not tried again, however often the daemon is killed and started."""
    before = services(lab)
    for _ in range(restarts):
        at.daemon.kill()
        await at.daemon.start(seconds=PATIENCE)
        await at.until(quiet, PATIENCE)
    assert services(lab) == before
    rows = status(await at.deployment())["revisions"]
    assert [each["state"] for each in rows if each["revision"] >= row["revision"]] == ["Failed"]


def told(obj: dict[str, Any], row: dict[str, Any], served: dict[str, Any]) -> None:
    """RolledBack, with both revisions by the digests of their models and images."""
    found = condition_of(obj, "RolledBack")
    assert (found["status"], found["reason"]) == ("True", "RolledBack")
    for each in (row, served):
        assert each["digest"] in found["message"]
        assert each["image"] in found["message"]


@pytest.mark.parametrize(
    ("how", "reason", "strategy"),
    [
        pytest.param("not-there", "PreflightFailed", BLUE_GREEN, id="an image that cannot be pulled, blueGreen"),
        pytest.param("not-there", "PreflightFailed", ROLLING, id="an image that cannot be pulled, rolling", marks=SLOW),
        pytest.param("never-healthy", "RolloutFailed", BLUE_GREEN, id="one that fails its health check, blueGreen", marks=SLOW),
        pytest.param("never-healthy", "RolloutFailed", ROLLING, id="one that fails its health check, rolling", marks=SLOW),
        pytest.param("crashes", "RolledBack", BLUE_GREEN, id="a model that crashes after 20 s, blueGreen"),
        pytest.param("crashes", "RolledBack", ROLLING, id="a model that crashes after 20 s, rolling", marks=SLOW),
    ],
)
async def test_a_bad_image_costs_nobody_a_request(
    at: Stage, lab: SwarmLab, images: dict[str, str], served: dict[str, Any], how: str, reason: str, strategy: dict[str, Any]
) -> None:
    """No failed request; the one before serves on; RolledBack names both digests; restarts of the daemon try nothing."""
    with crowd(lab) as load:
        await at.edit("modeldeployments", {"swarm": {"image": images[how], "strategy": strategy}})
        row = await failed(at, reason, served["next"])
        before = load.revisions[served["revision"]]
        await until(lambda: load.revisions[served["revision"]] > before + RATE, PATIENCE, lambda: "nobody is answered")
    TALLY.rollouts += 1
    assert load.failures == []
    assert row["image"] == images[how]
    obj = await at.deployment()
    assert status(obj)["revision"] == served["revision"]
    assert condition_of(obj)["reason"] == "Available"
    assert shares(lab) == {f"service/workers-{served['revision']}"}
    told(obj, row, served)
    await remembered(at, lab, row, RESTARTS[strategy["type"]])


@STRATEGIES
async def test_a_model_that_fails_its_preflight_costs_nobody_a_request(
    at: Stage, lab: SwarmLab, served: dict[str, Any], strategy: dict[str, Any]
) -> None:
    """The same for a model whose golden rows it does not predict; and once the spec changes it is tried again."""
    await at.edit("modeldeployments", {"swarm": {"strategy": strategy}})
    with crowd(lab) as load:
        await at.show("broken")
        await at.edit("modeldeployments", {"rollout": {"promote": at.models["broken"]}})
        row = await failed(at, "PreflightFailed", served["next"])
    TALLY.rollouts += 1
    assert load.failures == []
    assert set(load.revisions) == {served["revision"]}
    told(await at.deployment(), row, served)
    await remembered(at, lab, row, RESTARTS[strategy["type"]])
    await at.edit("modeldeployments", {"swarm": {"strategy": strategy | {"bakeSeconds": 1}}})
    again = await failed(at, "PreflightFailed", row["revision"] + 1)
    assert again["digest"] == row["digest"]


@pytest.mark.parametrize(
    ("how", "said", "strategy"),
    [
        pytest.param("errs", ERRORS, ROLLING, id="it errs, rolling"),
        pytest.param("errs", ERRORS, BLUE_GREEN, id="it errs, blueGreen", marks=SLOW),
        pytest.param("dawdles", LATENCY, ROLLING, id="it dawdles, rolling", marks=SLOW),
        pytest.param("dawdles", LATENCY, BLUE_GREEN, id="it dawdles, blueGreen", marks=SLOW),
    ],
)
async def test_bad_or_late_answers_cost_a_revision_its_requests(
    at: Stage, lab: SwarmLab, images: dict[str, str], served: dict[str, Any], how: str, said: str, strategy: dict[str, Any]
) -> None:
    """Its share is watched: it loses the requests, RolledBack says the numbers, and whoever asks later is answered as before."""
    bounds = CALM | ({"maxLatencyMs": 700} if how == "dawdles" else {})
    url = f"http://{lab.addresses[2]}:{PORT}"
    load = Load(url, ROW, rate=RATE)  # not in the tally: what such a model answers is no failure of the Swarm

    async def more() -> None:
        before = load.revisions[served["revision"]]
        await until(lambda: load.revisions[served["revision"]] > before + RATE, PATIENCE, lambda: "nobody is answered")

    with load:
        await at.edit("modeldeployments", {"swarm": {"image": images[how], "strategy": strategy | {"analysis": bounds}}})
        row = await failed(at, "RolledBack", served["next"])
        await more()
        wrong = len(load.failures)
        await more()
    TALLY.rollouts += 1
    assert len(load.failures) == wrong
    assert all(text.startswith(("500: ", "429: ")) for text in load.failures)
    assert said in row["message"]
    assert f"revision {served['revision']}: " in row["message"]
    told(await at.deployment(), row, served)
    assert await asyncio.to_thread(shares, lab) == {f"service/workers-{served['revision']}"}
