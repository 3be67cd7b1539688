"""What a deletion does to an object: gone at once, or marked and kept until its finalizers are done. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from reconciler.api import errors
from reconciler.api.resources import NAMESPACE, ResourceType

Object = dict[str, Any]
Propagation = Literal["Background", "Foreground", "Orphan"]

FOREGROUND = "foregroundDeletion"
"""The finalizer that keeps an object until those that block its deletion are gone."""
ORPHAN = "orphan"
"""The finalizer that keeps an object until its dependents have forgotten it."""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """metav1.DeleteOptions."""

    propagation: Propagation | None = None
    """None: Background."""
    uid: str | None = None
    """Only the object of this UID."""
    resource_version: str | None = None
    """Only at this version."""
    dry_run: bool = False


def read_options(body: Object, query: dict[str, str]) -> DeleteOptions:
    """From the body of a DELETE, or else its query. ApiError 400 for what cannot be meant."""
    policy: Any = body.get("propagationPolicy") or query.get("propagationPolicy") or None
    orphan = body.get("orphanDependents", query.get("orphanDependents"))
    if policy is None and orphan is not None:
        policy = "Orphan" if orphan in (True, "true", "True", "1") else "Background"
    if policy not in (None, "Background", "Foreground", "Orphan"):
        raise errors.bad_request(
            f'propagationPolicy "{str(policy)[:40]}": supported values: "Background", "Foreground", "Orphan"'
        )
    dry_run = body.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
    if dry_run not in ([], ["All"]):
        raise errors.bad_request('dryRun: supported values: "All"')
    conditions = body.get("preconditions") or {}
    return DeleteOptions(policy, conditions.get("uid"), conditions.get("resourceVersion"), bool(dry_run))


def check_preconditions(rtype: ResourceType, meta: Object, options: DeleteOptions) -> None:
    """ApiError 409 unless it is the very object that was meant."""
    for what, wanted, actual in (
        ("UID", options.uid, meta["uid"]),
        ("ResourceVersion", options.resource_version, meta["resourceVersion"]),
    ):
        if wanted is not None and wanted != actual:
            why = f"Precondition failed: {what} in precondition: {wanted!s:.80}, {what} in object meta: {actual}"
            raise errors.conflict(rtype, meta["name"], why)


def mark(rtype: ResourceType, obj: Object, options: DeleteOptions, now: str) -> Object:
    """The object with its deletion asked for; the same object if that changes nothing."""
    meta = dict(obj["metadata"])
    finalizers = list(meta.get("finalizers") or ())
    if options.propagation is not None:
        finalizers = [name for name in finalizers if name not in (FOREGROUND, ORPHAN)]
        finalizers += {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(options.propagation, [])
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    if not meta.get("deletionTimestamp") and (finalizers or rtype is NAMESPACE):
        meta |= {"deletionTimestamp": now, "deletionGracePeriodSeconds": 0}
    if meta == obj["metadata"] and not is_done(rtype, obj):
        return obj
    marked = {**obj, "metadata": meta}
    if rtype is NAMESPACE:
        marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return marked


def is_done(rtype: ResourceType, obj: Object) -> bool:
    """Whether nothing keeps an object whose deletion was asked for. A namespace is kept by its content as well."""
    return not obj["metadata"].get("finalizers") and rtype is not NAMESPACE
