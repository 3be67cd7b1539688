"""API objects as parts: what anneal makes of one of its objects for another, and what one refers to and only looks at.

An owned object carries the owner's reference (so that it goes with it) and labels that name installation and part. A reference is
observed by its id, `namespace/name`; it does not carry our tag, so it is Foreign, with what it holds: looked at, never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from drivers.contract import Conflict, Fence, Intent, Observation, Owner, Step, Survey, Unknown
from drivers.judging import Thing
from drivers.snapshot import SharedList
from specs.meta import API_VERSION, GROUP

Object = dict[str, Any]

INSTALLATION_LABEL, PART_LABEL, OWNER_LABEL = f"{GROUP}/installation", f"{GROUP}/part", f"{GROUP}/owner"


class Table(Protocol):
    """One kind of object of an API server. Every method raises DriverError."""

    @property
    def kind(self) -> str:
        """The kind's name."""

    @property
    def plural(self) -> str:
        """Its plural."""

    async def get(self, namespace: str, name: str) -> Object | None:
        """One object; None if there is none."""

    async def list(self, selector: str) -> Sequence[Object]:
        """All objects with these labels, of all namespaces."""

    async def create(self, namespace: str, body: Object) -> Object:
        """Create; Conflict if the name is taken, Ambiguous if no answer came."""

    async def patch(self, namespace: str, name: str, body: Object) -> Object:
        """Merge; Conflict if it is gone."""

    async def delete(self, namespace: str, name: str) -> None:
        """Ask for deletion; a missing object is fine."""


class LiveObject:
    """An object as it was found."""

    __slots__ = ("id", "name", "object")

    def __init__(self, obj: Object) -> None:
        self.object = obj
        self.name: str = obj["metadata"]["name"]
        self.id = f"{obj['metadata']['namespace']}/{self.name}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LiveObject) and self.object == other.object

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec."""
        return self.object.get("spec") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status; empty before the first."""
        return self.object.get("status") or {}

    def condition(self, kind: str = "Ready") -> Mapping[str, Any]:
        """One condition of it, as long as it speaks of the spec as it is now; empty if there is none."""
        generation = self.object["metadata"].get("generation")
        for row in self.status.get("conditions") or ():
            if row["type"] == kind and (row.get("observedGeneration") or generation) == generation:
                found: Mapping[str, Any] = row
                return found
        return {}

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return self.condition().get("status") == "True" and not self.object["metadata"].get("deletionTimestamp")


class ObjectDriver:
    """One kind of API object. Create: `Step.change` is `name` (else the intent's), `labels`, `annotations`, `spec`."""

    settle_seconds = 0.0

    def __init__(self, table: Table, *, fence: Fence = lambda: None, installation: str = "") -> None:
        self.name = f"objects/{table.plural}"
        self._table, self._fence, self._installation = table, fence, installation
        self._shared: SharedList[LiveObject] = SharedList(self._everything, self._of_owner, self._by_id)

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[LiveObject]:
        """See the contract."""
        return await self._shared.observe(owner, ref, after, part)

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return await self._shared.survey(self._installation)

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract."""
        if step.verb == "update":
            if not step.ref:
                raise ValueError(f"{self.name} updates with a ref")
            namespace, _, name = step.ref.partition("/")
            self._fence()
            await self._table.patch(namespace, name, dict(step.change))
            return step.ref
        owner, body = intent.owner, self._body(step, intent)
        self._fence()
        return _ref(await self._table.create(owner.namespace, body))

    async def destroy(self, ref: str) -> None:
        """See the contract."""
        namespace, _, name = ref.partition("/")
        self._fence()
        await self._table.delete(namespace, name)

    async def close(self) -> None:
        """Forget what was seen."""
        await self._shared.close()

    def _body(self, step: Step, intent: Intent) -> Object:
        owner = intent.owner
        reference = {"apiVersion": API_VERSION, "kind": owner.kind, "name": owner.name, "uid": owner.uid, "controller": True}
        labels = {INSTALLATION_LABEL: owner.installation, PART_LABEL: _label(intent.part), OWNER_LABEL: owner.uid}
        metadata = {
            "name": str(step.change.get("name") or intent.name),
            "namespace": owner.namespace,
            "labels": {**step.change.get("labels", {}), **labels},
            "ownerReferences": [reference],
        }
        return {
            "apiVersion": API_VERSION,
            "kind": self._table.kind,
            "metadata": metadata,
            "spec": dict(step.change.get("spec", {})),
        }

    async def _everything(self) -> list[Thing[LiveObject]]:
        return [_thing(obj) for obj in await self._table.list(OWNER_LABEL)]

    async def _of_owner(self, owner: Owner) -> list[Thing[LiveObject]]:
        return [_thing(obj) for obj in await self._table.list(f"{OWNER_LABEL}={owner.uid}")]

    async def _by_id(self, ref: str) -> Thing[LiveObject] | None:
        namespace, _, name = ref.partition("/")
        obj = await self._table.get(namespace, name)
        return None if obj is None else _thing(obj)


def _thing(obj: Object) -> Thing[LiveObject]:
    meta = obj["metadata"]
    labels = meta.get("labels") or {}
    owners = {row["uid"] for row in meta.get("ownerReferences") or ()}
    owner = labels.get(OWNER_LABEL, "")
    return Thing(
        ref=_ref(obj),
        installation=labels.get(INSTALLATION_LABEL, ""),
        owner=owner if owner in owners else "",  # whoever copies an object copies its labels
        part=labels.get(PART_LABEL, "").replace(".", "/", 1),
        created=meta.get("creationTimestamp", ""),
        healthy=not meta.get("deletionTimestamp"),
        digest=hash(meta.get("resourceVersion")),
        live=LiveObject(obj),
    )


def _label(part: str) -> str:
    """A label's value holds no slash."""
    if "." in part:
        raise Conflict(f"cannot label part {part!r}: its name holds a dot")
    return part.replace("/", ".")


def _ref(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
