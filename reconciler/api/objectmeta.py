"""The schema of metadata, which every kind shares: a CRD leaves it out, the server knows it."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def _text(description: str) -> Object:
    return {"type": "string", "description": description}


def _time(description: str) -> Object:
    return {"type": "string", "format": "date-time", "description": description}


def _count(description: str) -> Object:
    return {"type": "integer", "format": "int64", "description": description}


OWNER_REFERENCE: Object = {
    "type": "object",
    "description": "An object without which this one is garbage.",
    "required": ["apiVersion", "kind", "name", "uid"],
    "x-kubernetes-map-type": "atomic",
    "properties": {
        "apiVersion": _text("API version of the owner."),
        "kind": _text("Kind of the owner."),
        "name": _text("Name of the owner, in the same namespace."),
        "uid": _text("UID of the owner. A namesake with another UID is somebody else."),
        "controller": {"type": "boolean", "description": "True if the owner is the managing controller."},
        "blockOwnerDeletion": {
            "type": "boolean",
            "description": "True if a foreground deletion of the owner waits for this object.",
        },
    },
}
MANAGED_FIELDS_ENTRY: Object = {
    "type": "object",
    "description": "Which fields one manager set, with one operation.",
    "properties": {
        "manager": _text("The name of the manager."),
        "operation": _text("Apply or Update."),
        "apiVersion": _text("The API version that the paths are of."),
        "time": _time("When the entry last changed."),
        "fieldsType": _text('"FieldsV1".'),
        "fieldsV1": {
            "type": "object",
            "description": "The paths, as a tree.",
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "subresource": _text("The subresource that was written, or empty."),
    },
}
OBJECT_META: Object = {
    "type": "object",
    "description": "Name, namespace, labels, annotations, owners. What is not for the user to set is set by the server.",
    "properties": {
        "name": _text("Unique within the namespace. Cannot be changed."),
        "generateName": _text("A prefix from which the server makes a unique name."),
        "namespace": _text('The namespace; "default" where none is given. Cannot be changed.'),
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Short key-value pairs that select objects.",
        },
        "annotations": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Key-value pairs for tools and people.",
        },
        "finalizers": {
            "type": "array",
            "items": {"type": "string"},
            "x-kubernetes-list-type": "set",
            "x-kubernetes-patch-strategy": "merge",
            "description": "The object stays, marked as deleting, until this list is empty.",
        },
        "ownerReferences": {
            "type": "array",
            "items": OWNER_REFERENCE,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "x-kubernetes-patch-strategy": "merge",
            "x-kubernetes-patch-merge-key": "uid",
            "description": "The objects without which this one is garbage.",
        },
        "uid": _text("Set by the server: unique in space and time."),
        "resourceVersion": _text("Set by the server: opaque, changes with every write."),
        "generation": _count("Set by the server: counts the changes of spec."),
        "creationTimestamp": _time("Set by the server."),
        "deletionTimestamp": _time("Set by the server when deletion was asked for."),
        "deletionGracePeriodSeconds": _count("Set by the server."),
        "managedFields": {
            "type": "array",
            "items": MANAGED_FIELDS_ENTRY,
            "x-kubernetes-list-type": "atomic",
            "description": "Set by the server: who set which field.",
        },
        "selfLink": _text("Not used any more."),
    },
}

_roots: dict[int, tuple[Object, Object]] = {}


def root_schema(schema: Object) -> Object:
    """The schema of a whole object, with apiVersion, kind and metadata as the server knows them. Cached; do not change it.

    A schema that says nothing of any field (`{}`) allows them all.
    """
    if found := _roots.get(id(schema)):
        return found[1]
    properties = schema.get("properties") or {}
    root = {
        **schema,
        "type": "object",
        "properties": {
            "apiVersion": _text("Group and version."),
            "kind": _text("The kind."),
            **properties,
            "metadata": OBJECT_META,
        },
    }
    if not properties and "additionalProperties" not in schema and "type" not in schema:
        root["x-kubernetes-preserve-unknown-fields"] = True
    if len(_roots) > 256:
        _roots.clear()
    _roots[id(schema)] = (schema, root)  # holding the schema keeps its id from being given to another
    return root
