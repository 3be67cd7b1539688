"""SwarmCluster on real engines: what the spec says becomes true of them, whatever was done to them."""

from __future__ import annotations

from typing import Any

from reconciler.client import EVENTS, Client, Object
from tests.support.daemon import DaemonProcess, condition_of, ready, until
from tests.support.swarmlab import SwarmLab
from tests.swarm.clusters import KIND, PATIENCE, becomes, cluster, gone, well


def of_engines(lab: SwarmLab, numbers: str = "1234", **spec: Any) -> Object:
    nodes = [{"name": f"n{n}", "endpoint": lab.tcp(int(n)), "address": lab.addresses[int(n)]} for n in numbers]
    return cluster(nodes=nodes, tls=lab.tls, **{"managerReplacementSeconds": 5} | spec)


def nodes_of(lab: SwarmLab, n: int = 1) -> dict[str, dict[str, Any]]:
    """Host name → the Swarm's entry, by node n's word."""
    return {row["Description"]["Hostname"]: row for row in lab.api(n).nodes()}


def managers_of(lab: SwarmLab, n: int = 1) -> set[str]:
    return {name for name, row in nodes_of(lab, n).items() if row.get("ManagerStatus")}


async def test_engines_become_a_swarm_and_part_again(engines: SwarmLab, client: Client) -> None:
    """Four engines become one Swarm: three managers, one worker, labels as written. Deleted, each of them is alone again."""
    wanted = of_engines(engines)
    wanted["spec"]["nodes"][3] |= {"labels": {"disk": "ssd"}, "availability": "Drain"}
    await client.create(KIND, "default", wanted)
    live = await becomes(client, well)
    assert managers_of(engines) == {"node1", "node2", "node3"}
    fourth = nodes_of(engines)["node4"]["Spec"]
    assert (fourth["Role"], fourth["Availability"], fourth["Labels"]["disk"]) == ("worker", "drain", "ssd")
    assert live["status"]["managers"] == "3/3"
    assert live["status"]["endpoints"] == [engines.tcp(n) for n in (1, 2, 3)]
    await client.delete(KIND, "default", "c")
    await gone(client)
    assert {engines.state(n)["LocalNodeState"] for n in engines.addresses} == {"inactive"}


async def test_what_is_changed_by_hand_is_set_right(engines: SwarmLab, client: Client) -> None:
    """Availability, role and labels come back; a label that somebody else gave a node stays."""
    await client.create(KIND, "default", of_engines(engines, "123"))
    await becomes(client, well)
    row = nodes_of(engines)["node2"]
    other = {"Role": "worker", "Availability": "drain", "Labels": {"somebody": "else"}}
    engines.api().update_node(row["ID"], row["Version"]["Index"], other)

    def right() -> bool:
        found = nodes_of(engines)["node2"]
        return found["Spec"] == {"Role": "manager", "Availability": "active", "Labels": {"somebody": "else"}}

    await until(right, PATIENCE, lambda: str(nodes_of(engines)["node2"]["Spec"]), every=0.2)


async def test_a_node_that_lost_its_state_joins_again(engines: SwarmLab, client: Client) -> None:
    """It is a node again, its former self's entry is gone, and three managers vote."""
    await client.create(KIND, "default", of_engines(engines))
    await becomes(client, well)
    before = nodes_of(engines)["node3"]["ID"]
    engines.forget(3)
    assert engines.state(3)["LocalNodeState"] == "inactive"
    await becomes(client, lambda obj: well(obj) and obj["status"]["managers"] == "3/3" and engines.state(3)["NodeID"])
    rows = engines.api().nodes()
    assert len(rows) == 4
    assert before not in {row["ID"] for row in rows}


async def test_a_manager_that_is_lost_is_replaced(engines: SwarmLab, client: Client) -> None:
    """Its place is taken by a worker that is up; when it comes back it is a worker, and nobody is asked to vote twice."""
    await client.create(KIND, "default", of_engines(engines))
    await becomes(client, well)
    engines.kill(2)
    await becomes(client, lambda obj: condition_of(obj, "NodesReady").get("status") == "False")
    await until(
        lambda: managers_of(engines) == {"node1", "node3", "node4"}, PATIENCE, lambda: str(managers_of(engines)), every=0.5
    )
    assert condition_of(await becomes(client, ready), "QuorumHealthy")["status"] == "True"
    engines.start(2)
    await becomes(client, well)
    assert managers_of(engines) == {"node1", "node3", "node4"}


async def test_a_swarm_without_a_quorum_is_told_and_never_made_anew(engines: SwarmLab, client: Client) -> None:
    """Two of three managers without power: QuorumHealthy is False, nothing is made or joined; with power all is well again."""
    await client.create(KIND, "default", of_engines(engines, "123"))
    live = await becomes(client, well)
    engines.kill(2)
    engines.kill(3)
    await becomes(client, lambda obj: condition_of(obj, "QuorumHealthy").get("status") == "False")
    assert engines.state(1)["LocalNodeState"] == "active"
    engines.start(2)
    engines.start(3)
    again = await becomes(client, well)
    assert again["status"]["swarmID"] == live["status"]["swarmID"]
    assert {row["id"] for row in again["status"]["nodes"]} == {row["id"] for row in live["status"]["nodes"]}


async def test_a_node_that_leaves_the_spec_is_drained_first(engines: SwarmLab, client: Client) -> None:
    """Its engine is alone, its entry is gone, and others manage in its place."""
    await client.create(KIND, "default", of_engines(engines))
    await becomes(client, well)
    fewer = of_engines(engines, "234")["spec"]
    await client.patch(KIND, "default", "c", {"spec": {"nodes": fewer["nodes"]}})
    await until(lambda: engines.state(1)["LocalNodeState"] == "inactive", PATIENCE, every=0.2)
    live = await becomes(client, lambda obj: well(obj) and len(obj["status"]["nodes"]) == 3)
    assert live["status"]["managers"] == "3/3"
    assert set(nodes_of(engines, 2)) == {"node2", "node3", "node4"}


async def test_join_tokens_are_rotated_once(engines: SwarmLab, client: Client) -> None:
    """A new value of tokenRotation makes the old tokens worthless; the same value makes no new ones."""
    await client.create(KIND, "default", of_engines(engines, "1"))
    await becomes(client, well)
    before = engines.api().inspect_swarm()["JoinTokens"]
    await client.patch(KIND, "default", "c", {"spec": {"tokenRotation": "2026-11"}})
    await until(lambda: engines.api().inspect_swarm()["JoinTokens"] != before, PATIENCE, every=0.2)
    rotated = engines.api().inspect_swarm()
    assert not set(rotated["JoinTokens"].values()) & set(before.values())
    await client.patch(KIND, "default", "c", {"spec": {"managerReplacementSeconds": 7}})
    await becomes(client, well)
    assert engines.api().inspect_swarm()["JoinTokens"] == rotated["JoinTokens"]


async def test_an_engine_of_another_swarm_is_not_ours(engines: SwarmLab, client: Client) -> None:
    """A Swarm that somebody else made stays as it is, and the object says what to do."""
    engines.api(2).init_swarm(advertise_addr=engines.addresses[2])
    theirs = engines.state(2)["NodeID"]
    await client.create(KIND, "default", of_engines(engines, "12"))
    live = await becomes(client, lambda obj: condition_of(obj).get("reason") == "NotOurs")
    assert "in another Swarm" in condition_of(live)["message"]
    assert engines.state(1)["LocalNodeState"] == "inactive"
    await client.delete(KIND, "default", "c")
    await gone(client)
    assert engines.state(2)["NodeID"] == theirs


async def test_two_managers_are_warned_of(engines: SwarmLab, client: Client) -> None:
    """Two managers survive no failure, and the message says so."""
    await client.create(KIND, "default", of_engines(engines, "12", managers=2))
    live = await becomes(client, lambda obj: well(obj) and obj["status"]["managers"] == "2/2")
    assert "two managers survive no failure" in condition_of(live)["message"]
    assert "two managers survive no failure" in condition_of(live, "QuorumHealthy")["message"]


async def test_no_join_token_is_ever_told(engines: SwarmLab, client: Client, daemon: DaemonProcess) -> None:
    """Tokens let anybody join: they stand in no status, no event and no log."""
    await client.create(KIND, "default", of_engines(engines, "12"))
    live = await becomes(client, well)
    events, _ = await client.list(EVENTS)
    for token in engines.api().inspect_swarm()["JoinTokens"].values():
        assert token not in str(live)
        assert token not in str(events)
        assert token not in daemon.output()
