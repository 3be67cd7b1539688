"""A kind with every sort of field, and who applies and updates it: for tests of who owns which field."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from reconciler.api.fieldset import paths
from reconciler.api.managed import apply, track

TEXT = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "a": TEXT,
                "b": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}},
                "m": {"type": "object", "additionalProperties": TEXT},
                "whole": {"type": "array", "items": TEXT},
                "closed": {"type": "object", "additionalProperties": TEXT, "x-kubernetes-map-type": "atomic"},
                "tags": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
                "items": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": TEXT, "v": TEXT, "w": TEXT}},
                },
                "loose": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "note": TEXT,
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": {"type": "object", "properties": {"type": TEXT, "status": TEXT}},
                },
            },
        },
    },
}
API = "anneal.dev/v1alpha1"


def thing(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "Thing", "metadata": {"name": "t", **metadata}, **({} if spec is None else {"spec": spec})}


def do_apply(live, applied, manager="alice", *, force=False, now="t1", subresource=""):
    return apply(live, applied, manager=manager, force=force, schema=SCHEMA, now=now, api_version=API, subresource=subresource)


def do_update(live, new, manager="bob", *, now="t1", subresource=""):
    new = deepcopy(new)
    entries = track(live, new, manager=manager, schema=SCHEMA, now=now, api_version=API, subresource=subresource)
    new["metadata"]["managedFields"] = entries
    return new


def owned(obj, manager, operation="Apply") -> set[str]:
    return {
        path
        for entry in obj["metadata"]["managedFields"]
        if (entry["manager"], entry["operation"]) == (manager, operation)
        for path in paths(entry["fieldsV1"])
    }
