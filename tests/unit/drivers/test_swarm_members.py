"""What an engine is to our Swarm, where that is not plain."""

from __future__ import annotations

import pytest

from drivers.contract import Foreign, Present, Unknown, Unreachable
from drivers.swarm.fleet import Reading, Said
from drivers.swarm.live import Membership, Node, Swarm
from drivers.swarm.members import judged

MANAGER = Node("id-1", 1, "node1", "10.0.0.1", "manager", "active", "ready", True, "reachable", "", {})
SWARM = Swarm("s", 1, {}, (MANAGER,), "")
DIAL = 'manager stopped: can\'t initialize raft node: connection error: desc = "dial tcp %s:2377: connect: connection refused"'


def reading(said: Said | Unreachable, swarm: Swarm | None = SWARM) -> Reading:
    return Reading(0.0, {"a": said}, swarm, {}, None)


def said(state: str, *, node: str = "", error: str = "", peers: tuple[str, ...] = ()) -> Said:
    return Said(state, node, False, "", {}, frozenset(peers), error)


@pytest.mark.parametrize("node", ["", "id-9"])
def test_an_engine_that_failed_to_join_us_is_ours_to_let_go(node: str) -> None:
    """Docker leaves it in the state "error", from which it cannot join: it has to leave first; so it is said each time."""
    failed = reading(said("error", node=node, error=DIAL % "10.0.0.1"))
    found = judged("a", failed, None)
    assert isinstance(found, Present)
    assert found.live == Membership(None, "active", 0)
    assert judged("a", failed, found.ref) == found


def test_an_engine_in_error_elsewhere_is_left_alone() -> None:
    """Its error names nobody of ours, or it is a node of ours on record: a person has to look."""
    assert isinstance(judged("a", reading(said("error", error=DIAL % "10.0.0.11")), None), Unknown)
    assert isinstance(judged("a", reading(said("error", node="id-9", error=DIAL % "10.0.0.1")), "id-2"), Unknown)


def test_a_worker_that_was_removed_by_force_does_not_know_it() -> None:
    """It knows our managers, and they do not know it: ours, without an entry. One that knows others is foreign."""
    assert judged("a", reading(said("active", node="id-9", peers=("id-1",))), None) == Present(
        "id-9", Membership(None, "active", 0)
    )
    assert isinstance(judged("a", reading(said("active", node="id-9", peers=("id-7",))), None), Foreign)
