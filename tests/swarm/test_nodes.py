"""A Swarm of our making whose nodes lose power or cable: who leads, what is said meanwhile, and that nobody loses his place."""

from __future__ import annotations

import pytest
from docker.errors import APIError

from reconciler.client import Client, Object
from tests.support.daemon import condition_of, ready, until
from tests.support.swarmlab import SwarmLab
from tests.swarm.clusters import KIND, becomes, well
from tests.swarm.test_cluster import nodes_of, of_engines

PATIENCE = 120.0
"""A Swarm takes up to a minute to find another leader and to notice who is gone."""


def leader_of(lab: SwarmLab, n: int) -> int | None:
    """The number of the node that leads, by node n's word; None while nobody does."""
    try:
        rows = nodes_of(lab, n)
    except APIError:
        return None
    found = [name for name, row in rows.items() if (row.get("ManagerStatus") or {}).get("Leader")]
    return int(found[0].removeprefix("node")) if found else None


def ids(obj: Object) -> dict[str, str]:
    """Name → the Swarm's id of each node."""
    return {row["name"]: row["id"] for row in obj["status"]["nodes"]}


def one_is_missing(obj: Object) -> bool:
    """Whether it says that it can be used, and that one manager is gone."""
    quorum = condition_of(obj, "QuorumHealthy")
    return ready(obj) and quorum.get("status") == "True" and quorum["message"].startswith("2 of 3 managers answer; one more lost")


async def test_the_leader_is_lost_and_another_leads(engines: SwarmLab, client: Client) -> None:
    """The leader's node loses its power: another manager leads, what the spec then asks for is done through it, and the
    conditions tell; with power again the three are the same nodes as before."""
    await client.create(KIND, "default", of_engines(engines, managerReplacementSeconds=3600))
    before = await becomes(client, well)
    lost = leader_of(engines, 1)
    assert lost is not None
    other = next(n for n in (1, 2, 3) if n != lost)
    engines.kill(lost)
    await until(lambda: leader_of(engines, other) not in (None, lost), PATIENCE, lambda: "nobody leads", every=0.2)
    await becomes(client, lambda obj: one_is_missing(obj) and condition_of(obj, "NodesReady")["status"] == "False", PATIENCE)
    wanted = before["spec"]["nodes"]
    wanted[3] |= {"labels": {"disk": "ssd"}}
    await client.patch(KIND, "default", "c", {"spec": {"nodes": wanted}})

    def labelled() -> bool:
        return nodes_of(engines, other)["node4"]["Spec"]["Labels"].get("disk") == "ssd"

    await until(labelled, PATIENCE, lambda: str(nodes_of(engines, other)["node4"]["Spec"]), every=0.2)
    engines.start(lost)
    after = await becomes(client, well, PATIENCE)
    assert ids(after) == ids(before)
    assert after["status"]["swarmID"] == before["status"]["swarmID"]


@pytest.mark.slow  # the managers take their time to give it up, and to find it again
async def test_a_cable_that_is_cut_costs_nobody_his_place(engines: SwarmLab, client: Client) -> None:
    """A manager that nobody hears is told of; nothing is joined or removed, and plugged in again it is what it was."""
    await client.create(KIND, "default", of_engines(engines, "123", managerReplacementSeconds=3600))
    before = await becomes(client, well)
    lost = next(n for n in (2, 3) if n != leader_of(engines, 1))
    engines.cut(lost)
    await becomes(client, lambda obj: one_is_missing(obj) and f"n{lost}" in condition_of(obj, "NodesReady")["message"], PATIENCE)
    engines.heal(lost)
    after = await becomes(client, well, PATIENCE)
    assert ids(after) == ids(before)
    assert engines.state(lost)["NodeID"] == ids(before)[f"n{lost}"]
