"""Wanting a Ray: one head that answers, started anew where it does not, on ports that stay; or an existing one, never touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import CredentialsInvalid, Done, Present, Stop, Wait
from drivers.local.folders import Folder
from drivers.ray.local import Endpoint, Head
from reconciler.kinds.ray_cluster import MOST_STARTS, START_DEADLINE_SECONDS, RayClusterKind
from specs.meta import Reason
from tests.unit.kinds.world import World, local

ADDRESS = "10.0.0.1:6379"


def world(starts: Any = lambda *_: True, **spec: Any) -> World:
    """A Ray on this machine, unless the spec says otherwise."""
    return World(RayClusterKind(local()), spec or {"local": {"numCpus": 2}}, starts=starts)


def commands(there: World) -> list[str]:
    """The commands of all starts."""
    return [" ".join(step.change["command"]) for step in there.log if "command" in step.change]


def test_a_head_on_this_machine() -> None:
    """Ports and a token of its own, loopback only, no dashboard; the status says where it is and what it has."""
    there = world(local={"numCpus": 2, "memory": "1Gi"})
    assert isinstance(there.settle(), Done)
    (command,) = commands(there)
    for flag in ("--node-ip-address=127.0.0.1", "--include-dashboard=false", "--num-cpus=2", "--memory=1073741824", "--block"):
        assert flag in command
    assert there.status["address"] == "127.0.0.1:8437"
    assert there.status["tokenFile"].endswith("/token")
    assert (there.status["nodes"], there.status["cpu"], there.status["memory"]) == (1, "2", "1Gi")
    assert {row["type"]: row["status"] for row in there.status["conditions"]} == {
        "Ready": "True", "HeadReady": "True", "WorkersReady": "True",
    }  # fmt: skip


def test_a_head_that_dies_comes_back_where_it_was() -> None:
    """Same ports, same token: who was connected finds it again; how often that happened is told."""
    there = world()
    there.settle()
    folder = there.things["folder"]
    there.kill("head")
    assert isinstance(there.settle(), Done)
    assert there.things["folder"] == folder
    assert len(set(commands(there))) == 1
    assert there.status["restarts"] == 1


def test_ports_that_a_stranger_took_are_replaced() -> None:
    """Another program listens where the head wants to: it gets other ports and comes up, in a few tries."""
    there = world()
    there.settle()
    there.take_port("gcs", "head")
    assert isinstance(there.settle(), Done)
    assert there.status["address"] == "127.0.0.1:8438"
    assert len(commands(there)) <= 5


def test_a_head_that_never_answers_is_ended_and_started_anew() -> None:
    """After its deadline, not before."""
    there = world()
    there._work = lambda part, unit: None  # type: ignore[method-assign]  it runs, and says nothing
    begun = None
    for _ in range(600):
        plan = there.step()
        begun = begun or (there.now if commands(there) else None)
        if isinstance(plan, tuple) and plan[0].verb == "delete":
            break
    assert begun is not None
    assert (there.now - begun).total_seconds() > START_DEADLINE_SECONDS
    del there.__dict__["_work"]
    assert isinstance(there.settle(), Done)


def test_a_head_that_cannot_live_is_given_up_loudly() -> None:
    """After many starts in a row, with its last words; another size is another try."""
    there = world(lambda *_: False)
    plan = there.settle(2000)
    assert isinstance(plan, Stop)
    assert plan.reason is Reason.PROCESS_FAILED
    assert len(commands(there)) == MOST_STARTS
    there.starts = lambda *_: True
    there.spec, there.generation = {"local": {"numCpus": 1}}, 2
    assert isinstance(there.settle(), Stop | Done)


def test_another_size_is_another_head_on_the_same_ports() -> None:
    """The one is ended before the other is started."""
    there = world()
    there.settle()
    there.spec, there.generation = {"local": {"numCpus": 1}}, 2
    assert isinstance(there.settle(), Done)
    assert "--num-cpus=1" in commands(there)[-1]
    assert len({command.partition("--port=")[2].split()[0] for command in commands(there)}) == 1


def test_what_was_chosen_for_this_machine_stays() -> None:
    """Cores that come or go are no reason to end a Ray: the size is stored before the first start."""
    there = world(local={})
    there.status["resolved"] = {"numCpus": 3}
    there.settle()
    assert "--num-cpus=3" in commands(there)[0]


def test_suspended_and_resumed() -> None:
    """The head ends, folder and ports stay; not Ready meanwhile."""
    there = world()
    there.settle()
    there.spec, there.generation = there.spec | {"suspend": True}, 2
    assert isinstance(there.settle(), Done)
    assert there.things.keys() == {"folder"}
    assert there.status["conditions"][0]["reason"] == "Suspended"
    assert there.status["conditions"][0]["status"] == "False"
    there.spec, there.generation = {"local": {"numCpus": 2}}, 3
    assert isinstance(there.settle(), Done)
    assert there.status["conditions"][0]["status"] == "True"


def test_an_existing_ray_is_looked_at_and_never_touched() -> None:
    """Ready as long as it answers; deleting it ends nothing."""
    there = world(address=ADDRESS)
    there.things["endpoint"] = Endpoint(ADDRESS, True)
    assert isinstance(there.settle(), Done)
    assert there.status["address"] == ADDRESS
    there.things["endpoint"] = Endpoint(ADDRESS, False)
    plan = there.plan()
    assert isinstance(plan, Wait)
    assert plan.reason is Reason.PROVIDER_UNREACHABLE
    assert ADDRESS in plan.message
    there.teardown()
    assert there.log == []


async def test_the_token_of_an_existing_ray_is_passed_on(tmp_path: Path) -> None:
    """Jobs are told where it lies; a file that cannot be read is said before anything connects; without one there is none."""
    file = tmp_path / "token"
    there = world(address=ADDRESS, tokenFile=str(file))
    with pytest.raises(CredentialsInvalid, match="No such file"):
        await there.kind.drivers(there.object)
    file.write_text("0" * 64)
    there.things["endpoint"] = Endpoint(ADDRESS, True)
    there.settle()
    assert there.status["tokenFile"] == str(file)


@pytest.mark.parametrize("part", ["head", "folder"])
@given(steps=st.integers(0, 8))
def test_silence_never_leads_to_a_step(part: str, steps: int) -> None:
    """Whatever cannot be looked at: nothing is started or ended meanwhile."""
    there = world()
    for _ in range(steps):
        there.step()
    there.blind(part)
    assert isinstance(there.plan(), Wait)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("kill"), st.none()),
        st.tuples(st.just("lose"), st.sampled_from(["head", "folder"])),
        st.tuples(st.just("size"), st.sampled_from([1, 2, 4])),
        st.tuples(st.just("suspend"), st.booleans()),
        st.tuples(st.just("steps"), st.integers(1, 8)),
        st.tuples(st.just("time"), st.sampled_from([0.05, 20.0, 700.0])),
    ),
    max_size=9,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_whatever_happened_it_ends_with_one_head_of_the_wanted_size(events: list[tuple[str, Any]]) -> None:
    """After any history: it answers, Done stays Done, and all of it goes."""
    there = world()
    for what, value in events:
        match what:
            case "kill":
                there.kill("head")
            case "lose":
                there.things.pop(value, None)
            case "size":
                there.spec, there.generation = {"local": {"numCpus": value}}, there.generation + 1
            case "suspend":
                there.spec, there.generation = there.spec | {"suspend": value}, there.generation + 1
            case "time":
                there.pass_time(value)
            case _:
                for _ in range(value):
                    there.step()
    there.spec, there.generation = {"local": {"numCpus": 2}}, there.generation + 1
    assert isinstance(there.settle(1500), Done)
    match there.seen()["head"]:
        case Present(live=Head(answers=answers)):
            assert answers
    assert isinstance(there.things["folder"], Folder)
    before = len(there.log)
    assert isinstance(there.settle(), Done)
    assert len(there.log) == before
    there.teardown()
