"""A pool of Machines: always as many as wanted, never more or fewer Ready than the limits say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Absent, Done, Present, Seen, Wait
from drivers.objects import LiveObject
from reconciler.kinds.machine_set import NUMBERS, MachineSetKind, digest
from specs.machine_set import MachineSet

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = MachineSetKind(None)  # type: ignore[arg-type]


def pool(
    replicas: int = 3, flavor: str = "a", surge: int = 1, unavailable: int = 0, kind: str = "RollingUpdate", order: str = "Newest"
):
    strategy = {"type": kind, "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    template = {"spec": {"simulated": {"endpoint": "http://a", "flavor": flavor}}}
    spec = {"replicas": replicas, "template": template, "rollout": {"strategy": strategy}, "deletion": {"order": order}}
    meta = {"name": "pool", "namespace": "default", "uid": "u"}
    return MachineSet.parse({"apiVersion": "anneal.dev/v1alpha1", "kind": "MachineSet", "metadata": meta, "spec": spec})


@dataclass
class Pool:
    """The Machines of one set."""

    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: int = 0

    def seen(self, obj: MachineSet) -> Seen:
        names = {f"machine/{digest(obj)}-{n}" for n in range(NUMBERS)} | self.machines.keys()
        return {part: Present(part, LiveObject(self.machines[part])) if part in self.machines else Absent() for part in names}

    def do(self, step) -> None:
        self.clock += 1
        if step.verb == "create":
            assert step.part not in self.machines
            created = f"2026-01-01T00:00:{self.clock:02d}Z"
            meta = {"name": step.change["name"], "namespace": "default", "creationTimestamp": created, "generation": 1}
            self.machines[step.part] = {"metadata": meta, "spec": step.change["spec"], "status": {}}
        else:
            self.machines[step.part]["metadata"]["deletionTimestamp"] = "now"

    def settle(self) -> None:
        """What goes is gone, what is there is Ready."""
        self.machines = {part: one for part, one in self.machines.items() if "deletionTimestamp" not in one["metadata"]}
        for one in self.machines.values():
            one["status"] = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}

    def ready(self) -> int:
        return sum(LiveObject(one).ready for one in self.machines.values())

    def staying(self) -> int:
        return sum("deletionTimestamp" not in one["metadata"] for one in self.machines.values())


def converge(obj: MachineSet, there: Pool, least: int = 0) -> None:
    """Follow the plan to its end; at each step the limits hold."""
    limits = obj.spec.rollout.strategy.rolling_update
    before = there.staying()
    for _ in range(200):
        match KIND.plan(obj, there.seen(obj), NOW):
            case Done():
                return
            case Wait():
                there.settle()
            case (step,):
                there.do(step)
                assert there.staying() <= max(before, obj.spec.replicas + limits.max_surge)
                assert there.ready() >= least
    pytest.fail("no end in sight")


sizes = st.integers(0, 6)


@settings(max_examples=80)
@given(sizes, sizes, st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 2))
def test_from_any_pool_to_any_other(first, second, flavor, surge, unavailable):
    """As many as wanted, all of the newest template; and never fewer Ready than the limits allow."""
    there = Pool()
    converge(pool(first), there)
    assert there.staying() == first
    least = max(0, min(first, second) - max(unavailable, 0 if surge else 1))
    obj = pool(second, flavor, surge, unavailable)
    converge(obj, there, least)
    there.settle()
    assert len(there.machines) == second
    assert all(part.startswith(f"machine/{digest(obj)}-") for part in there.machines)


@pytest.mark.parametrize(("order", "left"), [("Newest", [0, 1]), ("Oldest", [1, 2])])
def test_scale_in_takes_the_stated_end(order, left):
    """The newest first, or the oldest."""
    there = Pool()
    converge(pool(3), there)
    obj = pool(2, order=order)
    converge(obj, there)
    there.settle()
    assert sorted(int(part.rpartition("-")[2]) for part in there.machines) == left


def test_what_is_not_ready_goes_first():
    """Whatever its age."""
    there = Pool()
    converge(pool(3), there)
    there.machines[f"machine/{digest(pool())}-0"]["status"] = {}
    (step,) = KIND.plan(pool(2), there.seen(pool(2)), NOW)
    assert step.part.endswith("-0")


def test_on_delete_waits_for_a_person():
    """Another template replaces nothing; what somebody deletes comes back from the new one."""
    there = Pool()
    converge(pool(2), there)
    obj = pool(2, "b", kind="OnDelete")
    assert isinstance(KIND.plan(obj, there.seen(obj), NOW), Done)
    del there.machines[f"machine/{digest(pool(2))}-0"]
    (step,) = KIND.plan(obj, there.seen(obj), NOW)
    assert (step.verb, step.part) == ("create", f"machine/{digest(obj)}-0")


def test_a_default_said_aloud_is_the_same_template():
    """And so a field that a newer anneal knows, and nobody set, replaces no Machine; one that somebody sets does."""
    said = {"simulated": {"endpoint": "http://a", "flavor": "a", "image": "debian-12"}, "managementPolicy": "managed"}

    def of(spec: dict[str, Any]) -> str:
        meta = {"name": "pool", "namespace": "default", "uid": "u"}
        body = {"apiVersion": "anneal.dev/v1alpha1", "kind": "MachineSet", "metadata": meta, "spec": {"template": {"spec": spec}}}
        return digest(MachineSet.parse(body))

    assert of(said) == digest(pool())
    assert of(said | {"remediation": {"maxRetry": 3}}) == digest(pool())
    assert of(said | {"remediation": {"maxRetry": 2}}) != digest(pool())
