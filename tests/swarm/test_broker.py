"""RabbitMQ as three members on three nodes: the one of them that is lost is not missed."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.daemon import until
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import PATIENCE, PORT, RATE, answers_at, kill_one, on_stage, on_swarm, served_good
from tests.support.theatre import NAME, ROW, House, Stage, quiet, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1500)]
MEMBERS = ("broker-1", "broker-2", "broker-3")
LATER = {"Prefer": "respond-async"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served, with a broker of three."""
    async with on_stage(house, lab) as there:
        spec = on_swarm(lab)
        spec["swarm"]["broker"]["replicas"] = 3
        await served_good(there, spec)
        yield there


def inside(lab: SwarmLab, part: str, command: str) -> str:
    """What a command of the shell prints in a service's container, wherever it runs; nothing while none does."""
    for n in set(lab.addresses) - lab.down_nodes:
        api = lab.api(n)
        for row in api.containers(filters={"name": f"service-{part}.", "status": "running"}):
            made = api.exec_create(row["Id"], ["sh", "-c", command])
            return str(api.exec_start(made["Id"]).decode("utf-8", "replace"))
    return ""


def copies(lab: SwarmLab, member: str) -> tuple[set[str], str]:
    """Who has a copy of the revision's queue at hand, and who leads, as this member sees it; nobody while it cannot say."""
    tool = "PATH=/usr/lib/rabbitmq/bin:$PATH rabbitmqctl -n $RABBITMQ_NODENAME --silent --formatter=json"
    try:
        rows = json.loads(inside(lab, member, f"{tool} list_queues name online leader 2>/dev/null"))
    except json.JSONDecodeError:  # it does not run yet, or another member is on its way back
        return set(), ""
    assert {row["name"] for row in rows} <= {f"anneal.default.{NAME}.r1", f"anneal.default.{NAME}.r1.dead"}  # and no others
    queue = next((row for row in rows if row["name"] == f"anneal.default.{NAME}.r1"), {"online": (), "leader": ""})
    return {name.removeprefix("rabbit@") for name in queue["online"]}, queue["leader"].removeprefix("rabbit@")


async def test_three_members_on_three_nodes_keep_each_queue(at: Stage, lab: SwarmLab) -> None:
    """Each has a node of its own, and the revision's queue a copy with each."""
    pins = status(await at.deployment())["pins"]
    assert len({pins[member] for member in MEMBERS}) == 3
    members, leader = copies(lab, "broker-1")
    assert members == set(MEMBERS)
    assert leader in members


async def test_what_the_services_say_is_read_wherever_they_run(at: Stage, lab: SwarmLab) -> None:
    """`anneal logs`: of one part, of all, and as it goes on: a member's last words and its successor's first ones."""
    brokers = at.cli("logs", f"mdep/{NAME}", "--part", "broker", "--tail", "5", seconds=120)
    assert brokers.code == 0, brokers
    assert all(f"[{member}." in brokers.out for member in MEMBERS)
    assert "[entry." not in brokers.out
    everything = at.cli("logs", f"mdep/{NAME}", seconds=120)
    assert all(f"[{part}." in everything.out for part in ("entry", "broker-1", "store")), everything
    assert at.cli("logs", f"mdep/{NAME}", "--part", "nothing", seconds=120).code != 0
    reading = at.cli.start("logs", f"mdep/{NAME}", "--part", "broker-3", "--tail", "1", "-f")
    try:
        seen: list[str] = []
        assert reading.stdout is not None
        threading.Thread(target=lambda: seen.extend(iter(reading.stdout.readline, "")), daemon=True).start()
        await until(lambda: seen, PATIENCE, lambda: "nothing is said")
        await asyncio.to_thread(kill_one, lab, "broker-3")
        await until(lambda: "Starting broker" in "".join(seen), PATIENCE, lambda: "".join(seen))
        assert len({line.partition("]")[0] for line in seen}) == 2
    finally:
        reading.terminate()
        reading.wait(10)
    await at.until(quiet, PATIENCE)


class Accepting:
    """Somebody who has a hundred requests a second accepted, and remembers where each answer was promised."""

    def __init__(self, url: str) -> None:
        self.url, self.promised, self.refused, self.broken = url, list[str](), 0, 0
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Until `over`."""
        loop = asyncio.get_running_loop()
        began, sent, waiting = loop.time(), 0, set[asyncio.Task[None]]()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            while not self.over.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.over.wait(), max(0.0, began + sent / RATE - loop.time()) or 0.0001)
                sent += 1
                waiting.add(task := asyncio.create_task(self._ask(session)))
                task.add_done_callback(waiting.discard)
            await asyncio.gather(*waiting)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.post(f"{self.url}/predict", json=ROW, headers=LATER) as answer:
                if answer.status == 202:
                    self.promised.append(self.url + answer.headers["Location"])
                else:
                    self.refused += 1
        except (aiohttp.ClientError, TimeoutError):
            self.broken += 1

    async def open(self) -> list[str]:
        """Where there is no answer yet."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            states = [await self._state(session, where) for where in self.promised]
        return [where for where, state in zip(self.promised, states, strict=True) if state != "SUCCEEDED"]

    async def _state(self, session: aiohttp.ClientSession, where: str) -> Any:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(where) as answer:
                return (await answer.json()).get("state")
        return None


async def test_a_member_that_is_lost_loses_nothing(at: Stage, lab: SwarmLab) -> None:
    """At a hundred requests a second that are to be answered later, the power of a member's node is cut, of the queue's leader if
    that is not with the store: soon requests are accepted again, all that ever were are answered, and the member comes back."""
    pins = status(await at.deployment())["pins"]
    numbers = {lab.state(n)["NodeID"]: n for n in lab.addresses}
    candidates = [member for member in MEMBERS if pins[member] != pins["store"]]
    await until(lambda: whole(lab, candidates[0]), PATIENCE, lambda: f"{copies(lab, candidates[0])}")
    leader = copies(lab, candidates[0])[1]
    lost = numbers[pins[leader if leader in candidates else candidates[0]]]
    asked = next(n for n in lab.addresses if n != lost)
    crowd = Accepting(f"http://{lab.addresses[asked]}:{PORT}")
    running = asyncio.create_task(crowd.run())
    try:
        await until(
            lambda: len(crowd.promised) > 300, PATIENCE, lambda: f"{len(crowd.promised)} accepted, {crowd.refused} refused"
        )
        await asyncio.to_thread(lab.kill, lost)
        before = len(crowd.promised)
        await until(
            lambda: len(crowd.promised) > before + 1500, PATIENCE,
            lambda: f"{len(crowd.promised) - before} accepted since, {crowd.refused} refused, {crowd.broken} without an answer",
        )  # fmt: skip
        crowd.over.set()
        await running

        async def all_answered() -> bool:
            crowd.promised = await crowd.open()
            return not crowd.promised

        total = len(crowd.promised)
        await until(all_answered, PATIENCE, lambda: f"{len(crowd.promised)} of {total} are not answered", 1.0)
        TALLY.requests += total
        print(f"accepted {total}, refused {crowd.refused}, no answer {crowd.broken}; lost {lost}, leader {leader}")
    finally:
        crowd.over.set()
        await asyncio.to_thread(lab.start, lost)
    await at.until(quiet, PATIENCE)

    await until(lambda: whole(lab, candidates[0]), PATIENCE, lambda: "the member does not come back")


async def test_a_member_whose_volume_is_lost_joins_anew(at: Stage, lab: SwarmLab) -> None:
    """Its node comes back with another disk: the others forget it and take it in again, and it has its copy of the queue."""
    pins = status(await at.deployment())["pins"]
    lost, left, _ = sorted(MEMBERS, key=lambda member: pins[member] == pins["store"])
    node = next(n for n in lab.addresses if lab.state(n)["NodeID"] == pins[lost])
    await asyncio.to_thread(lab.kill, node)
    (volume,) = (lab.root / str(node) / "data" / "volumes").glob(f"*-{lost}/_data")
    for path in volume.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    await asyncio.to_thread(lab.start, node)
    await until(lambda: (volume / "joined").exists() and whole(lab, left), PATIENCE, lambda: "the member does not join")
    await at.until(quiet, PATIENCE)
    await until(lambda: all(answers_at(lab, n) for n in lab.addresses), PATIENCE, lambda: "not every node answers")


def whole(lab: SwarmLab, member: str) -> bool:
    """Whether the queue has a copy with each member, as this one sees it."""
    return copies(lab, member)[0] == set(MEMBERS)
