"""The harness of API objects: ModelVersions in a table with a memory, which refuses and is silent as API servers are."""

from __future__ import annotations

import copy
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drivers.contract import Ambiguous, Conflict, Driver, Fence, Intent, Owner, Step, Unreachable
from drivers.objects import INSTALLATION_LABEL, OWNER_LABEL, PART_LABEL, Object, ObjectDriver
from tests.contract.harness import INSTALLATION, Hook
from tests.contract.units import CANNOT as OF_UNITS

CANNOT = {
    Hook.REFUSE: "which answer is which error is the adapter's affair, and tested there",
    Hook.OTHER_VIEW: "an API server has one view",
    Hook.EMPTY_LISTS: "an API server's lists are consistent",
    Hook.LATE: "an API server's lists are consistent",
    Hook.ROTATE: "the daemon's own connection is used",
    Hook.UNREACHABLE: "the daemon's own connection is used",
    Hook.TWICE: "a name can be taken once",
    Hook.BLIND: "silence has one form here; a test of its own shows it",
    Hook.SEVERAL_AT_ONCE: OF_UNITS[Hook.SEVERAL_AT_ONCE],
}


class MemoryTable:
    """An API server's table of ModelVersions."""

    kind, plural = "ModelVersion", "modelversions"

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.versions = itertools.count(1)
        self.fault = ""
        self.mutations = 0

    async def get(self, namespace: str, name: str) -> Object | None:
        """One object."""
        self._read()
        return copy.deepcopy(self.objects.get(f"{namespace}/{name}"))

    async def list(self, selector: str) -> Sequence[Object]:
        """Those with the label."""
        self._read()
        key, _, value = selector.partition("=")
        found = [obj for obj in self.objects.values() if key in labels_of(obj)]
        return [copy.deepcopy(obj) for obj in found if not value or labels_of(obj)[key] == value]

    async def create(self, namespace: str, body: Object) -> Object:
        """Store it."""
        name = f"{namespace}/{body['metadata']['name']}"

        def deed() -> Object:
            if name in self.objects:
                raise Conflict("the name is taken")
            meta = {"uid": str(uuid.uuid4()), "creationTimestamp": f"2026-01-01T00:00:{len(self.objects):02d}Z", "generation": 1}
            self.objects[name] = {**body, "metadata": {**body["metadata"], **meta, "resourceVersion": str(next(self.versions))}}
            return self.objects[name]

        return self._write("POST", deed)

    async def patch(self, namespace: str, name: str, body: Object) -> Object:
        """Merge its spec."""

        def deed() -> Object:
            if (obj := self.objects.get(f"{namespace}/{name}")) is None:
                raise Conflict("it is gone")
            obj["spec"] = {**obj["spec"], **body["spec"]}
            obj["metadata"]["resourceVersion"] = str(next(self.versions))
            return obj

        return self._write("PATCH", deed)

    async def delete(self, namespace: str, name: str) -> None:
        """Remove it."""
        self._write("DELETE", lambda: self.objects.pop(f"{namespace}/{name}", {}))

    def _read(self) -> None:
        if self.fault == "unavailable":
            raise Unreachable("cannot list: no answer; asking again")

    def _write(self, method: str, deed: Callable[[], Object]) -> Object:
        self.mutations += 1
        if self.fault in ("drop_before", "hang"):
            raise Ambiguous("no answer")
        done = deed()
        if self.fault:
            raise Ambiguous("no answer")
        return copy.deepcopy(done)


def labels_of(obj: Object) -> dict[str, str]:
    """Its labels."""
    return obj["metadata"].get("labels") or {}


class Objects:
    """ModelVersions as parts."""

    name = "objects"
    part = "model/0"
    cannot: Mapping[Hook, str] = CANNOT
    secret = ""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.admin: Any = None

    def reset(self) -> None:
        """An empty table."""
        self.table = MemoryTable()

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver of that table."""
        return ObjectDriver(self.table, fence=fence, installation=INSTALLATION)

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """One with a spec."""
        part = part or self.part
        step = Step("create", part, "no such thing carries our tag", {"spec": {"digest": "sha256:0"}})
        return step, Intent(owner, part, owner.external_name(part))

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """Another spec."""
        step = Step("update", self.part, "it differs", {"spec": {"digest": "sha256:1"}}, ref=ref)
        return step, lambda live: live.spec == {"digest": "sha256:1"}

    def broken(self, fault: str, **more: Any) -> None:
        """Misbehave."""
        self.table.fault = fault

    def honest(self) -> None:
        """Behave."""
        self.table.fault = ""

    def meddle(self, verb: str, ref: str = "", **fields: Any) -> str:
        """As a person with kubectl."""
        match verb:
            case "create":
                name = str(fields.get("name") or f"somebody-{len(self.table.objects)}")
                meta = {"name": name, "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "1"}
                obj = {"metadata": meta | (fields.get("metadata") or {}), "spec": {}}
                self.table.objects[f"default/{name}"] = obj
                return f"default/{name}"
            case "change":
                meta = self.table.objects[ref]["metadata"]
                if "tags" in fields:
                    meta["labels"], meta["ownerReferences"] = {}, []
                meta["resourceVersion"] = str(next(self.table.versions))
            case "delete":
                self.table.objects.pop(ref)
        return ref

    def tags(self, owner: Owner, part: str) -> Mapping[str, Any]:
        """As the driver tags."""
        labels = {INSTALLATION_LABEL: owner.installation, OWNER_LABEL: owner.uid, PART_LABEL: part.replace("/", ".")}
        return {"metadata": {"labels": labels, "ownerReferences": [{"uid": owner.uid}]}}

    def refs(self) -> list[str]:
        """All there are."""
        return list(self.table.objects)

    def mutations(self) -> int:
        """How many writes arrived."""
        return self.table.mutations
