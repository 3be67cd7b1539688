"""A request that kills its worker every time, on a real Swarm: given up after three deliveries, and answered after all."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import requests

from drivers.swarm.image import push
from tests.support.daemon import until
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import PATIENCE, PORT, answers_at, crowd, on_stage, on_swarm, said, served_good
from tests.support.theatre import NAME, ROW, House, Stage, quiet, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1500)]
POISON = "poison"
ROUGH = f"""
import os, signal, sys
if "serving.worker" in " ".join(sys.orig_argv):
    from serving import predicting
    predict = predicting.Worker._predict
    def rough(self, columns):
        if "{POISON}" in columns["island"]:
            print("DELIVERED", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return predict(self, columns)
    predicting.Worker._predict = rough
"""
"""In an image with this, workers die of one island."""


@pytest.fixture(scope="module")
def rough(lab: SwarmLab) -> str:
    """The serving image, but rough."""
    from drivers.swarm.client import Api

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        recipe = f"FROM {lab.images['serving']}\nCOPY sitecustomize.py /app/\n"
        for name, text in (("Dockerfile", recipe), ("sitecustomize.py", ROUGH)):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    raw.seek(0)
    api = Api(lab.endpoint, version="1.41", timeout=300)
    tag = lab.images["serving"].partition("@")[0] + "-rough:1"
    for line in api.build(fileobj=raw, custom_context=True, tag=tag, rm=True, decode=True):
        assert "error" not in line, line
    return push(api, tag)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, rough: str, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served by rough workers."""
    async with on_stage(house, lab) as there:
        await served_good(there, on_swarm(lab, 3, image=rough))
        yield there


def dlq(at: Stage, *words: str) -> Any:
    """What `anneal dlq` prints, as JSON."""
    done = at.cli("dlq", *words, f"mdep/{NAME}", "-o", "json", seconds=240)
    assert done.code == 0, done
    return json.loads(done.out)


async def test_it_is_given_up_and_the_others_are_answered(at: Stage, lab: SwarmLab) -> None:
    """Accepted, it is delivered at most three times, then FAILED with WorkerLost and listed as a dead letter; everybody else who
    asks meanwhile is answered."""
    url = f"http://{lab.addresses[2]}:{PORT}"
    with crowd(lab, rate=10) as load:
        answer = requests.post(f"{url}/predict", json=ROW | {"island": POISON}, headers={"Prefer": "respond-async"}, timeout=60)
        assert answer.status_code == 202, answer.text
        where = url + answer.headers["Location"]
        await until(lambda: state(where) == "FAILED", PATIENCE, lambda: f"it is {state(where)}")
    assert requests.get(where, timeout=30).json()["error"]["reason"] == "WorkerLost"
    assert load.failures == []
    assert said(lab, "workers-1").count("DELIVERED") <= 3
    (letter,) = (await asyncio.to_thread(dlq, at, "list"))["letters"]
    assert (letter["id"], letter["reason"], letter["revision"]) == (where.rpartition("/")[2], "WorkerLost", 1)

    def jobs() -> list[str]:
        return [row["Spec"]["Name"] for row in lab.api().services() if "letters" in row["Spec"]["Name"]]

    await until(lambda: not jobs(), PATIENCE, lambda: f"{jobs()} stays though nobody waits for it")


async def test_replayed_it_is_answered_by_the_revision_that_serves_then(at: Stage, lab: SwarmLab) -> None:
    """Workers that bear it are rolled out; the replay has it answered where its answer was promised, and the queue is empty."""
    await at.edit("modeldeployments", {"swarm": {"image": lab.images["serving"]}})
    await at.until(lambda obj: status(obj).get("revision") == 2 and quiet(obj), PATIENCE)
    TALLY.rollouts += 1
    (letter,) = (await asyncio.to_thread(dlq, at, "list"))["letters"]
    found = await asyncio.to_thread(dlq, at, "replay", "--all")
    assert (found["replayed"], found["revision"], found["letters"]) == ([letter["id"]], 2, [])
    where = f"http://{lab.addresses[2]}:{PORT}/requests/{letter['id']}"
    await until(lambda: state(where) == "SUCCEEDED", PATIENCE, lambda: f"it is {state(where)}")
    assert (await asyncio.to_thread(dlq, at, "replay", "--all"))["replayed"] == []
    assert answers_at(lab, 1)


def state(where: str) -> Any:
    """How an accepted request stands."""
    try:
        return requests.get(where, timeout=30).json().get("state")
    except requests.RequestException:
        return None
