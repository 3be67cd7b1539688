"""A Swarm made of engines: whatever was done to them, the plan ends in the Swarm that is wanted, and never in a second one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Ambiguous, Done, DriverError, Duplicate, Intent, Owner, Plan, Present, Seen, Step, Stop, Wait
from drivers.swarm import tags
from drivers.swarm.fleet import Fleet
from drivers.swarm.ipvs import Ipvs
from drivers.swarm.live import Swarm
from drivers.swarm.members import NodeDriver, SwarmDriver
from reconciler.kinds.swarm.cluster import SwarmClusterKind
from reconciler.kinds.swarms import Swarms
from specs.meta import API_VERSION, Reason
from specs.swarm_cluster import SwarmCluster
from tests.support.fakeswarm import FakeDocker, FakeSwarms

UID = "0b5f3f0e-1111-4222-8333-000000000001"
OWNER = Owner("installation-1", "SwarmCluster", "default", "a", UID)
KIND = SwarmClusterKind(Swarms(None, lambda: None), "installation-1", lambda plural: None)  # type: ignore[arg-type,return-value]


@dataclass
class Play:
    """A SwarmCluster, its engines, the real drivers over them, and the engine's part of the play."""

    engines: FakeSwarms
    spec: dict[str, Any]
    refs: dict[str, str] = field(default_factory=dict)
    log: list[Step] = field(default_factory=list)
    watch: Callable[[Play], None] = lambda play: None

    @classmethod
    def of(cls, names: str = "abcd", watch: Callable[[Play], None] = lambda play: None, **spec: Any) -> Play:
        engines = FakeSwarms(tuple(names))
        return cls(engines, {"nodes": [node(name) for name in names], "managerReplacementSeconds": 10} | spec, watch=watch)

    @property
    def object(self) -> SwarmCluster:
        meta = {"name": "a", "namespace": "default", "uid": UID, "generation": 1}
        return SwarmCluster.parse({"apiVersion": API_VERSION, "kind": "SwarmCluster", "metadata": meta, "spec": self.spec})

    def fleet(self) -> Fleet:
        dockers: Any = {name: FakeDocker(engine) for name, engine in self.engines.engines.items()}
        return Fleet(UID, dockers, UID, "installation-1")

    async def seen(self) -> Seen:
        fleet, now = self.fleet(), time.monotonic()
        swarm, nodes = SwarmDriver(fleet), NodeDriver(fleet)
        parts = {f"node/{one['name']}" for one in self.spec["nodes"]} | {p for p in self.refs if p.startswith("node/")}
        found: dict[str, Any] = {"swarm": await swarm.observe(OWNER, self.refs.get("swarm"), now, "swarm")}
        for part in sorted(parts):
            found[part] = await nodes.observe(OWNER, self.refs.get(part), now, part)
        for part, one in found.items():  # what the engine records
            if isinstance(one, Present | Duplicate):
                self.refs[part] = one.ref if isinstance(one, Present) else one.keep.ref
        return found | {"ipvs": Present("x", Ipvs(False, "no"))}

    async def do(self, step: Step) -> None:
        self.log.append(step)
        fleet = self.fleet()
        driver: Any = SwarmDriver(fleet) if step.part == "swarm" else NodeDriver(fleet)
        try:
            if step.verb == "delete":
                assert step.ref is not None
                await driver.destroy(step.ref)
            else:
                self.refs[step.part] = await driver.apply(step, Intent(OWNER, step.part, OWNER.external_name(step.part)))
        except DriverError:
            pass  # the engine looks again
        self.watch(self)

    async def once(self, *, ending: bool = False) -> Plan:
        seen = await self.seen()
        return KIND.teardown(self.object, seen, self.engines.now) if ending else KIND.plan(self.object, seen, self.engines.now)

    def settle(self, *, ending: bool = False, most: int = 80) -> Plan:
        """Go on until there is nothing to do, or nothing but waiting helps."""
        return asyncio.run(self._settle(ending, most))

    async def _settle(self, ending: bool, most: int) -> Plan:
        waited = 0
        for _ in range(most):
            match plan := await self.once(ending=ending):
                case Done() | Stop():
                    return plan
                case Wait(seconds=seconds):
                    waited += 1
                    if waited > 12:
                        return plan
                    self.engines.now += timedelta(seconds=seconds)
                case (step, *_):
                    waited = 0
                    await self.do(step)
        pytest.fail(f"no end in sight: {[(step.verb, step.part, step.why) for step in self.log[-8:]]}")

    def swarm(self) -> Swarm:
        observation = asyncio.run(self.seen())["swarm"]
        assert isinstance(observation, Present), observation
        live: Swarm = observation.live
        return live

    def managers(self) -> set[str]:
        return {node.hostname for node in self.swarm().managers}

    def verdicts(self) -> dict[str, tuple[str, str, str]]:
        async def said() -> dict[str, tuple[str, str, str]]:
            seen = await self.seen()
            plan = KIND.plan(self.object, seen, self.engines.now)
            return {one.type: (one.status, one.reason, one.message) for one in KIND.verdicts(self.object, seen, plan)}

        return asyncio.run(said())


def node(name: str, **more: Any) -> dict[str, Any]:
    number = "abcdefgh".index(name) + 1
    return {"name": name, "endpoint": f"unix:///{name}", "address": f"10.0.0.{number}", **more}


def one_swarm(play: Play) -> None:
    """What must hold at every moment: no engine is in a Swarm beside ours."""
    ids = {engine.cluster.id for engine in play.engines.engines.values() if engine.cluster is not None}
    assert len(ids) <= 1, ids


def test_engines_become_one_swarm() -> None:
    """Three managers of four nodes; every create carries our tag from the first moment on."""
    play = Play.of(watch=one_swarm)
    assert isinstance(play.settle(), Done)
    assert play.managers() == {"a", "b", "c"}
    assert play.swarm().labels[tags.OWNER] == UID
    made = [step.part for step in play.log if step.verb == "create"]
    assert (made[0], sorted(made[1:])) == ("swarm", ["node/b", "node/c", "node/d"])


@pytest.mark.parametrize(("names", "wanted", "expected"), [("a", None, 1), ("ab", None, 1), ("abc", None, 3), ("abcde", 5, 5)])
def test_as_many_managers_as_are_wanted(names: str, wanted: int | None, expected: int) -> None:
    """Three where there are three, else one, unless the spec says otherwise."""
    play = Play.of(names, **({"managers": wanted} if wanted else {}))
    play.settle()
    assert len(play.managers()) == expected


def test_roles_are_honoured() -> None:
    """Who should manage does, who should not does not, whatever their order."""
    play = Play.of("abc", managers=1)
    play.spec["nodes"] = [node("a", role="Worker"), node("b"), node("c", role="Manager")]
    play.settle()
    assert play.managers() == {"c"}


def test_two_managers_are_warned_of() -> None:
    """In so many words."""
    play = Play.of("ab", managers=2)
    plan = play.settle()
    assert isinstance(plan, Done)
    assert "two managers survive no failure" in plan.message


def test_a_lost_manager_keeps_its_place_for_a_while() -> None:
    """A restart is no loss: only who is down for managerReplacementSeconds is replaced."""
    play = Play.of()
    play.settle()
    play.engines.cut("b")
    play.engines.now += timedelta(seconds=5)
    assert isinstance(asyncio.run(play.once()), Wait)
    assert play.managers() == {"a", "b", "c"}
    play.engines.now += timedelta(seconds=6)
    play.settle()
    assert play.managers() == {"a", "c", "d"}
    assert play.verdicts()["NodesReady"][:2] == ("False", Reason.NODES_NOT_READY)
    assert play.verdicts()["QuorumHealthy"][0] == "True"


def test_without_a_quorum_nothing_is_done() -> None:
    """Two of three managers without power: no step at all, and QuorumHealthy says why."""
    play = Play.of("abc")
    play.settle()
    play.engines.cut("a")
    play.engines.cut("b")
    before = play.engines.mutations
    plan = play.settle()
    assert isinstance(plan, Wait)
    assert plan.reason is Reason.QUORUM_LOST
    assert play.engines.mutations == before
    assert play.verdicts()["QuorumHealthy"][:2] == ("False", Reason.QUORUM_LOST)
    assert play.verdicts()["Ready"][0] != "True"
    play.engines.engines["b"].power = True
    assert isinstance(play.settle(), Wait)
    assert play.verdicts()["NodesReady"][0] == "False"
    assert play.verdicts()["Ready"][0] == "True"  # two of three decide: it can be used, whatever it said before


def test_a_silent_engine_may_hold_the_swarm() -> None:
    """While one engine does not answer, no Swarm is made: it may have one of ours."""
    play = Play.of("abc")
    play.engines.cut("c")
    assert isinstance(play.settle(), Wait)
    assert play.engines.mutations == 0


def test_somebody_elses_swarm_stays() -> None:
    """An engine that is in another Swarm: nothing is done, and the message says what helps."""
    play = Play.of("ab")
    play.engines.engines["a"].init_swarm_raw({"AdvertiseAddr": "10.0.0.1", "Spec": {}})
    plan = play.settle()
    assert isinstance(plan, Stop)
    assert plan.reason is Reason.NOT_OURS
    assert play.engines.mutations == 0


def test_tokens_are_rotated_once() -> None:
    """For each value of tokenRotation."""
    play = Play.of("a")
    play.settle()
    cluster = play.engines.engines["a"].cluster
    assert cluster is not None
    for value, expected in (("1", 1), ("1", 1), ("2", 2)):
        play.spec["tokenRotation"] = value
        play.settle()
        assert cluster.tokens == expected
    assert cluster.labels[tags.OWNER] == UID


def test_tokens_are_made_anew_after_a_node_left() -> None:
    """Whoever left knows them; who comes does not cost anybody new ones. The same where its engine is silent for good."""
    play = Play.of("abcd")
    added = play.spec["nodes"].pop()
    play.settle()
    cluster = play.engines.engines["a"].cluster
    assert cluster is not None
    play.spec["nodes"].append(added)
    play.settle()
    assert cluster.tokens == 0
    play.spec["nodes"].pop()
    play.settle()
    assert (cluster.tokens, play.engines.engines["d"].cluster) == (1, None)
    play.engines.cut("c")
    play.engines.now += timedelta(seconds=60)
    play.spec["nodes"] = [node("a"), node("b")]
    play.settle()
    assert cluster.tokens == 2


def test_tokens_are_made_anew_by_the_clock() -> None:
    """Each time that they are as old as the spec allows."""
    play = Play.of("a", tokenRotationPeriodSeconds=600)
    play.settle()
    cluster = play.engines.engines["a"].cluster
    assert cluster is not None
    for seconds, expected in ((300, 0), (301, 1), (300, 1), (301, 2)):
        play.engines.now += timedelta(seconds=seconds)
        play.settle()
        assert cluster.tokens == expected


def test_a_node_is_drained_before_it_leaves() -> None:
    """While tasks run there it stays; then it leaves, and its entry goes."""
    play = Play.of()
    play.settle()
    leaving = play.engines.engines["d"]
    play.engines.tasks = [leaving.node]
    play.spec["nodes"] = play.spec["nodes"][:3]
    plan = play.settle()
    assert isinstance(plan, Wait)
    assert "1 tasks still run" in plan.message
    assert leaving.cluster is not None
    play.engines.tasks = []
    play.settle()
    assert leaving.cluster is None
    assert len(play.swarm().nodes) == 3


EVENTS = st.sampled_from(
    [
        "forget",
        "cut",
        "restore",
        "demote",
        "drain",
        "label",
        "evict",
        "stick",
        "fewer",
        "more",
        "lose before",
        "lose after",
        "hour",
    ]
)


@settings(max_examples=150)
@given(st.lists(st.tuples(EVENTS, st.sampled_from("abcd"), st.integers(0, 6)), max_size=8))
def test_from_any_state_it_ends_in_the_swarm_that_is_wanted(events: list[tuple[str, str, int]]) -> None:
    """Whatever happens at whatever step: never two Swarms; and once power is back, all is as wanted, and stays so.

    Only where most managers lost their state at once is there nothing to go on from but a person's decision.
    """
    play = Play.of("abcd", watch=one_swarm)
    for event, name, steps in events:
        play.settle() if steps > 4 else asyncio.run(some(play, steps))
        happens(play, event, name)
    for name in "abcd":
        play.engines.engines[name].power = True
    play.spec["nodes"] = [node(name) for name in "abcd"]
    plan = play.settle(most=200)
    if isinstance(plan, Wait) and plan.reason is Reason.QUORUM_LOST:
        return
    assert isinstance(plan, Done), plan
    assert len(play.managers()) == 3
    assert {node.state for node in play.swarm().nodes} == {"ready"}
    assert len(play.swarm().nodes) == 4
    before = play.engines.mutations
    assert isinstance(play.settle(), Done)
    assert play.engines.mutations == before
    assert isinstance(play.settle(ending=True, most=200), Done)
    assert all(engine.cluster is None for engine in play.engines.engines.values())


async def some(play: Play, steps: int) -> None:
    """A few steps, and no further."""
    for _ in range(steps):
        plan = await play.once()
        if isinstance(plan, tuple):
            await play.do(plan[0])


def happens(play: Play, event: str, name: str) -> None:
    """What people, power and networks do."""
    engine = play.engines.engines[name]
    entry = engine.cluster.nodes.get(engine.node) if engine.cluster is not None else None
    match event:
        case "forget":
            play.engines.forget(name)
        case "cut":
            play.engines.cut(name)
        case "restore":
            engine.power = True
        case "demote" if entry is not None and entry["votes"] and len(play_managers(play)) > 1:
            entry["Spec"]["Role"] = "worker"
        case "stick" if entry is not None and not entry["votes"] and engine.power:
            engine.stuck, entry["since"] = True, play.engines.now
        case "drain" if entry is not None:
            entry["Spec"]["Availability"] = "drain"
        case "label" if entry is not None:
            entry["Spec"]["Labels"] = {"somebody": "else"}
        case "evict" if entry is not None and not entry["votes"]:
            assert engine.cluster is not None
            del engine.cluster.nodes[engine.node]
        case "fewer":
            play.spec["nodes"] = [one for one in play.spec["nodes"] if one["name"] != name] or play.spec["nodes"]
        case "more":
            play.spec["nodes"] = [node(one) for one in "abcd"]
        case "lose before" | "lose after":
            play.engines.lost = event.removeprefix("lose ")
        case "hour":
            play.engines.now += timedelta(hours=1)


def play_managers(play: Play) -> list[str]:
    """The entries of managers in the Swarm that is there."""
    clusters = [engine.cluster for engine in play.engines.engines.values() if engine.cluster is not None]
    return [id for id, row in clusters[0].nodes.items() if row["votes"]] if clusters else []


def nobody_is_stuck(play: Play) -> None:
    """What a manager in the making meets if another one goes meanwhile."""
    assert not [engine.name for engine in play.engines.engines.values() if engine.stuck]


@pytest.mark.parametrize("rest", ["bcd", "acd", "abd", "bcde", "cdef"])
def test_managers_come_before_others_go(rest: str) -> None:
    """Other engines than before, in one change of the spec: nobody goes while somebody comes, so nobody fails to get in."""
    play = Play.of("abcdef", watch=nobody_is_stuck)
    play.spec["nodes"] = [node(name) for name in "abcd"]
    play.settle()
    play.spec["nodes"] = [node(name) for name in rest]
    assert isinstance(play.settle(), Done)
    assert play.managers() <= set(rest)
    assert len(play.managers()) == 3
    assert {one.hostname for one in play.swarm().nodes} == set(rest)


def test_an_engine_that_is_stuck_is_let_go_and_joins_again() -> None:
    """After a while in which it could have found its way by itself; nobody else's engine is touched."""
    play = Play.of()
    play.settle()
    before = {one.hostname: one.id for one in play.swarm().nodes}
    happens(play, "stick", "d")
    assert isinstance(asyncio.run(play.once()), Wait)
    assert play.verdicts()["NodesReady"][:2] == ("False", Reason.NODES_NOT_READY)
    play.engines.now += timedelta(seconds=31)
    assert isinstance(play.settle(), Done)
    after = {one.hostname: one.id for one in play.swarm().nodes}
    assert {name for name in "abcd" if before[name] != after[name]} == {"d"}


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("at", range(5))
def test_a_lost_answer_makes_nothing_twice(lost: str, at: int) -> None:
    """The answer to any of the first calls is lost: one Swarm, four nodes, no entry too many."""
    play = Play.of(watch=one_swarm)
    asyncio.run(some(play, at))
    play.engines.lost = lost
    assert isinstance(play.settle(), Done)
    assert len(play.swarm().nodes) == 4


def test_ambiguous_is_said() -> None:
    """An answer that was lost is told as such, and nothing is sent again."""
    play = Play.of("a")
    play.engines.lost = "after"
    step = asyncio.run(play.once())
    assert isinstance(step, tuple)
    with pytest.raises(Ambiguous):
        asyncio.run(SwarmDriver(play.fleet()).apply(step[0], Intent(OWNER, "swarm", "x")))
    assert play.engines.mutations == 1
