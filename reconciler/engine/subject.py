"""The object of one pass: as it was read, and with the status that it should get.

The only place where the engine writes to the API. Every write carries the resourceVersion that it was derived from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drivers.contract import Owner
from reconciler import crash
from reconciler.client import ApiError, Client, Object, ours
from reconciler.engine.kind import Key, Kind
from reconciler.engine.record import Status, merge_diff, own_refs
from specs.meta import FINALIZER, PAUSED_ANNOTATION, Resource


def paused(obj: Object) -> bool:
    """Whether a person said, by annotation: hands off."""
    value = (obj["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION)
    return value is not None and value.lower() != "false"


@dataclass(slots=True)
class Subject:
    """The object of one pass. `obj` is as the API last returned it; `status` is what it should become."""

    client: Client
    kind: Kind[Any]
    key: Key
    obj: Object
    installation: str
    now: datetime
    model: Resource = field(init=False)
    status: Status = field(init=False)

    def __post_init__(self) -> None:
        self.status = dict(self.obj.get("status") or {})

    def parse(self) -> None:
        """Read the object as its kind; pydantic.ValidationError if what is stored does not validate any more."""
        self.model = self.kind.resource.parse(self.obj)

    @property
    def generation(self) -> int:
        """The generation of the spec."""
        return int(self.obj["metadata"].get("generation") or 0)

    @property
    def deleting(self) -> bool:
        """Whether deletion was asked for."""
        return bool(self.obj["metadata"].get("deletionTimestamp"))

    @property
    def paused(self) -> bool:
        """Whether a person said: hands off."""
        return paused(self.obj)

    @property
    def finalized(self) -> bool:
        """Whether our finalizer is on the object."""
        return FINALIZER in (self.obj["metadata"].get("finalizers") or [])

    @property
    def owner(self) -> Owner:
        """Whose the parts are."""
        meta = self.obj["metadata"]
        return Owner(self.installation, self.kind.resource.names.kind, meta["namespace"], meta["name"], meta["uid"])

    @property
    def provider(self) -> str:
        """The account that its parts live in."""
        return self.kind.provider(self.model)

    @property
    def own_refs(self) -> frozenset[str]:
        """The ids of its parts that are ours and should be there."""
        return own_refs(self.status, self.kind.imported(self.model))

    @property
    def on_record(self) -> bool:
        """Whether anything was, or was about to be, made outside. Without that, nothing can be there."""
        return bool(self.status.get("parts") or self.status.get("intents"))

    async def write_finalizers(self, *, present: bool) -> None:
        """Put our finalizer on, or take it off; ApiError 409 if the object changed meanwhile."""
        meta = self.obj["metadata"]
        names = [name for name in meta.get("finalizers") or [] if name != FINALIZER]
        wanted = [*names, FINALIZER] if present else names
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": wanted},
        ]
        async with crash.point("write", f"finalizer {self.key}"):
            try:
                self.obj = await self.client.patch(ours(self.key.plural), self.key.namespace, self.key.name, patch, "json")
            except ApiError as error:
                if error.code != 422:
                    raise
                raise ApiError(409, "Conflict", error.message) from error  # the test of the resourceVersion failed

    async def check_current(self) -> None:
        """Make sure that what was read is still so: an empty write under its resourceVersion; ApiError 409 if it is not.

        Before a call that needs no record of its own: a stale read must not reach the outside.
        """
        body = {"metadata": {"resourceVersion": self.obj["metadata"]["resourceVersion"]}}
        await self.client.patch(ours(self.key.plural), self.key.namespace, self.key.name, body, "merge", subresource="status")

    async def write_status(self) -> bool:
        """Store the status if it differs from the stored one; ApiError 409 if the object changed meanwhile."""
        changes = merge_diff(self.obj.get("status") or {}, self.status)
        if not changes:
            return False
        body = {"metadata": {"resourceVersion": self.obj["metadata"]["resourceVersion"]}, "status": changes}
        async with crash.point("write", f"status {self.key}"):
            self.obj = await self.client.patch(
                ours(self.key.plural), self.key.namespace, self.key.name, body, "merge", subresource="status"
            )
        self.status = dict(self.obj.get("status") or {})
        return True
