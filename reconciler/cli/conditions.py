"""What an object says of itself: its conditions, and the one row of the summary table."""

from __future__ import annotations

from typing import Any

from reconciler.cli.durations import age

Object = dict[str, Any]

SUMMARY = ("NAME", "READY", "REASON", "AGE", "MESSAGE")


def conditions(obj: Object) -> list[Object]:
    """The conditions, Ready first."""
    found = (obj.get("status") or {}).get("conditions") or []
    return sorted((each for each in found if isinstance(each, dict)), key=lambda each: each.get("type") != "Ready")


def condition(obj: Object, type_: str = "Ready") -> Object:
    """One condition; {} if the object does not have it."""
    return next((each for each in conditions(obj) if str(each.get("type", "")).lower() == type_.lower()), {})


def summary(obj: Object, name: str) -> list[str]:
    """NAME READY REASON AGE MESSAGE."""
    ready, meta = condition(obj), obj.get("metadata") or {}
    reason = str(ready.get("reason") or "")
    if meta.get("deletionTimestamp") and not reason:
        reason = "Deleting"
    return [
        name,
        str(ready.get("status") or "Unknown"),
        reason or "Pending",
        age(meta.get("creationTimestamp")),
        str(ready.get("message") or ""),
    ]
