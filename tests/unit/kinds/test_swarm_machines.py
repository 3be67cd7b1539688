"""Nodes that are Machines: an address is waited for, used, kept and followed, and without it nothing is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.contract import Absent, Done, Plan, Present, Seen, Wait
from reconciler.kinds.swarm.cluster import engines
from reconciler.kinds.swarm.machines import address_of, placed
from specs.meta import API_VERSION, Reason
from specs.swarm_cluster import SwarmCluster
from tests.support.fakeswarm import FakeSwarms
from tests.unit.kinds.test_swarm_cluster import KIND, UID, Play
from tests.unit.kinds.world import referred

TLS = {"caFile": "/ca", "certFile": "/cert", "keyFile": "/key"}


def machine(address: str, *, ready: bool = True) -> Present[Any]:
    """A Machine as it is seen."""
    rows = [{"type": "Hostname", "address": "host"}, {"type": "InternalIP", "address": address}]
    return Present("default/x", referred("Machine", spec={}, status={"addresses": rows}, ready=ready))


@dataclass
class MachinePlay(Play):
    """A play whose nodes are Machines."""

    machines: dict[str, Any] = field(default_factory=dict)
    """Node → what is seen of its Machine."""
    known: dict[str, str] = field(default_factory=dict)
    """What the status holds of them."""

    @classmethod
    def made(cls, names: str, **more: Any) -> MachinePlay:
        nodes = [{"name": name, "machineRef": {"name": f"m-{name}"}, **more} for name in names]
        play = cls(FakeSwarms(tuple(names)), {"nodes": nodes, "tls": TLS, "managerReplacementSeconds": 10})
        play.machines = {name: machine(f"10.0.0.{number}") for number, name in enumerate(names, 1)}
        return play

    @property
    def object(self) -> SwarmCluster:
        meta = {"name": "a", "namespace": "default", "uid": UID, "generation": 1}
        status = {"machines": self.known}
        head = {"apiVersion": API_VERSION, "kind": "SwarmCluster", "metadata": meta}
        return SwarmCluster.parse(head | {"spec": self.spec, "status": status})

    async def seen(self) -> Seen:
        found = await super().seen()
        known = {f"node/{name}" for name in engines(self.object)}
        seen = {part: one for part, one in found.items() if not part.startswith("node/") or part in known}
        return seen | {f"machine/{name}": one for name, one in self.machines.items()}

    async def once(self, *, ending: bool = False) -> Plan:
        plan = await super().once(ending=ending)
        self.known = dict(KIND.status(self.object, await self.seen(), plan)["machines"])
        return plan


def test_machines_become_a_swarm() -> None:
    """Their engines are reached at their internal addresses, over TLS; the object is woken when one of them changes."""
    play = MachinePlay.made("abc")
    assert isinstance(play.settle(), Done)
    assert play.managers() == {"a", "b", "c"}
    assert {one.address for one in play.swarm().nodes} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert engines(play.object)["b"] == "tcp://10.0.0.2:2376"
    assert {row.name for row in KIND.references(play.object)} == {"m-a", "m-b", "m-c"}


@pytest.mark.parametrize("there", [Absent(), machine("10.0.0.3", ready=False)], ids=["missing", "not ready"])
def test_while_a_machine_is_awaited_nothing_is_made(there: Any) -> None:
    """Its engine may be in a Swarm of ours already; the condition names the Machine. Once it is ready, all goes on."""
    play = MachinePlay.made("abc")
    play.machines["c"] = there
    plan = play.settle()
    assert isinstance(plan, Wait)
    assert plan.reason is Reason.DEPENDENCY_NOT_READY
    assert "Machine" in plan.message
    assert "m-c" in plan.message
    assert play.engines.mutations == 0
    play.machines["c"] = machine("10.0.0.3")
    assert isinstance(play.settle(), Done)


def test_a_machine_that_is_not_ready_for_a_while_keeps_its_place() -> None:
    """Its last address is used on; a node that was added meanwhile joins all the same."""
    play = MachinePlay.made("abcd")
    added = play.spec["nodes"].pop()
    play.settle()
    play.machines["b"] = machine("10.0.0.2", ready=False)
    assert isinstance(play.settle(), Done)
    play.spec["nodes"].append(added)
    assert isinstance(play.settle(), Done)
    assert len(play.swarm().nodes) == 4


def test_a_machine_that_was_built_anew_elsewhere_joins_again() -> None:
    """The new engine at the new address takes the node's place; the old one's entry goes."""
    play = MachinePlay.made("abcd")
    play.settle()
    before = {one.hostname: one.id for one in play.swarm().nodes}
    play.engines.forget("d")
    play.machines["d"] = machine("10.0.0.77")
    assert isinstance(play.settle(), Done)
    after = {one.hostname: one for one in play.swarm().nodes}
    assert after["d"].address == "10.0.0.77"
    assert after["d"].id != before["d"]
    assert len(after) == 4


def test_one_that_is_not_there_yet_keeps_no_deletion_up() -> None:
    """It never joined: there is nothing of it to remove."""
    play = MachinePlay.made("abc")
    play.settle()
    play.spec["nodes"].append({"name": "z", "machineRef": {"name": "m-z"}})
    play.machines["z"] = Absent()
    plan = play.settle()
    assert isinstance(plan, Wait)
    assert "m-z" in plan.message
    assert isinstance(play.settle(ending=True), Done)
    assert all(engine.cluster is None for engine in play.engines.engines.values())


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (None, "tcp://10.0.0.1:2376"),
        ({"port": 2400}, "tcp://10.0.0.1:2400"),
        ({"protocol": "ssh"}, "ssh://10.0.0.1"),
        ({"protocol": "ssh", "user": "ops", "port": 22}, "ssh://ops@10.0.0.1:22"),
    ],
)
def test_how_an_engine_is_reached(engine: Any, expected: str) -> None:
    """As Docker writes it."""
    play = MachinePlay.made("a", **({"engine": engine} if engine else {}))
    play.known = {"a": "10.0.0.1"}
    assert [node.endpoint for node in placed(play.object).spec.nodes or []] == [expected]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("ExternalIP", "192.0.2.1"), ("InternalIP", "10.0.0.1")], "10.0.0.1"),
        ([("ExternalIP", "192.0.2.1")], "192.0.2.1"),
        ([("InternalIP", "fd00::1"), ("InternalIP", "10.0.0.1")], "10.0.0.1"),
        ([("Hostname", "a")], None),
        ([], None),
    ],
)
def test_which_address_is_taken(rows: list[tuple[str, str]], expected: str | None) -> None:
    """The internal one, since nodes speak to nodes; of IPv4, which a Swarm's overlay networks are of."""
    assert address_of({"addresses": [{"type": kind, "address": address} for kind, address in rows]}) == expected
