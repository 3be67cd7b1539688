"""`anneal why`: walk from an object along what it needs and what it owns, down to the deepest condition that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.client import Client, Object, ResourceId, ours
from reconciler.engine.kind import Key, Kind
from specs.kinds import BY_PLURAL
from specs.meta import Reason

DEPTH = 8

NEXT = {
    "True": "nothing to do: it is ready",
    "Progressing": "anneal goes on by itself; this page changes as it does",
    "Waiting": "nothing more happens by itself: see the runbook for what you can do",
}


@dataclass(slots=True)
class Node:
    """One object on the way down, with the condition that says most."""

    depth: int
    kind: str
    namespace: str
    name: str
    condition: dict[str, str]
    progressing: bool
    children: list[Node] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Whether this object is not as it should be."""
        return self.condition["status"] != "True"

    def as_json(self) -> dict[str, Any]:
        """What goes over the wire."""
        return {
            "depth": self.depth,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "condition": self.condition,
        }


async def why(client: Client, kinds: Mapping[str, Kind[Any]], key: Key) -> dict[str, Any] | None:
    """The chain from the object to its deepest failing cause; None if there is no such object."""
    obj = await client.get(ours(key.plural), key.namespace, key.name)
    if obj is None:
        return None
    everything = {plural: (await client.list(ours(plural)))[0] for plural in kinds}
    root = await _node(client, kinds, everything, key, obj, 0, set())
    chain = [root]
    while failing := [child for child in chain[-1].children if child.fails]:
        chain.append(failing[0])
    last = chain[-1]
    hint = "True" if not last.fails else "Progressing" if last.progressing else "Waiting"
    reason = last.condition["reason"]
    return {
        "nodes": [node.as_json() for node in chain],
        "next": NEXT[hint],
        "runbook": f"docs/runbooks/{reason}.md" if reason in set(Reason) else None,
    }


async def _node(
    client: Client,
    kinds: Mapping[str, Kind[Any]],
    everything: Mapping[str, list[Object]],
    key: Key,
    obj: Object,
    depth: int,
    visited: set[Key],
) -> Node:
    visited.add(key)
    node = Node(depth, obj["kind"], key.namespace, key.name, _condition(obj), _progresses(obj))
    if depth >= DEPTH:
        return node
    for child_key, child in _owned(everything, obj):
        if child_key not in visited:
            node.children.append(await _node(client, kinds, everything, child_key, child, depth + 1, visited))
    try:
        references = list(kinds[key.plural].references(BY_PLURAL[key.plural].parse(obj)))
    except ValueError:  # the stored object does not validate: its own condition says so
        references = []
    for resource, namespace, name in references:
        target = await client.get(resource, namespace, name)
        child_key = Key(resource.plural, namespace, name)
        if target is None:
            node.children.append(Node(depth + 1, _title(resource), namespace, name, _missing(name), False))
        elif resource.plural in kinds and child_key not in visited:
            node.children.append(await _node(client, kinds, everything, child_key, target, depth + 1, visited))
    return node


def _owned(everything: Mapping[str, list[Object]], owner: Object) -> list[tuple[Key, Object]]:
    uid = owner["metadata"]["uid"]
    return [
        (Key(plural, obj["metadata"]["namespace"], obj["metadata"]["name"]), obj)
        for plural, objects in everything.items()
        for obj in objects
        if any(ref.get("uid") == uid for ref in obj["metadata"].get("ownerReferences") or ())
    ]


def _condition(obj: Object) -> dict[str, str]:
    rows = {row["type"]: row for row in (obj.get("status") or {}).get("conditions") or ()}
    row = rows.get("Deleting") if obj["metadata"].get("deletionTimestamp") else None
    if rows.get("Paused", {}).get("status") == "True":  # what it was when it was paused says nothing of now
        row = rows.get("Progressing")
    row = row or rows.get("Ready")
    if row is None:
        return {"type": "Ready", "status": "Unknown", "reason": str(Reason.PENDING), "message": "not looked at yet"}
    return {field: row.get(field, "") for field in ("type", "status", "reason", "message")}


def _progresses(obj: Object) -> bool:
    rows = (obj.get("status") or {}).get("conditions") or ()
    return any(row["type"] == "Progressing" and row["status"] == "True" for row in rows)


def _missing(name: str) -> dict[str, str]:
    message = f'there is no "{name}"; create it'
    return {"type": "Exists", "status": "False", "reason": str(Reason.DEPENDENCY_NOT_FOUND), "message": message}


def _title(resource: ResourceId) -> str:
    return (
        BY_PLURAL[resource.plural].names.kind if resource.plural in BY_PLURAL else resource.plural.removesuffix("s").capitalize()
    )
