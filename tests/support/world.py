"""One daemon and one simulated cloud, and what a test asks of the two together. Judged by the cloud and the API alone."""

from __future__ import annotations

import json
import re
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from reconciler.client import Client, Object, ours
from reconciler.http_client import HttpClient
from specs.meta import PAUSED_ANNOTATION
from tests.support.cloud import CloudAdmin, CloudProcess
from tests.support.daemon import DaemonProcess, condition_of, machine, machine_until, ready, until

MACHINES = ours("machines")
SWIFT = {
    "ANNEAL_POLL_SECONDS": "0.25",
    "ANNEAL_AUDIT_SECONDS": "0.5",
    "ANNEAL_BACKOFF_CAP_SECONDS": "0.5",
    "ANNEAL_SIMULATED_SETTLE_SECONDS": "0.4",
}
"""Settings of these tests, on top of QUICK."""


@dataclass
class World:
    """A running daemon, its cloud, and a client of the API server that the daemon looks at."""

    cloud: CloudProcess
    daemon: DaemonProcess
    client: Client
    reusable: bool = True
    """Whether another test may go on with this daemon, once its Machines are gone."""

    @property
    def admin(self) -> CloudAdmin:
        """The cloud's back door."""
        return self.cloud.admin

    def spec(self, ports: int = 0, **more: Any) -> dict[str, Any]:
        """A `simulated` block for this cloud."""
        networks = [{"network": f"net-{number}"} for number in range(ports)]
        return {"endpoint": self.cloud.url, "ports": networks, **more}

    async def create(self, name: str, ports: int = 0, *, spec: Mapping[str, Any] | None = None, **more: Any) -> Object:
        """Create a Machine on the cloud; `spec` goes beside the provider's block, `more` into it."""
        return await self.client.create(MACHINES, "default", machine(name, simulated=self.spec(ports, **more), **(spec or {})))

    async def edit(self, name: str, **simulated: Any) -> Object:
        """Change fields of the provider's block."""
        return await self.client.patch(MACHINES, "default", name, {"spec": {"simulated": simulated}})

    async def annotate(self, name: str, key: str, value: str | None) -> Object:
        """Set an annotation, or take it off."""
        return await self.client.patch(MACHINES, "default", name, {"metadata": {"annotations": {key: value}}})

    async def delete(self, name: str) -> None:
        """Ask for deletion."""
        await self.client.delete(MACHINES, "default", name)

    async def get(self, name: str) -> Object | None:
        """The Machine as it is now."""
        return await self.client.get(MACHINES, "default", name)

    async def until(self, name: str, check: Callable[[Object], Any], seconds: float = 20) -> Object:
        """Wait until the Machine is so."""
        return await machine_until(self.client, name, check, seconds)

    async def ready(self, name: str, seconds: float = 20) -> Object:
        """Wait until it is Ready and nothing more will happen."""
        return await self.until(name, settled, seconds)

    async def gone(self, name: str, seconds: float = 20) -> None:
        """Wait until there is no such Machine."""

        async def look() -> bool:
            return await self.get(name) is None

        await until(look, seconds, lambda: f"Machine {name} is still there")

    async def rounds(self, count: int = 2, table: str = "servers") -> None:
        """Wait until the daemon has looked over the whole cloud so many times more: what it had in mind to do it has done.

        One more list than that is awaited: the first may have been under way already.
        """
        start = self.admin.reads().get(f"list {table}", 0)
        await until(lambda: self.admin.reads().get(f"list {table}", 0) > start + count, 30, lambda: "the daemon does not look")

    def counts(self, owner: str | None = None) -> tuple[Counter[str], Counter[str]]:
        """How many creates and deletes took place, by table; of one owner or of all."""
        creates = Counter(entry["table"] for entry in self.admin.creates(owner=owner))
        deletes = Counter(entry["table"] for entry in self.admin.deletes())
        if owner is not None:
            mine = {entry["id"] for entry in self.admin.creates(owner=owner)}
            deletes = Counter(entry["table"] for entry in self.admin.deletes() if entry["id"] in mine)
        return creates, deletes

    def total(self) -> dict[str, int]:
        """How many things there are, by table, without the tables that are empty."""
        return {table: len(things) for table, things in self.admin.inventory().items() if things}

    async def tidy(self, seconds: float = 4) -> None:
        """Delete all Machines, and wait until they are gone; AssertionError if they are not in time."""
        self.admin.faults()
        for item in (await self.client.list(MACHINES))[0]:
            await self.annotate(item["metadata"]["name"], PAUSED_ANNOTATION, None)
            await self.delete(item["metadata"]["name"])

        async def none() -> bool:
            return not (await self.client.list(MACHINES))[0]

        await until(none, seconds, lambda: "the Machines of the last test do not go")

    async def orphans(self) -> list[str]:
        """Everything in the cloud that carries an owner's tag although no Machine has that UID."""
        items, _ = await self.client.list(MACHINES)
        alive = {item["metadata"]["uid"] for item in items}
        things = [thing for table in self.admin.inventory().values() for thing in table]
        return [t["name"] or t["id"] for t in things if t["tags"].get("anneal-owner") not in (None, *alive)]


@asynccontextmanager
async def external_world(
    cloud: CloudProcess, root: Path, api: Path, kubeconfig: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[World]:
    """A daemon that is not started yet, for an API server that is there: `api` leads us to it, `kubeconfig` the daemon."""
    daemon = DaemonProcess(root, SWIFT | dict(env or {}), ("--kubeconfig", str(kubeconfig or api)))
    client = HttpClient.from_kubeconfig(api)
    try:
        yield World(cloud, daemon, client)
    finally:
        daemon.signal(signal.SIGCONT)
        daemon.kill()
        await client.close()


async def ask(daemon: DaemonProcess, path: str, body: Any = None) -> tuple[int, str]:
    """GET one of the daemon's own answers, or POST to it: status and body."""
    port = json.loads(daemon.home.server_record.read_text())["port"]
    token = (daemon.home.pki / "token").read_text().strip()
    context = ssl.create_default_context(cafile=str(daemon.home.pki / "ca.crt"))
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
        http.request("GET" if body is None else "POST", f"https://127.0.0.1:{port}{path}", json=body, ssl=context) as response,
    ):
        return response.status, await response.text()


@asynccontextmanager
async def running_world(
    cloud: CloudProcess,
    root: Path,
    env: Mapping[str, str] | None = None,
    *,
    module: str = "reconciler.daemon",
    forked: bool = True,
) -> AsyncIterator[World]:
    """A daemon on a new home, beside an empty cloud. The daemon is killed at the end."""
    cloud.admin.reset()
    daemon = DaemonProcess(root, SWIFT | dict(env or {}), module=module, forked=forked)
    try:
        await daemon.start()
        client = HttpClient.from_kubeconfig(daemon.home.kubeconfig)
        try:
            yield World(cloud, daemon, client)
        finally:
            await client.close()
    finally:
        daemon.kill()


def settled(obj: Object) -> bool:
    """Whether it is Ready, and Progressing says that nothing more will happen."""
    return ready(obj) and condition_of(obj, "Progressing").get("status") == "False"


def because(reason: str, kind: str = "Ready") -> Callable[[Object], bool]:
    """Whether a condition gives this reason, for the current generation."""

    def check(obj: Object) -> bool:
        row = condition_of(obj, kind)
        return row.get("reason") == reason and row.get("observedGeneration") == obj["metadata"]["generation"]

    return check


def message(obj: Object, kind: str = "Ready") -> str:
    """What a condition says."""
    return str(condition_of(obj, kind).get("message", ""))


def parts(obj: Object) -> dict[str, str]:
    """The parts on record: name → external id."""
    return {row["name"]: row["ref"] for row in (obj.get("status") or {}).get("parts") or []}


def intents(obj: Object) -> list[str]:
    """The parts whose creates are in doubt."""
    return [row["part"] for row in (obj.get("status") or {}).get("intents") or []]


def portrait(obj: Object | None, inventory: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, Any]:
    """The end state of one Machine and of what it owns, with ids, addresses, names and times masked."""
    of_owner = {table: list(things) for table, things in inventory.items()}
    names = {thing["id"]: thing["tags"].get("anneal-part", "?") for things in of_owner.values() for thing in things}

    def mask(thing: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in thing.items() if key not in ("id", "created", "ip", "addresses", "tags", "name")}
        kept |= {"part": thing["tags"].get("anneal-part")}
        for key in ("server", "ports"):
            if isinstance(value := kept.get(key), list):
                kept[key] = [names.get(ref, ref) for ref in value]
            elif value:
                kept[key] = names.get(value, value)
        return kept

    outside = {table: sorted((mask(t) for t in things), key=lambda t: str(t["part"])) for table, things in of_owner.items()}
    if obj is None:
        return {"outside": outside, "object": None}
    status = obj.get("status") or {}
    inside = {
        "conditions": [(row["type"], row["status"], row["reason"], _masked(row["message"])) for row in status["conditions"]],
        "parts": [(row["name"], bool(row.get("deleting"))) for row in status.get("parts") or []],
        "intents": intents(obj),
        "failures": [(row["part"], row["reason"]) for row in status.get("failures") or []],
        "resolved": status.get("resolved"),
        "finalizers": obj["metadata"].get("finalizers"),
        "state": status.get("instanceState"),
        "addresses": [row["type"] for row in status.get("addresses") or []],
    }
    return {"outside": outside, "object": inside}


def _masked(text: str) -> str:
    return re.sub(r"\b\d+(\.\d+){3}\b", "<ip>", re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", text))
