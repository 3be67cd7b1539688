"""Fault 33: a node that serves a model is drained, or cut off and comes back. Nothing stale answers, nothing is written twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from docker.errors import APIError

from tests.support.accepting import Accepting
from tests.support.daemon import until
from tests.support.load import Load
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import PATIENCE, PORT, RATE, answers_at, crowd, on_stage, on_swarm, served_good, serves
from tests.support.theatre import ROW, House, Stage, quiet, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1200)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served on the Swarm, for all tests of this file."""
    async with on_stage(house, lab) as there:
        await served_good(there, on_swarm(lab, strategy={"bakeSeconds": 5}))
        yield there


def ids(lab: SwarmLab) -> dict[int, str]:
    """Node number → the Swarm's name for it."""
    return {n: lab.state(n)["NodeID"] for n in lab.addresses}


async def free(at: Stage, lab: SwarmLab) -> tuple[int, int]:
    """A node that has neither broker nor store, and another one."""
    pins = set((status(await at.deployment())["pins"]).values())
    lost = next(n for n, ident in ids(lab).items() if ident not in pins)
    return lost, next(n for n in lab.addresses if n != lost)


def running(lab: SwarmLab, node: int, part: str, without: str = "") -> list[dict[str, Any]]:
    """The tasks of a service that run, as this node's manager sees it, but for those on one node."""
    api = lab.api(node)
    (row,) = api.services(filters={"label": [f"anneal.dev/part=service/{part}"]})
    tasks = api.tasks(filters={"service": row["ID"], "desired-state": "running"})
    return [task for task in tasks if task["Status"]["State"] == "running" and task["NodeID"] != without]


async def replaced(lab: SwarmLab, other: int, lost: str, parts: tuple[str, ...]) -> None:
    """Wait until each service has two tasks that are not on the lost node."""
    began = time.monotonic()

    def all_up() -> bool:
        return all(len(running(lab, other, part, lost)) == 2 for part in parts)

    await until(all_up, PATIENCE, lambda: f"not up elsewhere: {[len(running(lab, other, part, lost)) for part in parts]}")
    TALLY.back.append(time.monotonic() - began)


def availability(lab: SwarmLab, ident: str, wanted: str) -> None:
    """As `docker node update --availability`."""
    api = lab.api()
    node = api.inspect_node(ident)
    api.update_node(ident, node["Version"]["Index"], {**node["Spec"], "Availability": wanted})


async def test_a_node_that_is_drained_costs_nobody_a_request(at: Stage, lab: SwarmLab) -> None:
    """Its web apps and workers are up elsewhere; who asks another node at a hundred a second notices nothing."""
    lost, other = await free(at, lab)
    ident, number = ids(lab)[lost], status(await at.deployment())["revision"]
    with crowd(lab, other) as load:
        await until(lambda: load.answered > RATE, PATIENCE, lambda: "nobody is answered")
        await asyncio.to_thread(availability, lab, ident, "drain")
        try:
            await replaced(lab, other, ident, ("web", f"workers-{number}"))
            before = load.answered
            await until(lambda: load.answered > before + 2 * RATE, PATIENCE, lambda: "nobody is answered any more")
        finally:
            await asyncio.to_thread(availability, lab, ident, "active")
        await until(lambda: answers_at(lab, lost), PATIENCE, lambda: "the node that is back does not answer")
    assert load.failures == []
    await at.until(quiet, PATIENCE)


async def test_a_node_that_was_cut_off_brings_nothing_stale_back(at: Stage, lab: SwarmLab) -> None:
    """Its workers are up elsewhere, another model is rolled out meanwhile, and every accepted request is
    answered; once its cable is in again it answers, with that model only, and nothing runs once too often."""
    lost, other = await free(at, lab)
    ident, number = ids(lab)[lost], status(await at.deployment())["revision"]
    with Accepting(f"http://{lab.addresses[other]}:{PORT}", ROW) as later:
        await until(lambda: len(later.accepted) > 10, PATIENCE, lambda: "nothing is accepted")
        await asyncio.to_thread(lab.cut, lost)
        try:
            await replaced(lab, other, ident, (f"workers-{number}",))
            await until(lambda: answers_at(lab, other), PATIENCE, lambda: "nobody is answered any more")
            later.stop()
            await at.show("better")
            fresh = status(await serves(at, "better"))["revision"]
        finally:
            await asyncio.to_thread(lab.heal, lost)
    assert [row for row in later.failures if "accepted and not" in row] == []
    TALLY.rollouts += 1
    loads = [Load(f"http://{lab.addresses[n]}:{PORT}", ROW, rate=RATE / 2) for n in (other, lost)]
    with loads[0], loads[1]:
        await until(
            lambda: loads[1].answered > RATE, PATIENCE, lambda: f"the node that is back does not answer: {loads[1].failures[-1:]}"
        )
        counted = [len(load.failures) for load in loads]
        await until(lambda: loads[1].answered > 3 * RATE, PATIENCE, lambda: "the node that is back answers no more")
    assert [len(load.failures) for load in loads] == counted, "it answers, or it does not"
    assert loads[0].failures == []
    assert {revision for load in loads for revision in load.revisions} == {fresh}
    TALLY.requests += sum(load.answered for load in loads)
    await at.until(quiet, PATIENCE)
    parts = {"web": 2, f"workers-{fresh}": 2, "broker": 1, "store": 1}
    await until(
        lambda: {part: contained(lab, part) for part in parts} == parts, PATIENCE, lambda: "something runs once too often"
    )


async def test_what_keeps_data_is_never_there_twice(at: Stage, lab: SwarmLab) -> None:
    """The node with the broker is cut off for as long as tasks are moved: no second broker is started anywhere, and what was
    accepted before is answered once the cable is in again."""
    pins = status(await at.deployment())["pins"]
    lost = next(n for n, ident in ids(lab).items() if ident == pins["broker"])
    other = next(n for n in lab.addresses if n != lost)
    with Accepting(f"http://{lab.addresses[other]}:{PORT}", ROW) as later:
        await until(lambda: len(later.accepted) > 10, PATIENCE, lambda: "nothing is accepted")
        await asyncio.to_thread(lab.cut, lost)
        try:
            await until(lambda: down(lab, other, pins["broker"]), PATIENCE, lambda: "the managers do not notice")
            later.stop()
            seen, end = set[str](), time.monotonic() + 15
            while time.monotonic() < end:
                homes = {part: contained(lab, part) for part in ("broker", "store")}
                seen |= {part for part, count in homes.items() if count > 1}
                await asyncio.sleep(0.5)
        finally:
            await asyncio.to_thread(lab.heal, lost)
    assert [row for row in later.failures if "accepted and not" in row] == []
    assert seen == set(), "two write into one volume"
    await at.until(quiet, PATIENCE)


def down(lab: SwarmLab, node: int, ident: str) -> bool:
    """Whether the managers have given a node up; they answer nothing while they choose another leader."""
    with suppress(APIError):
        return bool(lab.api(node).inspect_node(ident)["Status"]["State"] == "down")
    return False


def contained(lab: SwarmLab, part: str) -> int:
    """How many containers of a service run: as all engines say, not the Swarm."""
    wanted = {"name": f"service-{part}.", "status": "running"}
    return sum(len(lab.api(n).containers(filters=wanted)) for n in lab.addresses)
