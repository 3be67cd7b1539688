"""The scale subresource: `spec.replicas` of any kind that has it, as an autoscaling/v1 Scale. Pure.

`kubectl scale`, `anneal scale` and autoscalers read and write this, and need to know nothing else of a kind.
"""

from __future__ import annotations

from typing import Any, cast

from reconciler.api import errors
from reconciler.api.jsonvalue import clone_object
from reconciler.api.patches import json_patch, merge_patch
from reconciler.api.resources import ResourceType
from reconciler.api.validation import Cause

Object = dict[str, Any]
API_VERSION, KIND = "autoscaling/v1", "Scale"
KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
PATCHES = ("application/json-patch+json", "application/merge-patch+json")


def scale_of(obj: Object) -> Object:
    """What a GET of the subresource answers."""
    meta = {name: obj["metadata"][name] for name in KEPT if name in obj["metadata"]}
    replicas = {"spec": obj.get("spec") or {}, "status": obj.get("status") or {}}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": meta,
        "spec": {"replicas": replicas["spec"].get("replicas") or 0},
        "status": {"replicas": replicas["status"].get("replicas") or 0},
    }


def patched(rtype: ResourceType, obj: Object, body: Any, kind: str) -> Object:
    """The object with the replicas that a patch of its Scale asks for. PatchError or ApiError if it makes no sense."""
    match kind:
        case "merge":
            return replaced(rtype, obj, merge_patch(scale_of(obj), body))
        case "json":
            return replaced(rtype, obj, json_patch(scale_of(obj), body))
    raise errors.unsupported(f"a {kind} patch of a Scale", PATCHES)


def replaced(rtype: ResourceType, obj: Object, scale: Object) -> Object:
    """The object with the replicas of this Scale, and its resourceVersion and UID if it names them: others then conflict."""
    name = obj["metadata"]["name"]
    for field, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if scale.get(field, wanted) != wanted:
            raise errors.bad_request(
                f"the {field} of the provided object ({scale[field]!s:.80}) is not that of a Scale ({wanted})"
            )
    spec = scale.get("spec")
    count = spec.get("replicas") if isinstance(spec, dict) else None
    if type(count) is not int:
        why = "Required value" if count is None else f"Invalid value: {str(count)[:40]!r}: must be a whole number"
        raise errors.invalid(rtype, name, [Cause("FieldValueInvalid", why, "spec.replicas")])
    meta = scale.get("metadata")
    changed = clone_object(obj)
    named = {key: meta[key] for key in ("name", "uid", "resourceVersion") if meta.get(key)} if isinstance(meta, dict) else {}
    changed["metadata"] |= named
    changed["spec"] = {**cast(Object, changed.get("spec") or {}), "replicas": count}
    return changed
