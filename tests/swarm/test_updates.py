"""Updates of services that others change at the same time, and updates that come to no end, on a real Swarm."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import pytest_asyncio
from docker.errors import APIError

from tests.support.daemon import condition_of, until
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import PATIENCE, crowd, on_stage, on_swarm, served_good
from tests.support.theatre import House, Stage, quiet, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1200)]
ENOUGH = {"limits": {"memory": None}, "requests": {"memory": None}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served on the Swarm, for all tests of this file."""
    async with on_stage(house, lab) as there:
        await served_good(there, on_swarm(lab))
        yield there


def service(lab: SwarmLab, part: str) -> dict[str, Any]:
    """A service of the deployment, as the Swarm has it."""
    (found,) = lab.api().services(filters={"label": [f"anneal.dev/part=service/{part}"]})
    return dict(found)


def named(service: dict[str, Any]) -> set[str]:
    """The configs that a service names."""
    return {row["ConfigID"] for row in service["Spec"]["TaskTemplate"]["ContainerSpec"]["Configs"]}


@contextmanager
def hand(lab: SwarmLab, *parts: str) -> Iterator[dict[str, int]]:
    """Somebody who writes a label of theirs into services again and again; how often each was written.

    Not into one that gets new tasks: any second change makes Docker end the ones of before at once (docs/swarm.md).
    """
    over, written, templates = threading.Event(), dict.fromkeys(parts, 0), dict[str, Any]()

    def write() -> None:
        api = lab.api(2)
        while not over.is_set():
            for part in parts:
                with suppress(APIError, ValueError):  # out of sequence, or being made
                    row = service(lab, part)
                    if row["Spec"]["TaskTemplate"] != templates.setdefault(part, row["Spec"]["TaskTemplate"]):
                        continue
                    row["Spec"]["Labels"]["theirs"] = str(written[part] + 1)
                    url, version = api._url("/services/{0}/update", row["ID"]), {"version": row["Version"]["Index"]}
                    api._raise_for_status(api._post_json(url, data=row["Spec"], params=version))
                    written[part] += 1
            over.wait(0.05)

    thread = threading.Thread(target=write, name="hand")
    thread.start()
    try:
        yield written
    finally:
        over.set()
        thread.join()


async def test_two_who_change_a_service_at_once_both_have_their_way(at: Stage, lab: SwarmLab) -> None:
    """A changed limit is a new config for web and workers while somebody writes labels into them twenty times a second: the
    update is planned anew until it is taken, their labels stay, the old config goes, and nobody who asks notices."""
    configs = {row["ID"] for row in lab.api().configs() if "config-app" in row["Spec"]["Name"]}
    with crowd(lab) as load, hand(lab, "web", "workers-1", "routes") as written:
        await until(lambda: min(written.values()) > 2, PATIENCE, lambda: str(written))
        await at.edit("modeldeployments", {"limits": {"maxRows": 77}})
        await at.until(lambda obj: quiet(obj) and condition_of(obj)["reason"] == "Available", PATIENCE)
    TALLY.rollouts += 1
    assert load.failures == []
    left = {row["ID"] for row in lab.api().configs() if "config-app" in row["Spec"]["Name"]}
    (new,) = left - configs
    assert left - {new} <= named(service(lab, "preflight-1")), "what tried the revision out is kept, and what it was told"
    for part, count in written.items():
        assert int(service(lab, part)["Spec"]["Labels"]["theirs"]) == count
        assert named(service(lab, part)) & left == {new}


@pytest.mark.parametrize(
    ("resources", "deadline", "said"),
    [
        ({"limits": {"memory": "8Mi"}}, 60, "its update is paused"),
        ({"requests": {"memory": "900Gi"}}, 12, "its update has been under way for"),
    ],
    ids=["paused", "without end"],
)
async def test_an_update_that_comes_to_no_end_is_begun_anew_once_and_then_stalled(
    at: Stage, lab: SwarmLab, resources: dict[str, Any], deadline: int, said: str
) -> None:
    """Web apps that die, or that no node has room for: the ones before answer on; one forced retry, then Stalled, with Docker's
    words; daemon restarts force nothing more; a mended spec ends it."""
    forced = int(service(lab, "web")["Spec"]["TaskTemplate"].get("ForceUpdate") or 0)
    with crowd(lab) as load:
        await at.edit(
            "modeldeployments", {"swarm": {"web": {"resources": ENOUGH | resources}}, "progressDeadlineSeconds": deadline}
        )
        obj = await at.until(lambda obj: condition_of(obj, "Stalled").get("status") == "True" and quiet(obj), PATIENCE)
        assert said in condition_of(obj, "Stalled")["message"]
        assert condition_of(obj)["reason"] == "Available"
        assert int(service(lab, "web")["Spec"]["TaskTemplate"]["ForceUpdate"]) == forced + 1
        version = service(lab, "web")["Version"]["Index"]
        at.daemon.kill()
        await at.daemon.start(seconds=PATIENCE)
        await at.until(quiet, PATIENCE)
        assert service(lab, "web")["Spec"]["TaskTemplate"]["ForceUpdate"] == forced + 1
        assert await asyncio.to_thread(lambda: service(lab, "web")["Version"]["Index"]) >= version
        await at.edit("modeldeployments", {"swarm": {"web": {"resources": ENOUGH}}, "progressDeadlineSeconds": 240})
        await at.until(lambda obj: condition_of(obj, "Stalled").get("status") == "False" and quiet(obj), PATIENCE)
    TALLY.rollouts += 1
    assert load.failures == []
    assert status(await at.deployment())["revision"] == 1
