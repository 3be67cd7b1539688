"""The harness of a Swarm's nodes: engines in memory; one of them has made a Swarm that is ours, the others are to join it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.contract import Driver, Fence, Intent, Owner, Step
from drivers.swarm import tags
from drivers.swarm.existing import SwarmDriver as ExistingDriver
from drivers.swarm.fleet import Fleet
from drivers.swarm.ipvs import IpvsDriver
from drivers.swarm.members import NodeDriver, SwarmDriver
from tests.contract.harness import INSTALLATION, Hook
from tests.contract.harness import owner as some_owner
from tests.contract.local import Local
from tests.support.fakeswarm import FakeDocker, FakeSwarms

OTHERS = dict.fromkeys(Hook, "tests/unit/kinds/test_swarm_cluster.py plays it with a whole Swarm, tests/swarm with a real one")
CANNOT = {hook: why for hook, why in OTHERS.items() if hook not in (Hook.CREATE, Hook.UPDATE, Hook.COUNT)}
CANNOT[Hook.LOSE_ANSWERS] = "a node goes in two steps: its engine leaves, then its entry is removed"
CANNOT[Hook.NAMES] = "an engine has a name already"


class SwarmNodes:
    """Nodes of a Swarm of ours."""

    name = "swarm-node"
    part = "node/b"
    secret = ""
    cannot: Mapping[Hook, str] = CANNOT

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Two engines; the first has made a Swarm."""
        self.world = FakeSwarms(("a", "b"))
        label = tags.labels(some_owner(), "swarm")
        self.world.engines["a"].init_swarm_raw({"AdvertiseAddr": "10.0.0.1", "Spec": {"Labels": label}})
        self.first = self.world.engines["a"].node

    def fleet(self, fence: Fence = lambda: None) -> Fleet:
        """The engines of the one owner that these tests have."""
        dockers: Any = {name: FakeDocker(engine, fence) for name, engine in self.world.engines.items()}
        return Fleet("tests", dockers, some_owner().uid, INSTALLATION)

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver of nodes."""
        return NodeDriver(self.fleet(fence))

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """Let it join."""
        part = part or self.part
        change = {"address": "10.0.0.2", "role": "worker", "managers": ["10.0.0.1"]}
        return Step("create", part, "its engine is in no Swarm", change), Intent(owner, part, owner.external_name(part))

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """Drain it."""
        step = Step("update", self.part, "it should be drained", {"availability": "drain"}, ref=ref)
        return step, lambda live: live.node.availability == "drain"

    def refs(self) -> list[str]:
        """The nodes beside the first, as long as their engines are in the Swarm."""
        engines = [engine for engine in self.world.engines.values() if engine.cluster is not None]
        return [engine.node for engine in engines if engine.node != self.first]

    def mutations(self) -> int:
        """How many changes arrived."""
        return self.world.mutations


class OwnSwarm(SwarmNodes):
    """The Swarm itself, which goes with its last node."""

    name = "swarm-cluster"
    part = "swarm"
    cannot: Mapping[Hook, str] = OTHERS

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver of the Swarm."""
        return SwarmDriver(self.fleet(fence))


def _existing() -> ExistingDriver:
    world = FakeSwarms(("a",))
    world.engines["a"].init_swarm_raw({"AdvertiseAddr": "10.0.0.1", "Spec": {}})
    docker: Any = FakeDocker(world.engines["a"])
    return ExistingDriver(docker)


SWARM_NODES = [SwarmNodes(), OwnSwarm(), Local("swarm-existing", "swarm", _existing), Local("swarm-ipvs", "ipvs", IpvsDriver)]
"""One harness for each."""
