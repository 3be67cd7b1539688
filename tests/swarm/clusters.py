"""SwarmCluster objects in tests: written, awaited, looked at behind their backs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.client import Client, Object, ours
from specs.meta import API_VERSION
from tests.support.daemon import condition_of, ready, until

KIND = ours("swarmclusters")
PATIENCE = 300.0
"""The machine may be busy; what comes does not come later for it."""


def cluster(**spec: Any) -> Object:
    """A SwarmCluster called c."""
    return {"apiVersion": API_VERSION, "kind": "SwarmCluster", "metadata": {"name": "c", "namespace": "default"}, "spec": spec}


async def becomes(client: Client, check: Callable[[Object], Any], seconds: float = PATIENCE) -> Object:
    """Wait until it is so; AssertionError with its conditions and nodes."""
    last: Object = {}

    async def look() -> Object | None:
        nonlocal last
        last = await client.get(KIND, "default", "c") or {}
        return last if last and check(last) else None

    def say() -> str:
        status = last.get("status") or {}
        return f"{[(row['type'], row['status'], row['message']) for row in status.get('conditions') or ()]} {status.get('nodes')}"

    found: Object = await until(look, seconds, say, every=0.2)
    return found


async def gone(client: Client, seconds: float = PATIENCE) -> None:
    """Wait until it is deleted."""

    async def look() -> bool:
        return await client.get(KIND, "default", "c") is None

    await until(look, seconds, lambda: "the SwarmCluster is still there", every=0.2)


def well(obj: Object) -> bool:
    """Ready, every node too, and nothing left to do."""
    wanted = {"NodesReady": "True", "QuorumHealthy": "True", "Progressing": "False"}
    return ready(obj) and all(condition_of(obj, kind).get("status") == status for kind, status in wanted.items())
