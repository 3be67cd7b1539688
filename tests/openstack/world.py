"""A daemon beside the real cloud. Judged by the cloud's own lists and the API alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.openstack.marks import OWNER
from reconciler.client import Client, Object, ours
from reconciler.http_client import HttpClient
from tests.openstack.proxy import FaultProxy
from tests.openstack.real import Real
from tests.support.daemon import DaemonProcess, machine, machine_until, until
from tests.support.world import settled

MACHINES = ours("machines")
ENV = {
    "ANNEAL_POLL_SECONDS": "2",
    "ANNEAL_AUDIT_SECONDS": "2",
    "ANNEAL_BACKOFF_BASE_SECONDS": "0.1",
    "ANNEAL_BACKOFF_CAP_SECONDS": "2",
    "ANNEAL_OPENSTACK_SETTLE_SECONDS": "4",
    "ANNEAL_CALL_SECONDS": "20",
    "ANNEAL_RETRY_SCALE": "0.05",
    "ANNEAL_LEASE_SECONDS": "15",
}
PATIENCE = 240.0
"""Seconds: what takes three on an idle machine takes minutes on one that compiles beside."""
NET = {"network": {"filter": {"name": "private"}}}


@dataclass
class CloudWorld:
    """A running daemon, the real cloud, and a client of the daemon's API server."""

    real: Real
    daemon: DaemonProcess
    client: Client
    clouds: Path
    """The clouds.yaml that Machines name; may lead through proxies."""

    def spec(self, *, ports: int | list[dict[str, Any]] = 1, **more: Any) -> dict[str, Any]:
        """An `openstack` block for this cloud; so many ports on its network, or these."""
        least = {"identityRef": {"file": str(self.clouds), "cloudName": self.real.cloud}}
        least |= {
            "flavor": {"filter": {"name": "m1.tiny"}},
            "image": {"filter": {"name": "cirros"}},
            "ports": [NET] * ports if isinstance(ports, int) else ports,
        }
        return least | more

    async def create(self, name: str, *, spec: Mapping[str, Any] | None = None, **more: Any) -> Object:
        """Create a Machine; `spec` goes beside the provider's block, `more` into it."""
        return await self.client.create(MACHINES, "default", machine(name, openstack=self.spec(**more), **(spec or {})))

    async def edit(self, name: str, **openstack: Any) -> Object:
        """Change fields of the provider's block."""
        return await self.client.patch(MACHINES, "default", name, {"spec": {"openstack": openstack}})

    async def annotate(self, name: str, key: str, value: str | None) -> Object:
        """Set an annotation, or take it off."""
        return await self.client.patch(MACHINES, "default", name, {"metadata": {"annotations": {key: value}}})

    async def get(self, name: str) -> Object | None:
        """The Machine as it is now."""
        return await self.client.get(MACHINES, "default", name)

    async def delete(self, name: str) -> None:
        """Ask for deletion."""
        await self.client.delete(MACHINES, "default", name)

    async def until(self, name: str, check: Callable[[Object], Any], seconds: float = PATIENCE) -> Object:
        """Wait until the Machine is so."""
        return await machine_until(self.client, name, check, seconds)

    async def ready(self, name: str, seconds: float = PATIENCE) -> Object:
        """Wait until it is Ready, nothing more will happen, and that was said of the newest spec."""
        return await self.until(name, lambda o: settled(o) and current(o), seconds)

    async def gone(self, name: str, seconds: float = PATIENCE) -> None:
        """Wait until there is no such Machine."""

        async def look() -> bool:
            return await self.get(name) is None

        await until(look, seconds, lambda: f"Machine {name} is still there")

    async def of(self, name: str) -> dict[str, list[Any]]:
        """What the cloud has with the tag of this Machine."""
        obj = await self.get(name)
        assert obj is not None
        return of_uid(self.real, obj["metadata"]["uid"])

    async def tidy(self) -> None:
        """Delete all Machines, and wait until they are gone."""
        for item in (await self.client.list(MACHINES))[0]:
            await self.delete(item["metadata"]["name"])

        async def none() -> bool:
            return not (await self.client.list(MACHINES))[0]

        await until(none, PATIENCE, lambda: "the Machines of this test do not go")


def of_uid(real: Real, uid: str) -> dict[str, list[Any]]:
    """What the cloud has with the tag of this UID; a key has it in its name."""
    there = real.inventory()
    mine = {table: [t for t in things if f"{OWNER}{uid}" in _words(t)] for table, things in there.items()}
    return mine | {"keys": [key for key in there["keys"] if uid in key.name]}


def orphans(real: Real) -> list[str]:
    """What carries the tag of any Machine at all."""
    there = real.inventory()
    found = [t for things in there.values() for t in things if any(word.startswith(OWNER) for word in _words(t))]
    return [thing.id for thing in found] + [key.name for key in there["keys"] if key.name.startswith("anneal-")]


def _words(thing: Any) -> list[str]:
    pairs = getattr(thing, "metadata", None) or {}
    words = [f"{key}={value}" for key, value in pairs.items()] if isinstance(pairs, Mapping) else []
    return [*(getattr(thing, "tags", None) or ()), *(getattr(thing, "description", None) or "").split(), *words]


def posts(proxies: Mapping[str, FaultProxy], path: str) -> int:
    """How many creates arrived at the proxies."""
    return len([1 for proxy in proxies.values() for method, asked in proxy.log if method == "POST" and asked.endswith(path)])


def current(obj: Object) -> bool:
    """Whether the status speaks of the newest spec."""
    return bool((obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"])


@asynccontextmanager
async def running(
    real: Real, daemon: DaemonProcess, clouds: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[CloudWorld]:
    """A world with this daemon, which is started if it does not run. It goes on running, without Machines, if all went well.

    At the end nothing is left that carries the tag of a Machine.
    """
    if not daemon.alive:
        await daemon.start(env, seconds=PATIENCE)
    client = HttpClient.from_kubeconfig(daemon.home.kubeconfig)
    world = CloudWorld(real, daemon, client, clouds or real.clouds)
    try:
        yield world
        await world.tidy()
        assert orphans(real) == []
    except BaseException:
        daemon.kill()
        raise
    finally:
        await client.close()
