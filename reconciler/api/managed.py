"""Who owns which field: server-side apply, and the managedFields of every other write.

Follows sigs.k8s.io/structured-merge-diff: what an applier no longer applies goes, unless somebody else owns it; what somebody
else owns and an applier would change is a conflict; ownership of a field moves to whoever changed it by another write.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from reconciler.api.fieldset import (
    EMPTY,
    Maybe,
    compare,
    difference,
    fields_of,
    intersection,
    is_valid,
    paths,
    union,
)
from reconciler.api.jsonvalue import Object, clone, clone_object
from reconciler.api.merging import merge, remove
from reconciler.api.objectmeta import root_schema

SYSTEM_METADATA = frozenset({
    "name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "managedFields", "selfLink",
})  # fmt: skip
"""Fields of metadata that nobody owns."""
IDENTITY = frozenset({"name", "namespace", "generateName"})
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_NOTE = 200_000
"""Characters of that annotation; a longer one would break the limit of annotations."""
MAX_UPDATERS = 10
"""Entries of Update writes; beyond them the oldest are joined into one of the manager "ancient-changes"."""


class Conflict(NamedTuple):
    """A field that another manager owns, with another value."""

    manager: str
    path: str
    using: str
    """The API version of the entry; empty for one of another applier."""
    subresource: str = ""

    @property
    def message(self) -> str:
        """As kubectl prints it: `conflict with "kubectl-client-side-apply" using anneal.dev/v1alpha1`."""
        via = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'conflict with "{self.manager}"{via}' + (f" using {self.using}" if self.using else "")


class ApplyConflict(Exception):
    """Others own fields that this apply would change. The API answers 409 with one cause for each."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        self.conflicts = conflicts
        if len(conflicts) == 1:
            text = f"Apply failed with 1 conflict: {conflicts[0].message}: {conflicts[0].path}"
        else:
            by_manager: dict[str, list[str]] = {}
            for conflict in conflicts:
                by_manager.setdefault(conflict.message.replace("conflict", "conflicts", 1), []).append(conflict.path)
            lines = [f"{who}:\n" + "\n".join(f"- {path}" for path in found) for who, found in by_manager.items()]
            text = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
        super().__init__(text)
        self.message = text


def apply(
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    schema: Object,
    now: str,
    api_version: str,
    subresource: str = "",
) -> Object:
    """Merge what a manager applies into the live object and return the result, managedFields included.

    Equal to `live`, times included, when nothing changes. Raises ApplyConflict unless `force`. Neither argument is changed.
    What the server sets itself (uid, resourceVersion, …) is taken from `live`. A status is applied by its subresource only.
    """
    root = root_schema(schema)
    wanted = _appliable(applied, root, subresource)
    mine = _claims(wanted, root)
    base = live or {}
    entries = _entries(base)
    own = next((e for e in entries if _is_applier(e, manager, subresource)), None)
    others = [e for e in entries if e is not own]
    merged: Object = merge(base, wanted, root)
    if own is not None and own["fieldsV1"] != mine:
        keep = mine
        for entry in others:
            keep = union(keep, entry["fieldsV1"])
        remove(merged, own["fieldsV1"], keep or {}, root, top=True)
    changed, removed = compare(_ownable(base), _ownable(merged), root)
    if changed is None and removed is None and own is not None and own["fieldsV1"] == mine:
        return _noted(clone_object(base), applied, manager)
    if not force and (conflicts := _conflicts(others, changed)):
        conflicts = _not_migrating(conflicts, manager, live, root)
        if conflicts:
            raise ApplyConflict(conflicts)
    entry = _entry(manager, "Apply", api_version, now, mine, subresource)
    kept = _give_up(others, changed, removed)
    _store(merged, [*kept, entry] if mine is not None else kept)
    return _noted(merged, applied, manager)


def track(
    old: Object | None,
    new: Object,
    *,
    manager: str,
    schema: Object,
    now: str,
    api_version: str,
    subresource: str = "",
) -> list[Object]:
    """The managedFields of `new` after a create, replace or patch: the writer owns what it changed, and only that.

    A write may set managedFields itself (kubectl does, to move from client-side to server-side apply), but not by a
    subresource; a single empty entry clears them.
    """
    root = root_schema(schema)
    entries = _entries(old or {})
    given = (new.get("metadata") or EMPTY).get("managedFields")
    if given and not subresource and given != entries and type(given) is list:
        if given == [{}]:
            entries = []
        elif all(map(_is_entry, given)):
            entries = given
    changed, removed = compare(_ownable(old or {}), _ownable(new), root)
    if changed is None and removed is None:
        return [clone(entry) for entry in entries]
    kept = _give_up(entries, changed, removed)
    if changed is not None:
        own = next((e for e in kept if _is_updater(e, manager, api_version, subresource)), None)
        fields = union(own["fieldsV1"], changed) if own is not None else changed
        kept = [e for e in kept if e is not own]
        kept.append(_entry(manager, "Update", api_version, now, fields, subresource))
    return [clone(entry) for entry in _capped(kept)]


# --- entries ---------------------------------------------------------------------------------------------------------


def _entries(obj: Object) -> list[Object]:
    found = (obj.get("metadata") or EMPTY).get("managedFields") or []
    return [entry for entry in found if type(entry.get("fieldsV1")) is dict]


def _is_entry(entry: Any) -> bool:
    """Whether what a client sent is an entry; Kubernetes too passes over what it cannot read."""
    return (
        type(entry) is dict
        and entry.get("operation") in ("Apply", "Update")
        and all(type(entry.get(name)) is str for name in ("manager", "apiVersion"))
        and all(type(entry.get(name, "")) is str for name in ("subresource", "time"))
        and is_valid(entry.get("fieldsV1"))
    )


def _is_applier(entry: Object, manager: str, subresource: str) -> bool:
    return entry.get("operation") == "Apply" and entry.get("manager") == manager and entry.get("subresource", "") == subresource


def _is_updater(entry: Object, manager: str, api_version: str, subresource: str) -> bool:
    return (
        entry.get("operation") == "Update"
        and entry.get("manager") == manager
        and entry.get("apiVersion") == api_version
        and entry.get("subresource", "") == subresource
    )


def _entry(manager: str, operation: str, api_version: str, now: str, fields: Maybe, subresource: str) -> Object:
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields or {},
    }
    return {**entry, "subresource": subresource} if subresource else entry


def _store(obj: Object, entries: list[Object]) -> None:
    obj.setdefault("metadata", {})["managedFields"] = [clone(entry) for entry in _capped(entries)]


def _give_up(entries: list[Object], changed: Maybe, removed: Maybe) -> list[Object]:
    """Managers lose what somebody else changed and what is gone; who has nothing left is left out."""
    kept = []
    for entry in entries:
        fields = difference(difference(entry["fieldsV1"], changed), removed)
        if fields:
            kept.append(entry if fields == entry["fieldsV1"] else {**entry, "fieldsV1": fields})
    return kept


def _capped(entries: list[Object]) -> list[Object]:
    updaters = [e for e in entries if e.get("operation") == "Update"]
    if len(updaters) <= MAX_UPDATERS:
        return entries
    oldest = sorted(updaters, key=lambda e: str(e.get("time", "")))[: len(updaters) - MAX_UPDATERS + 1]
    fields: Maybe = None
    for entry in oldest:
        fields = union(fields, entry["fieldsV1"])
    joined = _entry("ancient-changes", "Update", oldest[-1]["apiVersion"], oldest[-1].get("time", ""), fields, "")
    return [joined, *(e for e in entries if not any(e is old for old in oldest))]


# --- conflicts -------------------------------------------------------------------------------------------------------


def _conflicts(others: list[Object], changed: Maybe) -> list[Conflict]:
    found = []
    for entry in others:
        using = entry.get("apiVersion", "") if entry.get("operation") == "Update" else ""
        both = intersection(entry["fieldsV1"], changed)
        found += [Conflict(entry["manager"], path, using, entry.get("subresource", "")) for path in paths(both)]
    return found


def _not_migrating(conflicts: list[Conflict], manager: str, live: Object | None, root: Object) -> list[Conflict]:
    """kubectl may take over what kubectl itself applied client-side: the fields of its annotation that still have that value."""
    annotation = ((live or EMPTY).get("metadata") or EMPTY).get("annotations", EMPTY).get(LAST_APPLIED)
    if manager != "kubectl" or not annotation:
        return conflicts
    try:
        last = orjson.loads(annotation)
    except ValueError:
        return conflicts
    if type(last) is not dict:
        return conflicts
    last = _ownable(last)
    changed, removed = compare(last, _ownable(live or {}), root)
    allowed = frozenset(paths(difference(difference(fields_of(last, root), changed), removed)))
    return [conflict for conflict in conflicts if conflict.path not in allowed]


def _noted(merged: Object, applied: Object, manager: str) -> Object:
    """Where kubectl once applied client-side, its annotation keeps up: or going back would undo what was applied since."""
    annotations = (merged.get("metadata") or EMPTY).get("annotations") or EMPTY
    if manager != "kubectl" or LAST_APPLIED not in annotations:
        return merged
    metadata = {name: value for name, value in (applied.get("metadata") or EMPTY).items() if name != "managedFields"}
    if own := metadata.get("annotations"):
        metadata["annotations"] = {name: value for name, value in own.items() if name != LAST_APPLIED}
    note = orjson.dumps({**applied, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    if len(note) <= MAX_NOTE:
        annotations[LAST_APPLIED] = note
    else:
        del annotations[LAST_APPLIED]
    return merged


# --- values ----------------------------------------------------------------------------------------------------------


def _appliable(applied: Object, root: Object, subresource: str) -> Object:
    """What of the applied object is for this endpoint: no nulls, nothing that the server sets, status by its subresource."""
    wanted: Object = {k: _no_nulls(v) for k, v in applied.items() if v is not None}
    metadata = wanted.get("metadata") or {}
    if subresource:
        wanted = {k: v for k, v in wanted.items() if k in ("apiVersion", "kind", subresource)}
        metadata = {k: v for k, v in metadata.items() if k in IDENTITY}
    elif "status" in root["properties"]:
        wanted.pop("status", None)
    wanted["metadata"] = {k: v for k, v in metadata.items() if k in IDENTITY or k not in SYSTEM_METADATA}
    return wanted


def _no_nulls(value: Any) -> Any:
    if type(value) is dict:
        return {key: _no_nulls(item) for key, item in value.items() if item is not None}
    return [_no_nulls(item) for item in value] if type(value) is list else value


def _ownable(obj: Object) -> Object:
    """The object without what nobody owns."""
    slim = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = {key: value for key, value in (obj.get("metadata") or EMPTY).items() if key not in SYSTEM_METADATA}
    slim["metadata"] = metadata
    return slim


def _claims(wanted: Object, root: Object) -> Maybe:
    fields = fields_of(_ownable(wanted), root)
    if not fields.get("f:metadata"):
        fields.pop("f:metadata", None)
    return fields or None
