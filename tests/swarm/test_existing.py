"""A Swarm that somebody else made: looked at, used, and left as it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.client import Client
from tests.support.daemon import condition_of
from tests.support.swarmlab import SwarmLab
from tests.swarm.clusters import KIND, becomes, cluster, gone, well


def entries(lab: SwarmLab) -> dict[str, Any]:
    """What is written down of the nodes, and whether it ever changed."""
    return {row["ID"]: row["Spec"] for row in lab.api().nodes()}


async def test_it_is_looked_at_and_left_alone(lab: SwarmLab, client: Client) -> None:
    """Its nodes and managers are told; no entry of a node changes, neither while it is there nor when it is deleted."""
    before, spec = entries(lab), lab.api().inspect_swarm()["Spec"]
    await client.create(KIND, "default", cluster(endpoints=lab.endpoints))
    status = (await becomes(client, well))["status"]
    assert (status["managers"], status["workers"]) == ("3/3", 0)
    assert {row["hostname"] for row in status["nodes"]} == {"node1", "node2", "node3"}
    assert sum(row["leader"] for row in status["nodes"]) == 1
    await client.delete(KIND, "default", "c")
    await gone(client)
    assert entries(lab) == before
    assert lab.api().inspect_swarm()["Spec"] == spec


async def test_how_ports_are_published_is_found_out(lab: SwarmLab, client: Client) -> None:
    """Ingress and virtual IPs only where the kernel has IPVS, and the status says how that is known; the spec may know better."""
    await client.create(KIND, "default", cluster(endpoints=lab.endpoints))
    status = (await becomes(client, well))["status"]
    there = any(Path(sign).exists() for sign in ("/proc/net/ip_vs", "/proc/sys/net/ipv4/vs"))
    assert (status["publishMode"], status["endpointMode"]) == (("ingress", "vip") if there else ("host", "dnsrr"))
    assert "IPVS" in status["ipvs"]
    other = "Host" if there else "Ingress"
    await client.patch(KIND, "default", "c", {"spec": {"publish": other}})
    changed = await becomes(client, lambda obj: obj["status"]["publishMode"] == other.lower())
    assert other in changed["status"]["ipvs"]


async def test_another_manager_is_asked_when_one_is_silent(lab: SwarmLab, client: Client) -> None:
    """The first endpoint's node loses its power: the Swarm stays ready, and the message names the node that is down."""
    await client.create(KIND, "default", cluster(endpoints=lab.endpoints))
    await becomes(client, well)
    lab.kill(1)
    try:
        # the new leader knows nothing of any node at first
        live = await becomes(client, lambda obj: condition_of(obj, "NodesReady").get("message") == "node node1 is down")
        assert condition_of(live)["status"] == "True"
    finally:
        lab.start(1)
    await becomes(client, well)


async def test_over_tls(lab: SwarmLab, client: Client, tmp_path: Path) -> None:
    """With our certificate it is reached; with one that the engine does not take, the condition says so."""
    wrong = lab.tls | {"certFile": f"{lab.root}/tls/node.pem", "keyFile": f"{lab.root}/tls/node.key"}
    await client.create(KIND, "default", cluster(endpoints=[lab.tcp(2)], tls=wrong))
    live = await becomes(client, lambda obj: condition_of(obj).get("reason") == "CredentialsInvalid")
    assert condition_of(live)["status"] == "Unknown"
    await client.patch(KIND, "default", "c", {"spec": {"tls": lab.tls}})
    await becomes(client, well)


async def test_networks_and_a_registry_are_put_onto_it(lab: SwarmLab, client: Client) -> None:
    """Removed by hand they come back; deleted, only they are gone."""
    registry = {"image": lab.images["registry"], "port": 5001}
    await client.create(KIND, "default", cluster(endpoints=lab.endpoints, networks=[{"name": "a"}], registry=registry))
    live = await becomes(client, lambda obj: well(obj) and obj["status"].get("registry"))
    assert live["status"]["registry"].endswith(":5001")

    def ours() -> tuple[list[Any], list[Any]]:
        labels = {"label": [f"anneal.dev/owner={live['metadata']['uid']}"]}
        return lab.api().services(filters=labels), lab.api().networks(filters=labels)

    services, networks = ours()
    assert (len(services), len(networks)) == (1, 1)
    lab.api().remove_service(services[0]["ID"])
    lab.api().remove_network(networks[0]["Id"])

    def back(obj: Any) -> bool:
        again = ours()
        return well(obj) and bool(again[0] and again[1]) and again[0][0]["ID"] != services[0]["ID"]

    await becomes(client, back)
    await client.delete(KIND, "default", "c")
    await gone(client)
    assert ours() == ([], [])


@pytest.fixture
def sshd(lab: SwarmLab, tmp_path: Path) -> Any:
    """An SSH server on loopback, and the ssh on PATH that knows it."""
    from tests.support.sshd import Sshd

    with Sshd(tmp_path / "ssh") as server:
        yield server


async def test_over_ssh(lab: SwarmLab, sshd: Any, tmp_path: Path) -> None:
    """An engine's socket on a host that is reached by SSH; when the connection breaks, another one is made."""
    from tests.support.daemon import DaemonProcess

    assert shutil.which("ssh")
    process = DaemonProcess(tmp_path / "home", env={"ANNEAL_CALL_SECONDS": "30", "PATH": sshd.path})
    await process.start()
    try:
        async with process.client() as client:
            url = f"ssh://root@127.0.0.1:{sshd.port}{lab.root}/2/docker.sock"
            await client.create(KIND, "default", cluster(endpoints=[url]))
            live = await becomes(client, well)
            assert live["status"]["managers"] == "3/3"
            sshd.restart()
            await becomes(client, lambda obj: condition_of(obj).get("status") == "True" and sshd.connections() > 1)
    finally:
        process.stop()
        process.kill()
