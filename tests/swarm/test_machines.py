"""A Swarm whose nodes are Machines: found at their addresses, awaited, followed to another address."""

from __future__ import annotations

from pathlib import Path

from reconciler.client import Client, ours
from tests.support.cloud import CloudProcess
from tests.support.daemon import condition_of, machine
from tests.support.swarmlab import SwarmLab
from tests.swarm.clusters import KIND, becomes, cluster, gone, well
from tests.swarm.test_cluster import nodes_of

MACHINES = ours("machines")


async def test_machines_are_its_nodes(engines: SwarmLab, client: Client, tmp_path: Path) -> None:
    """Servers of a cloud with an engine at their address. While one Machine is missing nothing is made, and the condition
    names it; then they become a Swarm. A server that is at another address is followed there, its former self forgotten."""
    with CloudProcess(tmp_path / "cloud") as cloud:
        servers = {n: cloud.admin.create("servers", ip=engines.addresses[n]) for n in (1, 2, 3)}

        def at(n: int) -> dict[str, object]:
            simulated = {"endpoint": cloud.url}
            return machine(f"m{n}", simulated=simulated, managementPolicy="unmanaged", **{"import": {"id": servers[n]}})

        nodes = [{"name": f"n{n}", "machineRef": {"name": f"m{n}"}} for n in servers]
        for n in (1, 2):
            await client.create(MACHINES, "default", at(n))
        await client.create(KIND, "default", cluster(nodes=nodes, managers=1, tls=engines.tls))
        live = await becomes(client, lambda obj: "m3" in condition_of(obj).get("message", ""))
        assert {engines.state(n)["LocalNodeState"] for n in servers} == {"inactive"}
        await client.create(MACHINES, "default", at(3))
        live = await becomes(client, well)
        assert live["status"]["machines"] == {f"n{n}": engines.addresses[n] for n in servers}
        assert {row["Status"]["Addr"] for name, row in nodes_of(engines).items() if name != "node1"} == {
            engines.addresses[2],
            engines.addresses[3],
        }
        cloud.admin.change("servers", servers[3], ip=engines.addresses[4])

        def moved(obj: dict[str, object]) -> bool:
            return well(obj) and engines.state(4)["LocalNodeState"] == "active"

        await becomes(client, moved)
        assert set(nodes_of(engines)) == {"node1", "node2", "node4"}
        await client.delete(KIND, "default", "c")
        await gone(client)
