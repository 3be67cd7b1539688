"""The rules of metadata that hold for every kind: syntax of labels, annotations and finalizers, and what only the server sets."""

from __future__ import annotations

import re
import secrets
from typing import Any

from reconciler.api.resources import ResourceType
from reconciler.api.validation import Cause

Object = dict[str, Any]

SERVER_SET = (
    "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion",
)  # fmt: skip
"""What a user's write never changes."""
MAX_ANNOTATIONS = 262_144
MAX_NAME = 63

_PART = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)\Z")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes': no vowels, no words


def generated_name(prefix: str) -> str:
    """A name that begins with `prefix`, made as Kubernetes makes them."""
    return prefix[: MAX_NAME - 5] + "".join(secrets.choice(_ALPHABET) for _ in range(5))


def is_qualified_name(text: str) -> bool:
    """Whether it may be a label's key, a finalizer's name: `name` or `dns.prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    return bool(_PART.match(name)) and (not slash or (len(prefix) <= 253 and bool(_PREFIX.match(prefix))))


def malformed(obj: Object) -> str | None:
    """What of the metadata is of the wrong type, so that nothing else can be said of it; None if all is well."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        return "metadata must be a map"
    for field, wanted in _TYPES.items():
        value = meta.get(field)
        if value is not None and not isinstance(value, wanted):
            return f"metadata.{field} must be a {_WORDS[wanted]}"
    for field, inner in (("finalizers", str), ("ownerReferences", dict), ("managedFields", dict)):
        if not all(isinstance(item, inner) for item in meta.get(field) or ()):
            return f"metadata.{field} must be a list of {_WORDS[inner]}s"
    return None


_TYPES: dict[str, type] = {
    "name": str, "generateName": str, "namespace": str, "uid": str, "resourceVersion": str,
    "labels": dict, "annotations": dict, "finalizers": list, "ownerReferences": list, "managedFields": list,
}  # fmt: skip
_WORDS: dict[type, str] = {str: "string", dict: "map", list: "list"}


def check(metadata: Object, old: Object | None = None) -> list[Cause]:
    """What is wrong with labels, annotations, finalizers and owners; what did not change since `old` is not looked at again."""
    causes: list[Cause] = []
    before = old or {}
    for field, test in (
        ("labels", _labels),
        ("annotations", _annotations),
        ("finalizers", _finalizers),
        ("ownerReferences", _owners),
    ):
        value = metadata.get(field)
        if value and value != before.get(field):
            causes += test(value)
    return causes


def _labels(labels: Any) -> list[Cause]:
    if not isinstance(labels, dict):
        return []  # the model says so
    causes = [_bad("metadata.labels", key, "is no valid label key") for key in labels if not is_qualified_name(key)]
    causes += [
        _bad(
            "metadata.labels",
            value,
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'",
        )
        for value in labels.values()
        if isinstance(value, str) and value and not _PART.match(value)
    ]
    return causes


def _annotations(annotations: Any) -> list[Cause]:
    if not isinstance(annotations, dict):
        return []
    causes = [
        _bad("metadata.annotations", key, "is no valid annotation key")
        for key in annotations
        if not is_qualified_name(key.lower())
    ]
    total = sum(len(key) + len(value) for key, value in annotations.items() if isinstance(value, str))
    if total > MAX_ANNOTATIONS:
        text = f"Too long: may not be more than {MAX_ANNOTATIONS} bytes"
        causes.append(Cause("FieldValueTooLong", text, "metadata.annotations"))
    return causes


def _finalizers(finalizers: Any) -> list[Cause]:
    if not isinstance(finalizers, list):
        return []
    return [
        _bad("metadata.finalizers", name, "is no valid finalizer name")
        for name in finalizers
        if isinstance(name, str) and not is_qualified_name(name)
    ]


def _owners(owners: Any) -> list[Cause]:
    if not isinstance(owners, list):
        return []
    controllers = [owner.get("name") for owner in owners if isinstance(owner, dict) and owner.get("controller")]
    if len(controllers) > 1:
        return [_bad("metadata.ownerReferences", "controller", "Only one reference can have Controller set to true")]
    return []


def _bad(field: str, value: str, why: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "{value[:64]}": {why}', field)


def late_finalizers(rtype: ResourceType, old: Object, new: Object) -> list[Cause]:
    """Finalizers that were added to an object that is already going."""
    if not old.get("deletionTimestamp"):
        return []
    added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
    if not added:
        return []
    text = f"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added}"
    return [Cause("FieldValueForbidden", text, "metadata.finalizers")]


def keep_server_set(old: Object, new: Object) -> None:
    """Give `new`, in place, what only the server sets."""
    for field in (*SERVER_SET, "name", "namespace"):
        if field in old:
            new[field] = old[field]
        else:
            new.pop(field, None)
    new.pop("selfLink", None)
