"""What breaks under a model that is served on a real Swarm, and what holds meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import requests
from docker.errors import APIError

from tests.support.daemon import condition_of, until
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import PATIENCE, PORT, answers_at, crowd, kill_one, on_stage, on_swarm, served_good
from tests.support.theatre import ROW, House, Stage, asked, quiet, status

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served on the Swarm, for all tests of this file."""
    async with on_stage(house, lab) as there:
        await served_good(there, on_swarm(lab))
        yield there


def accepted(url: str) -> str:
    """Have one request accepted, to be answered later; where its answer will be."""
    answer = requests.post(f"{url}/predict", json=ROW, headers={"Prefer": "respond-async"}, timeout=30)
    assert answer.status_code == 202, answer.text
    return f"{url}{answer.json()['location']}"


def is_answered(where: str) -> bool:
    """Whether an accepted request has its answer."""
    try:
        answer = requests.get(where, timeout=30)
    except requests.RequestException:
        return False
    return answer.status_code == 200 and answer.json()["state"] == "SUCCEEDED"


async def all_answered(jobs: list[str]) -> None:
    await until(lambda: all(map(is_answered, jobs)), PATIENCE, lambda: f"{sum(map(is_answered, jobs))} of {len(jobs)} answered")


async def test_a_worker_that_is_killed_with_requests_in_hand_loses_none(at: Stage, lab: SwarmLab) -> None:
    """At a hundred requests a second: everyone is answered, by the other worker or by its successor."""
    with crowd(lab) as load:
        await until(lambda: load.answered > 100, PATIENCE, lambda: "nobody is answered")
        jobs = [await asyncio.to_thread(accepted, load.url) for _ in range(20)]
        await asyncio.to_thread(kill_one, lab, "workers-1")
        jobs += [await asyncio.to_thread(accepted, load.url) for _ in range(20)]
        await all_answered(jobs)
        await at.until(lambda obj: status(obj).get("readyReplicas") == 2 and quiet(obj), PATIENCE)
    assert load.failures == []


@pytest.mark.parametrize("part", ["broker", "store"])
async def test_what_was_accepted_survives_a_restart_of_what_keeps_it(at: Stage, lab: SwarmLab, part: str) -> None:
    """RabbitMQ, then Redis, killed with everything that was accepted in them: it comes back on its node with its data, and
    every accepted request is answered."""
    url = f"http://{lab.addresses[2]}:{PORT}"
    jobs = [await asyncio.to_thread(accepted, url) for _ in range(30)]
    await asyncio.to_thread(kill_one, lab, part)

    def answers() -> bool:
        try:
            return asked(url).status_code == 200
        except requests.RequestException:
            return False

    await until(answers, PATIENCE, lambda: "nobody is answered any more")
    await all_answered(jobs)
    await at.until(quiet, PATIENCE)


async def test_while_the_one_broker_s_node_is_gone_requests_are_refused_and_none_that_was_accepted_is_lost(
    at: Stage, lab: SwarmLab
) -> None:
    """503 on the nodes that are left, soon and without a trace; when it is back, what was accepted before is answered."""
    pins = status(await at.deployment())["pins"]
    lost = next(n for n in lab.addresses if lab.state(n)["NodeID"] == pins["broker"])
    other = next(n for n in lab.addresses if n != lost)
    url = f"http://{lab.addresses[other]}:{PORT}"
    jobs = [await asyncio.to_thread(accepted, url) for _ in range(30)]
    await asyncio.to_thread(lab.kill, lost)
    try:

        def refused() -> bool:
            answer = asked(url)
            return answer.status_code == 503 and "Traceback" not in answer.text

        await until(refused, PATIENCE, lambda: "it is not refused")
    finally:
        await asyncio.to_thread(lab.start, lost)
    await all_answered(jobs)
    await until(lambda: answers_at(lab, other), PATIENCE, lambda: "nobody is answered any more")
    await at.until(quiet, PATIENCE)


async def test_a_node_without_power_is_done_without(at: Stage, lab: SwarmLab) -> None:
    """Whichever node has neither broker nor store: the workers and web apps that it had are up elsewhere, requests to the other
    nodes are answered; when it is back, its port answers, too."""
    pins = set(status(await at.deployment())["pins"].values())
    ids = {n: lab.state(n)["NodeID"] for n in lab.addresses}
    lost = next(n for n, ident in ids.items() if ident not in pins)
    other = next(n for n in lab.addresses if n != lost)
    await asyncio.to_thread(lab.kill, lost)
    began = time.monotonic()
    try:

        def served() -> bool:
            rows = lab.api(other).tasks(filters={"desired-state": "running"})
            live = [row for row in rows if row["Status"]["State"] == "running" and row["NodeID"] != ids[lost]]
            return sum("serving.worker" in str(row["Spec"]["ContainerSpec"].get("Command")) for row in live) == 2

        await until(served, PATIENCE, lambda: "the workers are not up elsewhere")
        TALLY.back.append(time.monotonic() - began)
        await until(lambda: answers_at(lab, other), PATIENCE, lambda: "nobody is answered any more")
    finally:
        await asyncio.to_thread(lab.start, lost)
    await until(lambda: answers_at(lab, lost), PATIENCE, lambda: "the node that is back does not answer")
    await at.until(quiet, PATIENCE)


async def test_a_node_that_joins_again_under_another_id_has_its_data_still(at: Stage, lab: SwarmLab) -> None:
    """The store's node loses what it knew of the Swarm and is removed from it: that is said. It joins anew: the store is at home
    there again, with all results."""
    ident = status(await at.deployment())["pins"]["store"]
    lost = next(n for n in lab.addresses if lab.state(n)["NodeID"] == ident)
    other = next(n for n in lab.addresses if n != lost)
    jobs = [await asyncio.to_thread(accepted, f"http://{lab.addresses[other]}:{PORT}") for _ in range(20)]
    await all_answered(jobs)
    await asyncio.to_thread(lab.kill, lost)
    await until(lambda: removed(lab, other, ident), PATIENCE, lambda: "it cannot be removed")
    await at.until(lambda obj: "the data of store has left the Swarm" in condition_of(obj)["message"], PATIENCE)
    await asyncio.to_thread(lab.forget, lost)
    token, home = lab.api(other).inspect_swarm()["JoinTokens"]["Manager"], lab.addresses[lost]
    lab.api(lost).join_swarm([f"{lab.addresses[other]}:2377"], token, f"{home}:2377", home)
    new = lab.state(lost)["NodeID"]
    assert new != ident
    await at.until(lambda obj: status(obj)["pins"]["store"] == new and quiet(obj), PATIENCE)
    await until(lambda: all(answers_at(lab, n) for n in lab.addresses), PATIENCE, lambda: "not every node answers")
    await all_answered(jobs)


def removed(lab: SwarmLab, by: int, ident: str) -> bool:
    """Have a manager demote a dead one and remove it; False while the others do not see that it is dead."""
    api = lab.api(by)
    try:
        row = api.inspect_node(ident)
        api.update_node(ident, row["Version"]["Index"], {"Role": "worker", "Availability": "active"})
        api.remove_node(ident, force=True)
    except APIError:
        return False
    return True
