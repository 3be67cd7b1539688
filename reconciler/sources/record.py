"""The ConfigMap of a source: its path, its last status, its mounts, what a person agreed to. It survives restarts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from reconciler.client import CONFIGMAPS, ApiError, Client, Object
from reconciler.sources.objects import RECORD_PREFIX
from reconciler.sources.status import STORED_ROWS, SourceStatus
from specs.meta import GROUP

NAMESPACE = "default"
KIND_LABEL = f"{GROUP}/kind"
SELECTOR = f"{KIND_LABEL}=source"


@dataclass(slots=True)
class Record:
    """What is stored of one source. Writes happen only where something changes."""

    client: Client
    id: str
    path: Path
    stored: Object = field(default_factory=dict)
    """The ConfigMap as it was last read or written; empty before that."""

    @property
    def name(self) -> str:
        """The ConfigMap's name."""
        return f"{RECORD_PREFIX}{self.id}"

    @property
    def mounts(self) -> dict[str, int]:
        """Folder → device at the last good look."""
        return dict(self._json("devices", {}))

    @property
    def confirmed(self) -> frozenset[str]:
        """Fingerprints of the removals that a person agreed to."""
        return frozenset(self._data().get("confirmed", "").split())

    @property
    def status(self) -> dict[str, Any]:
        """The stored status; empty before the first."""
        return dict(self._json("status", {}))

    @property
    def leaving(self) -> bool:
        """Whether the source was being forgotten when the daemon stopped."""
        return self._data().get("leaving") == "true"

    async def ensure(self) -> Object:
        """Read the ConfigMap, made if it is missing."""
        live = await self.client.get(CONFIGMAPS, NAMESPACE, self.name)
        if live is None:
            meta = {"name": self.name, "namespace": NAMESPACE, "labels": {KIND_LABEL: "source"}}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"path": str(self.path)}}
            try:
                live = await self.client.create(CONFIGMAPS, NAMESPACE, body)
            except ApiError as error:
                if error.code != 409:
                    raise
                live = await self.client.get(CONFIGMAPS, NAMESPACE, self.name) or body
        self.stored = {"apiVersion": "v1", "kind": "ConfigMap", **live}
        return self.stored

    async def save_status(self, status: SourceStatus) -> None:
        """Store the status if more than its time changed."""
        if not status.same(self.status):
            await self._write({"status": orjson.dumps(status.as_dict(STORED_ROWS)).decode()})

    async def save_mounts(self, devices: Mapping[str, int]) -> None:
        """Store where the folders are mounted from, if it changed."""
        if self.mounts != devices:
            await self._write({"devices": orjson.dumps(dict(devices), option=orjson.OPT_SORT_KEYS).decode()})

    async def save_confirmed(self, fingerprints: Collection[str]) -> None:
        """Store which removals were agreed to; none clears it."""
        if self.confirmed != frozenset(fingerprints):
            await self._write({"confirmed": " ".join(sorted(fingerprints)) or None})

    async def save_leaving(self) -> None:
        """From now on this source is being forgotten; a restart goes on with it."""
        await self._write({"leaving": "true"})

    async def remove(self) -> None:
        """Delete the ConfigMap."""
        uid = self.stored.get("metadata", {}).get("uid")
        await self.client.delete(CONFIGMAPS, NAMESPACE, self.name, uid=uid)

    async def _write(self, data: Mapping[str, str | None]) -> None:
        try:
            live = await self.client.patch(CONFIGMAPS, NAMESPACE, self.name, {"data": dict(data)})
        except ApiError as error:
            if error.code != 404:
                raise
            await self.ensure()
            live = await self.client.patch(CONFIGMAPS, NAMESPACE, self.name, {"data": dict(data)})
        self.stored = {"apiVersion": "v1", "kind": "ConfigMap", **live}

    def _data(self) -> dict[str, str]:
        return self.stored.get("data") or {}

    def _json(self, name: str, default: Any) -> Any:
        try:
            return orjson.loads(self._data()[name])
        except (KeyError, orjson.JSONDecodeError):
            return default


async def records(client: Client) -> list[Record]:
    """Read the records of all sources."""
    items, _ = await client.list(CONFIGMAPS, NAMESPACE, labels=SELECTOR)
    return [
        Record(client, name.removeprefix(RECORD_PREFIX), Path(item["data"]["path"]), item)
        for item in items
        if (name := item["metadata"]["name"]).startswith(RECORD_PREFIX) and (item.get("data") or {}).get("path")
    ]
