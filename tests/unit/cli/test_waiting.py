"""What `anneal wait` takes for done."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli.errors import UsageError
from reconciler.cli.kinds import KNOWN
from reconciler.cli.targets import Target
from reconciler.cli.waiting import Waiting, goal_of
from reconciler.cli.watch import Change

MACHINE = KNOWN[0]


def obj(name: str, ready: str = "True", uid: str = "", generation: int = 1, seen: int = 1) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "observedGeneration": seen}]
    meta = {"name": name, "namespace": "default", "uid": uid or name, "generation": generation}
    return {"metadata": meta, "status": {"conditions": conditions, "state": "ACTIVE"}}


def listed(*items: dict[str, Any]) -> Change:
    return Change("LISTED", MACHINE, {"items": list(items)})


@pytest.mark.parametrize(
    ("goal", "met"),
    [("condition=Ready", True), ("condition=ready=true", True), ("condition=Ready=False", False), ("condition=Other", False),
     ("jsonpath={.status.state}=ACTIVE", True), ("jsonpath={.status.state}=BUILD", False), ("jsonpath={.status.state}", True),
     ("jsonpath={.status.none}", False), ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', True),
     ("jsonpath=.status.state=ACTIVE", True)],
)  # fmt: skip
def test_a_goal_is_met_or_not(goal: str, met: bool) -> None:
    """Conditions by name and status, fields by presence or value, filters with an = of their own."""
    test = goal_of(goal).test
    assert test is not None
    assert test(obj("a")) is met


@pytest.mark.parametrize("goal", ["", "Ready", "condition=", "jsonpath=", "jsonpath={.a[}=1", "deleted"])
def test_a_goal_that_makes_no_sense_is_refused(goal: str) -> None:
    """A typing error never waits for ever."""
    with pytest.raises(UsageError):
        goal_of(goal)


def test_a_condition_about_an_older_spec_does_not_count() -> None:
    """Right after an edit, Ready still speaks of the old spec."""
    waiting = Waiting([Target(MACHINE)], goal_of("condition=Ready"))
    assert waiting.take(listed(obj("a", generation=2, seen=1))) == []
    assert waiting.left
    assert waiting.take(Change("MODIFIED", MACHINE, obj("a", generation=2, seen=2))) == ["machine/a condition met"]
    assert not waiting.left


def test_deletion_waits_for_the_very_object() -> None:
    """A namesake that is made meanwhile is somebody else."""
    waiting = Waiting([Target(MACHINE, ("a",))], goal_of("delete"))
    assert waiting.take(listed(obj("a", uid="1"))) == []
    assert waiting.left
    assert waiting.take(Change("MODIFIED", MACHINE, obj("a", uid="2"))) == ["machine/a deleted"]
    assert not waiting.left


def test_a_relist_tells_what_was_missed() -> None:
    """What vanished while nobody watched is gone in the next list."""
    waiting = Waiting([Target(MACHINE)], goal_of("delete"))
    waiting.take(listed(obj("a"), obj("b")))
    assert waiting.take(listed(obj("b"))) == ["machine/a deleted"]
    assert list(waiting.left) == [("machines", "default", "b")]


def test_nothing_to_wait_for_is_noticed() -> None:
    """An empty selection, and a name that does not exist, are known at once."""
    waiting = Waiting([Target(MACHINE)], goal_of("condition=Ready"))
    waiting.take(listed())
    assert waiting.empty
    named = Waiting([Target(MACHINE, ("a",))], goal_of("condition=Ready"))
    named.take(listed(obj("b")))
    assert [name for _, name in named.absent()] == ["a"]
