"""Where data is at home on a Swarm whose nodes leave, and join again under other ids."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.contract import Done, Wait
from tests.unit.kinds.swarmworld import SwarmWorld, cluster
from tests.unit.kinds.test_swarm_deployment import answering, world
from tests.unit.kinds.world import referred


def nodes(there: SwarmWorld) -> list[dict[str, Any]]:
    """The Swarm's nodes, as its SwarmCluster tells."""
    return [dict(row) for row in there.things["cluster"].status["nodes"]]


def tell(there: SwarmWorld, rows: list[dict[str, Any]]) -> None:
    """Have the SwarmCluster tell of these nodes."""
    there.things["cluster"] = referred("SwarmCluster", spec={}, status={"publishMode": "host", "nodes": rows})


def where(there: SwarmWorld, name: str) -> str:
    """The node that a service is pinned to."""
    (rule,) = there.services()[f"service/{name}"].spec["TaskTemplate"]["Placement"]["Constraints"]
    return str(rule).removeprefix("node.id==")


def test_who_joins_again_under_another_id_has_its_data_still() -> None:
    """Each of them is pinned to the node of that name, and nowhere else meanwhile."""
    there = world()
    there.settle()
    home = where(there, "store")
    places = set[str]()
    there.watch = lambda now: places.add(where(there, "store"))
    tell(there, [row for row in nodes(there) if row["id"] != home])
    for _ in range(50):
        plan = there.step()
    assert isinstance(plan, Wait)
    assert "the data of store has left the Swarm; let it join again as n" in plan.message
    name = there.status["homes"]["store"]
    tell(there, [*nodes(there), {**cluster().status["nodes"][0], "id": "another", "name": name}])
    assert isinstance(there.settle(), Done)
    assert where(there, "store") == there.status["pins"]["store"] == "another"
    assert there.status["homes"]["store"] == name
    assert places == {home, "another"}
    assert answering(there)


@pytest.mark.parametrize("rows", ["down", "none are told of", "two of that name"])
def test_data_is_not_left_on_a_guess(rows: str) -> None:
    """A node that is down has not left; a SwarmCluster that tells of no node was not looked at; of two namesakes one is a
    stranger."""
    there = world()
    there.settle()
    home, name = where(there, "store"), there.status["homes"]["store"]
    others = [row for row in nodes(there) if row["id"] != home]
    stranger = {**others[0], "name": name}
    told = {
        "down": [{**row, "state": "down" if row["id"] == home else "ready"} for row in nodes(there)] + [{**stranger, "id": "s1"}],
        "none are told of": [],
        "two of that name": [*others, {**stranger, "id": "s1"}, {**stranger, "id": "s2"}],
    }
    tell(there, told[rows])
    for _ in range(50):
        there.step()
    assert where(there, "store") == there.status["pins"]["store"] == home


def test_one_of_three_members_moves_where_its_node_left_for_good() -> None:
    """The others have what it had. It waits while there is no node for it, and while its node is only down."""
    there = world(broker={"replicas": 3})
    there.settle()
    home = where(there, "broker-2")
    before = nodes(there)
    tell(there, [{**row, "state": "down" if row["id"] == home else "ready"} for row in before])
    for _ in range(50):
        there.step()
    tell(there, [row for row in before if row["id"] != home])
    for _ in range(50):
        there.step()
    assert where(there, "broker-2") == home
    tell(there, [*nodes(there), {**before[0], "id": "fourth", "name": "n4"}])
    there.settle()
    assert where(there, "broker-2") == there.status["pins"]["broker-2"] == "fourth"
    assert len({where(there, f"broker-{n}") for n in (1, 2, 3)}) == 3
