"""Volumes, as a driver over Cinder. The marks stand in the volume's metadata, which a create takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from drivers.contract import Intent, InvalidConfiguration, Step, Survey, Unknown
from drivers.openstack.live import Volume
from drivers.openstack.marks import Marks
from drivers.openstack.table import TableDriver

KEYS = ("anneal-installation", "anneal-owner", "anneal-part")


class VolumeDriver(TableDriver[Volume]):
    """Creates take Cinder's own fields. A cloud without block storage is refused in clear words by the client."""

    singular: ClassVar[str] = "volume"
    service: ClassVar[str] = "volume"
    table: ClassVar[str] = "volumes"
    path: ClassVar[str] = "/volumes"
    sick: ClassVar[tuple[str, ...]] = ("error", "deleting", "error_deleting")

    def listing(self) -> str:
        """With metadata and attachments."""
        return "/volumes/detail"

    def parse(self, row: Mapping[str, Any]) -> Volume:
        """See the base."""
        return Volume.parse(row)

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """Out of the metadata."""
        found = row.get("metadata") or {}
        return Marks(*(str(found.get(key) or "") for key in KEYS))

    async def survey(self) -> Survey | Unknown:
        """Where there is no block storage nothing of ours lies on it."""
        match await super().survey():
            case Unknown(error=InvalidConfiguration()):
                return Survey(time.monotonic(), frozenset(), {})
            case answer:
                return answer

    async def creation(self, step: Step, intent: Intent) -> tuple[str, str, Any]:
        """Name and marks travel in the create."""
        values = (intent.owner.installation, intent.owner.uid, intent.part)
        metadata = dict(zip(KEYS, values, strict=True)) | {"anneal-made-from": str(step.change.get("madeFrom") or "")}
        body = {key: value for key, value in step.change.items() if key != "madeFrom"}
        return "POST", self.path, {"volume": {**body, "name": intent.name, "metadata": metadata}}

    def update(self, step: Step, ref: str, intent: Intent) -> tuple[str, str, str, Any]:
        """Only its size can grow."""
        return self.service, "POST", f"{self.at(ref)}/action", {"os-extend": {"new_size": step.change["size"]}}
