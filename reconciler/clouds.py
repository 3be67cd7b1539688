"""What people ask of an OpenStack cloud beside Machines: its servers as YAML, what was left behind, a server's console."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drivers.contract import Conflict, InvalidConfiguration
from drivers.openstack import Cloud
from drivers.openstack.live import Server
from drivers.openstack.servers import ServerDriver
from reconciler.client import Client, Object, ours
from reconciler.kinds.openstack.plan import ORDER
from reconciler.kinds.providers import Providers
from specs.machine import Machine
from specs.meta import API_VERSION
from specs.openstack import IdentityRef

MACHINES = ours("machines")
POLL_SECONDS, WAIT_SECONDS = 0.5, 90.0


@dataclass(frozen=True, slots=True)
class Clouds:
    """Answers for one daemon. Every method raises DriverError."""

    client: Client
    providers: Providers

    async def console(self, obj: Object, lines: int) -> str | None:
        """The end of what the server of a Machine wrote to its console; None if it is not a server of OpenStack, or not there."""
        spec = (obj.get("spec") or {}).get("openstack")
        ref = ((obj.get("status") or {}).get("providerID") or "").removeprefix("openstack:///")
        if not spec or not ref:
            return None
        cloud = await self._cloud(spec["identityRef"], obj["metadata"]["namespace"])
        driver = cloud.drivers["server"]
        assert isinstance(driver, ServerDriver)
        return await driver.console(ref, lines)

    async def left_behind(self, identity: dict[str, Any], namespace: str) -> list[dict[str, str]]:
        """What carries our tag although no Machine has that UID, in the order in which it can be removed.

        The cloud is asked before the API server: what is made in between belongs to an object that the second answer holds.
        """
        cloud = await self._cloud(identity, namespace)
        found = []
        for what in sorted(ORDER, key=ORDER.__getitem__):
            try:
                found += [(what, thing) for thing in await cloud.drivers[what].inventory()]  # type: ignore[attr-defined]
            except InvalidConfiguration:
                if what != "volume":  # a cloud without block storage has no volumes
                    raise
        items, _ = await self.client.list(MACHINES)
        alive = {item["metadata"]["uid"] for item in items}
        return [
            {"kind": what, "id": thing.ref, "name": thing.live.name, "owner": thing.owner, "created": thing.created}
            for what, thing in found
            if thing.owner not in alive
        ]

    async def remove(self, identity: dict[str, Any], namespace: str, wanted: Sequence[str]) -> list[dict[str, str]]:
        """Remove those of `wanted` that still are left behind; returns them. Servers first, and they are waited for."""
        cloud = await self._cloud(identity, namespace)
        rows = [row for row in await self.left_behind(identity, namespace) if row["id"] in wanted]
        for row in rows:
            if row["kind"] != "server":
                await self._gone(cloud, [other["id"] for other in rows if other["kind"] == "server"])
            await cloud.drivers[row["kind"]].destroy(row["id"])
        return rows

    async def export(self, identity: dict[str, Any], namespace: str) -> list[Object]:
        """Each server of the project as an unmanaged Machine: applied, it changes nothing."""
        cloud = await self._cloud(identity, namespace)
        client = cloud.client
        rows = await client.rows("list servers", "compute", "/servers/detail", "servers")
        ports = await client.rows("list ports", "network", "/ports", "ports")
        plugged: dict[str, list[str]] = {}
        for port in ports:
            plugged.setdefault(port.get("device_id") or "", []).append(port["network_id"])
        names: set[str] = set()
        return [
            _machine(Server.parse(row), identity, namespace, plugged.get(row["id"], []), names) for row in rows if "tags" in row
        ]

    async def _gone(self, cloud: Cloud, refs: Sequence[str]) -> None:
        for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
            there = {thing.ref for thing in await cloud.drivers["server"].inventory()}  # type: ignore[attr-defined]
            if not there.intersection(refs):
                return
            await asyncio.sleep(POLL_SECONDS)
        raise Conflict(f"cannot remove the rest: servers are still there after {WAIT_SECONDS:g} s; run it again")

    async def _cloud(self, identity: dict[str, Any], namespace: str) -> Cloud:
        ref = IdentityRef.model_validate(identity)
        return await self.providers.openstack(ref, namespace)


def _machine(server: Server, identity: dict[str, Any], namespace: str, networks: list[str], names: set[str]) -> Object:
    """One server as a Machine under `import`, with what can be seen of it."""
    stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in server.name.lower()).strip("-")[:50].strip("-") or "server"
    name = stem if stem not in names else f"{stem}-{server.id[:8]}"
    names.add(name)
    spec: dict[str, Any] = {"identityRef": identity, "flavor": {"filter": {"name": server.flavor}}}
    spec |= {"image": {"id": server.image or "booted-from-a-volume"}}
    if networks:
        spec["ports"] = [{"network": {"id": network}} for network in networks]
    if server.metadata:
        spec["serverMetadata"] = [{"key": key, "value": value} for key, value in sorted(server.metadata.items())]
    obj = {
        "apiVersion": API_VERSION,
        "kind": "Machine",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"managementPolicy": "unmanaged", "import": {"id": server.id}, "openstack": spec},
    }
    Machine.parse(obj)
    return obj
