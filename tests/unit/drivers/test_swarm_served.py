"""What is read from a Swarm, and what of it is not as it is wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.swarm.served import Service, differs
from drivers.swarm.services import merged, task_of

LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"])
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


@given(OBJECTS, OBJECTS)
def test_what_was_merged_does_not_differ_any_more(live: dict[str, Any], want: dict[str, Any]) -> None:
    """After an update nothing is left to update, and what others wrote is still there."""
    after = merged(live, want)
    assert not differs(want, after)
    assert all(after[name] == live[name] for name in live if name not in want)


@pytest.mark.parametrize(
    ("want", "live", "so"),
    [
        ({"Limits": {"NanoCPUs": 0}}, {"Limits": {}}, False),
        ({"Limits": {"NanoCPUs": 0}}, {"Limits": {"NanoCPUs": 5}}, True),
        ({"Env": []}, {}, False),
        ({"Env": ["a=1"]}, {"Env": ["a=1", "b=2"]}, True),
        ({"Image": "a"}, {"Image": "a", "Isolation": "default"}, False),
        ({"Configs": [{"ConfigID": "1"}]}, {"Configs": [{"ConfigID": "1", "File": {}}]}, False),
        ({"Mode": {"Replicated": {"Replicas": 2}}}, {"Mode": {"Replicated": {"Replicas": 1}}}, True),
    ],
    ids=[
        "nothing is none",
        "a limit by hand",
        "empty is none",
        "one more by hand",
        "by default",
        "within lists",
        "scaled by hand",
    ],
)
def test_docker_s_own_additions_are_no_differences(want: Any, live: Any, so: bool) -> None:
    """What Docker fills in or leaves out is not taken for somebody's change; what somebody changed is."""
    assert differs(want, live) is so


TEMPLATE = {"ContainerSpec": {"Image": "a"}, "ForceUpdate": 0, "Placement": {}}


def row(state: str, template: Any = TEMPLATE, desired: str = "running", **status: Any) -> dict[str, Any]:
    said = {"State": state, "Timestamp": "2026-01-01T00:00:01.123456789Z", **status}
    return {"ID": state, "DesiredState": desired, "NodeID": "n", "Spec": template, "Status": said}


def test_a_task_is_what_docker_says_of_it() -> None:
    """Its state, since when, why it failed, and whether it is one of the specification as it is now."""
    old = {**TEMPLATE, "ContainerSpec": {"Image": "b"}}
    failed = task_of(
        row("failed", desired="shutdown", Err="task: non-zero exit (139)", ContainerStatus={"ExitCode": 139}), TEMPLATE
    )
    assert (failed.message, failed.code, failed.current, failed.node) == ("task: non-zero exit (139)", 139, True, "n")
    assert failed.since == pytest.approx(1767225601.123456)
    assert not task_of(row("running", old), TEMPLATE).current
    larger = {**TEMPLATE, "Resources": {"Limits": {"MemoryBytes": 1}}}
    assert not task_of(row("running"), larger).current


def test_a_service_answers_by_its_current_tasks_alone() -> None:
    """Those of before an update count for nothing but that they are still there."""
    tasks = tuple(task_of(each, TEMPLATE) for each in (row("running"), row("running", {**TEMPLATE, "ForceUpdate": 1})))
    service = Service("s", "s", 1, {"TaskTemplate": TEMPLATE}, tasks)
    assert len(service.running) == 1
    assert service.outdated
    assert service.broken == ()
    gone = task_of(row("running", {**TEMPLATE, "ForceUpdate": 1}, desired="shutdown"), TEMPLATE, down={"n"})
    assert not Service("s", "s", 1, {}, (gone,)).outdated, "nobody will hear of its end"


def test_a_job_that_its_node_could_not_begin_has_not_ended_before_it_was_begun_again_twice() -> None:
    """It was begun again if nothing was changed but Docker's counter of that."""
    again = [{**TEMPLATE, "ForceUpdate": n} for n in range(3)]
    tasks = [task_of(row("rejected", template, desired="shutdown", Err="No such image"), template) for template in again]
    jobs = [Service("s", "s", 1, {"TaskTemplate": template}, (task,)) for template, task in zip(again, tasks, strict=True)]
    assert [job.ended for job in jobs] == [None, None, tasks[2]]
    assert [job.rejected for job in jobs] == [tasks[0], tasks[1], None]


def test_a_task_that_was_given_up_before_it_had_a_node_is_over() -> None:
    """Docker leaves it pending for ever: it is not of before an update, and nothing waits for it."""
    given_up = task_of(row("pending", {**TEMPLATE, "ForceUpdate": 1}, desired="shutdown"), TEMPLATE)
    ready = task_of(row("ready", desired="ready"), TEMPLATE)
    service = Service("s", "s", 1, {}, (given_up, ready))
    assert not service.outdated
    assert service.held
    assert service.held_since == ready.since > 0


@pytest.mark.parametrize("state", ["running", "starting", "preparing"])
def test_a_task_that_waits_for_one_of_before_to_end_may_do_so(state: str) -> None:
    """It is held, and rightly; from that one's end on it is not."""
    ready = task_of(row("ready", desired="ready"), TEMPLATE)
    before = task_of(row(state, {**TEMPLATE, "ForceUpdate": 1}, desired="shutdown"), TEMPLATE)
    service = Service("s", "s", 1, {}, (before, ready))
    assert service.held
    assert service.held_since == 0
    ended = replace(before, state="shutdown", since=ready.since + 5)
    assert Service("s", "s", 1, {}, (ended, ready)).held_since == ready.since + 5
    assert Service("s", "s", 1, {}, (replace(before, lost=True), ready)).held_since == ready.since
