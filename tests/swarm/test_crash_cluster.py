"""The daemon killed at every call that changes a Swarm of our making: in the end it is the one that was wanted, and no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reconciler.client import ApiUnavailable, Client, Object
from tests.support.daemon import DaemonProcess
from tests.support.swarmlab import SwarmLab
from tests.support.world import intents
from tests.swarm.clusters import KIND, becomes, well
from tests.swarm.test_cluster import nodes_of, of_engines

pytestmark = pytest.mark.slow
PATIENCE = 180.0
MANAGER, WORKER = ("manager", "active", {}), ("worker", "active", {})
SSD = {"disk": "ssd", "anneal.dev/labels": "disk"}
SCENARIOS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "make": ("", {"node1": MANAGER, "node2": MANAGER, "node3": MANAGER}, ("create swarm", "create node/n2", "create node/n3")),
    "add": ("123", {"node1": MANAGER, "node2": MANAGER, "node3": MANAGER, "node4": WORKER}, ("update swarm", "create node/n4")),
    "change": (
        "1234", {"node1": MANAGER, "node3": ("manager", "active", SSD), "node4": MANAGER},
        ("update node/n4", "update node/n3", "update node/n2", "update node/n2#2", "delete node/n2", "delete node/n2#2",
         "update swarm"),
    ),
    "delete": (
        "123", {},
        ("update node/n2", "delete node/n2", "delete node/n2#2", "update node/n3", "delete node/n3", "delete node/n3#2",
         "delete node/n1"),
    ),
}  # fmt: skip
"""The engines that are a Swarm before; what it is after; the calls between: promote, label, drain, demote, leave, new tokens."""
POINTS = [
    pytest.param(name, f"@{call}:{phase}", id=f"{name}-{call}-{phase}")
    for name, row in SCENARIOS.items()
    for call in row[2]
    for phase in ("before", "sent", "after")
]


def spec_of(lab: SwarmLab, name: str) -> Object:
    """What the scenario asks for."""
    wanted = of_engines(lab, {"make": "123", "add": "1234", "change": "134"}[name], managerReplacementSeconds=3600)
    if name == "change":
        wanted["spec"]["nodes"][1] |= {"labels": {"disk": "ssd"}}
    return wanted


async def begin(lab: SwarmLab, client: Client, name: str) -> None:
    """What a person does; may be done again."""
    live = await client.get(KIND, "default", "c")
    if name == "delete":
        if live is not None:
            await client.delete(KIND, "default", "c")
    elif live is None:
        await client.create(KIND, "default", spec_of(lab, name))
    else:
        await client.patch(KIND, "default", "c", {"spec": {"nodes": spec_of(lab, name)["spec"]["nodes"]}})


def over(lab: SwarmLab, name: str, obj: Object | None) -> bool:
    """Whether all of it is done, by the object's own word."""
    if obj is None or name == "delete":
        return obj is None and name == "delete"
    names = {row["name"] for row in spec_of(lab, name)["spec"]["nodes"]}
    return well(obj) and {row["name"] for row in obj["status"]["nodes"]} == names


def seen(lab: SwarmLab) -> dict[str, Any]:
    """Host name → role, availability, labels: by the Swarm's own word."""
    at = next((n for n in lab.addresses if lab.state(n)["ControlAvailable"]), None)
    rows = nodes_of(lab, at) if at else {}
    return {
        name: (row["Spec"]["Role"], row["Spec"]["Availability"], row["Spec"].get("Labels") or {}) for name, row in rows.items()
    }


@pytest.mark.parametrize(("name", "point"), POINTS)
async def test_a_crash_changes_nothing_in_the_end(engines: SwarmLab, tmp_path: Path, name: str, point: str) -> None:
    """Killed at this call and started again: the same nodes with the same roles, one entry each, and one Swarm or none."""
    before, after, _ = SCENARIOS[name]
    daemon = DaemonProcess(tmp_path / "home", env={"ANNEAL_CALL_SECONDS": "30"})
    await daemon.start()
    try:
        async with daemon.client() as client:
            if before:
                await client.create(KIND, "default", of_engines(engines, before, managerReplacementSeconds=3600))
                await becomes(client, well, PATIENCE)
            daemon.stop()
            await daemon.start({"ANNEAL_CRASH_AT": point}, wait=False)
            deaths, live = await played(engines, daemon, client, name)
    finally:
        daemon.kill()
    assert deaths == 1
    assert seen(engines) == after
    states = {f"node{n}": engines.state(n) for n in engines.addresses}
    assert {name for name, state in states.items() if state["LocalNodeState"] != "inactive"} == set(after)
    assert len({state["Cluster"]["ID"] for state in states.values() if state["ControlAvailable"]}) == bool(after)
    assert live is None or intents(live) == []


async def played(lab: SwarmLab, daemon: DaemonProcess, client: Client, name: str) -> tuple[int, Object | None]:
    """See it through, over the daemon's death; how often it died, and the object at the end."""
    deaths, began = 0, False
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                if not began:
                    await begin(lab, client, name)
                    began = True
                live = await client.get(KIND, "default", "c")
                if over(lab, name, live) and (deaths or daemon.alive):
                    return deaths, live
            except ApiUnavailable:
                if not daemon.alive:
                    deaths += 1
                    await daemon.start(seconds=PATIENCE)
            await asyncio.sleep(0.1)
