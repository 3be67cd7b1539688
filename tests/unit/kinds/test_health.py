"""Which server that runs is replaced all the same, when, and when not: spec.machineHealthCheck."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drivers.contract import Absent, CredentialsInvalid, Done, Present, Seen, Step, Stop, Unknown, Wait
from reconciler.engine.clock import to_text
from reconciler.kinds import health
from reconciler.kinds.machine import MachineKind
from specs.health import MachineHealthCheck
from specs.machine import Machine
from specs.meta import Reason
from tests.unit.kinds.openstack_cloud import LEAST, server, wish

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
KIND = MachineKind(None)  # type: ignore[arg-type]
BORN = NOW - timedelta(minutes=50)


def machine(*, since: float | None = None, count: int = 0, timeout: int = 300, status: str = "False", **check: Any) -> Machine:
    """A Machine whose Ready said `status` `since` seconds ago, and whose server was replaced `count` times."""
    limits = {"unhealthyConditions": [{"type": "Ready", "timeoutSeconds": timeout}], **check}
    conditions, failures = [], []
    if since is not None:
        row = {"type": "Ready", "status": status, "reason": "Stopped"}
        conditions.append(row | {"lastTransitionTime": to_text(NOW - timedelta(seconds=since))})
    if count:
        row = {"part": "server", "count": count, "generation": 1, "time": to_text(NOW - timedelta(hours=1))}
        failures.append(row | {"notBefore": to_text(NOW), "reason": "ServerFailed", "message": ""})
    resolved = {"flavor::small:": {"id": "id-small", "name": "small"}}
    return Machine.parse(
        {
            "apiVersion": "anneal.dev/v1alpha1",
            "kind": "Machine",
            "metadata": {"name": "m", "namespace": "default", "generation": 1, "uid": "u"},
            "spec": {"openstack": LEAST, "machineHealthCheck": limits},
            "status": {"conditions": conditions, "failures": failures, "resolved": resolved},
        }
    )


def seen(**fields: Any) -> Seen:
    return {"server": Present("s", server(**({"created": to_text(BORN)} | fields)))}


def test_one_that_stays_stopped_is_replaced_and_the_plan_says_why():
    """After the timeout, by the very step that replaces what failed: `anneal plan` prints it, the breaker counts it."""
    (step,) = KIND.plan(machine(since=301), seen(state="SHUTOFF"), NOW)
    assert isinstance(step, Step)
    assert (step.verb, step.part, step.ref, step.remedies, step.destroys) == ("delete", "server", "s", True, "its local disk")
    assert "Ready is False for 300 s: the server is SHUTOFF" in step.why


def test_before_that_it_says_when():
    """What would stop otherwise looks again at the very moment, and tells it."""
    plan = KIND.plan(machine(since=100), seen(state="SHUTOFF"), NOW)
    assert isinstance(plan, Wait)
    assert plan.reason == Reason.STOPPED
    assert plan.seconds == pytest.approx(200)
    assert "replaced at 2026-01-01T01:03:20Z if it stays so" in plan.message


@pytest.mark.parametrize(
    "row",
    [{"since": None}, {"since": 9999, "status": "True"}, {"since": 9999, "status": "Unknown"}],
    ids=["never said", "was well until now", "could not be told until now"],
)
def test_the_time_counts_from_when_it_turned(row):
    """Whatever was before: False is False since now."""
    plan = KIND.plan(machine(**row), seen(state="SHUTOFF"), NOW)
    assert isinstance(plan, Wait)
    assert plan.seconds == pytest.approx(300)


def test_the_time_does_not_count_before_there_was_a_server():
    """An hour without quota is no fault of the server that came at last."""
    plan = KIND.plan(machine(since=3600), seen(state="BUILD", created=to_text(NOW - timedelta(seconds=5))), NOW)
    assert isinstance(plan, Wait)
    assert plan.reason == Reason.BUILDING


def test_one_that_is_well_again_is_left_alone():
    """What the status says of the last look does not count against what is seen now."""
    assert isinstance(KIND.plan(machine(since=9999), seen(made_from=wish().made_from), NOW), Done)


@pytest.mark.parametrize("answer", [Unknown(CredentialsInvalid("no")), Absent()], ids=["silence", "absence"])
def test_what_cannot_be_told_is_not_unhealthy(answer):
    """Nothing is deleted because nothing was seen."""
    plan = KIND.plan(machine(since=9999), {"server": answer}, NOW)
    assert not (isinstance(plan, tuple) and plan[0].verb == "delete")


def test_a_deleted_one_that_the_cloud_keeps_is_for_a_person():
    """SOFT_DELETED: somebody may want it back."""
    assert isinstance(KIND.plan(machine(since=9999), seen(state="SOFT_DELETED"), NOW), Stop)


def test_replacing_ends():
    """After remediation.maxRetry, here as for servers in ERROR, by the same count."""
    plan = KIND.plan(machine(since=9999, count=3), seen(state="SHUTOFF"), NOW)
    assert isinstance(plan, Stop)
    assert plan.reason == Reason.SERVER_FAILED
    assert "replaced 3 times" in plan.message


def peers(sick: int, well: int) -> list[dict[str, Any]]:
    return [{"status": {"conditions": [{"type": "Ready", "status": status}]}} for status in ["False"] * sick + ["True"] * well]


@pytest.mark.parametrize(
    ("limit", "sick", "well", "held"),
    [
        ({}, 9, 0, False),
        ({"maxUnhealthy": "2"}, 2, 8, False),
        ({"maxUnhealthy": "2"}, 3, 8, True),
        ({"maxUnhealthy": "40%"}, 1, 2, False),
        ({"maxUnhealthy": "40%"}, 2, 2, True),
        ({"maxUnhealthy": "0"}, 1, 9, True),
        ({"unhealthyRange": "[2-3]"}, 1, 9, True),
        ({"unhealthyRange": "[2-3]"}, 2, 9, False),
        ({"unhealthyRange": "[2-3]"}, 4, 9, True),
    ],
)
def test_too_many_at_once_are_left_alone(limit, sick, well, held):
    """maxUnhealthy as a number or a share that is rounded down; unhealthyRange with both its ends."""
    check = MachineHealthCheck.model_validate({"unhealthyConditions": [{"type": "Ready", "timeoutSeconds": 1}], **limit})
    waiting = health.crowd(check, peers(sick, well))
    assert (waiting is not None) == held
    if waiting:
        assert waiting.reason == Reason.BREAKER_OPEN
        assert f"{sick} of {sick + well} Machines are unhealthy" in waiting.message
