"""metav1.Table: what `kubectl get` prints. The server makes the cells, so every client shows the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from reconciler.api.jsonpath import JsonPathError, compile_path
from reconciler.api.jsonvalue import Object
from specs.meta import Column

Include = Literal["Metadata", "Object", "None"]
Cell = Callable[[Object, datetime], Any]

UNKNOWN = "<unknown>"
NAME = Column(
    "Name",
    "string",
    ".metadata.name",
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to "
    "request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and "
    "configuration definition. Cannot be updated.",
)
AGE = Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created")


class ComputedColumn(NamedTuple):
    """A column of a built-in kind whose cell is no field, such as the number of keys of a ConfigMap."""

    name: str
    type: Literal["string", "integer", "date"]
    cell: Cell
    description: str
    priority: int = 0


AnyColumn = Column | ComputedColumn


def duration(seconds: float) -> str:
    """A length of time as kubectl prints it: 45s, 2m30s, 5h, 3d4h, 2y10d. Two seconds of clock skew are forgiven."""
    total = int(seconds)
    minutes, hours = total // 60, total // 3600
    if total <= -2:
        return "<invalid>"
    if total < 120:
        return f"{max(total, 0)}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(major: int, unit: str, minor: int, minor_unit: str) -> str:
    return f"{major}{unit}{minor}{minor_unit}" if minor else f"{major}{unit}"


def age(timestamp: Any, now: datetime) -> str:
    """The time since an RFC 3339 timestamp; `<unknown>` where there is none."""
    if not timestamp or type(timestamp) is not str:
        return UNKNOWN
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<invalid>"
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return duration((now - then).total_seconds())


def table(
    columns: Sequence[AnyColumn],
    objects: Iterable[Object],
    *,
    include: Include = "Metadata",
    resource_version: str,
    continue_: str = "",
    remaining: int | None = None,
    now: datetime,
) -> Object:
    """A meta.k8s.io/v1 Table of the objects; `columns` come from `columns_of`. The rows hold the objects themselves, no copies.

    `include` says what goes with each row: its metadata, the whole object, or nothing.
    """
    cells = [_cell(column) for column in columns]
    metadata: Object = {"resourceVersion": resource_version}
    if continue_:
        metadata["continue"] = continue_
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": _definitions(tuple(columns)),
        "rows": [_row(obj, cells, include, now) for obj in objects],
    }


def _row(obj: Object, cells: list[Cell], include: Include, now: datetime) -> Object:
    row: Object = {"cells": [cell(obj, now) for cell in cells]}
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj.get("metadata", {})}
    return row


@lru_cache(maxsize=128)
def _definitions(columns: tuple[AnyColumn, ...]) -> list[Object]:
    return [
        {
            "name": column.name,
            "type": "string" if isinstance(column, ComputedColumn) and column.type == "date" else column.type,
            "format": "name" if column is NAME else "",
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns
    ]


@lru_cache(maxsize=512)
def _cell(column: AnyColumn) -> Cell:
    if isinstance(column, ComputedColumn):
        return column.cell
    try:
        find = compile_path(column.json_path)
    except JsonPathError:
        return lambda obj, now: None
    if column.type == "date":
        return lambda obj, now: age((find(obj) or (None,))[0], now)
    if column.type == "string":
        return lambda obj, now: _text(find(obj))
    wanted = {"integer": int, "number": (int, float), "boolean": bool}[column.type]

    def typed(obj: Object, now: datetime) -> Any:
        value = (find(obj) or (None,))[0]
        fits = isinstance(value, wanted) and (column.type == "boolean" or not isinstance(value, bool))  # type: ignore[arg-type]
        return value if fits else None

    return typed


def _text(found: list[Any]) -> str | None:
    if not found:
        return None
    if len(found) == 1 and type(found[0]) is str:
        return found[0]
    return " ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in found if value is not None)


# --- the built-in kinds ----------------------------------------------------------------------------------------------


def _at(obj: Object, *path: str) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if type(value) is dict else None
    return value


def _count(*fields: str) -> Cell:
    return lambda obj, now: sum(len(obj.get(field) or ()) for field in fields)


def _since(*paths: tuple[str, ...]) -> Cell:
    return lambda obj, now: age(next((found for path in paths if (found := _at(obj, *path))), None), now)


def _event_object(obj: Object, now: datetime) -> str:
    kind, name = _at(obj, "involvedObject", "kind") or "", _at(obj, "involvedObject", "name") or ""
    return f"{kind.lower()}/{name}"


def _event_source(obj: Object, now: datetime) -> str:
    component = _at(obj, "source", "component") or obj.get("reportingComponent") or ""
    host = _at(obj, "source", "host") or obj.get("reportingInstance") or ""
    return f"{component}, {host}" if component and host else component


def _event_count(obj: Object, now: datetime) -> int:
    return int(_at(obj, "series", "count") or obj.get("count") or 1)


BUILT_IN: dict[tuple[str, str], tuple[AnyColumn, ...]] = {
    ("", "Namespace"): (Column("Status", "string", ".status.phase", "Active, or Terminating"), AGE),
    ("", "ConfigMap"): (ComputedColumn("Data", "string", _count("data", "binaryData"), "Number of keys"), AGE),
    ("", "Secret"): (
        Column("Type", "string", ".type", "What it is for"),
        ComputedColumn("Data", "string", _count("data"), "Number of keys"),
        AGE,
    ),
    ("", "Event"): (
        ComputedColumn(
            "Last Seen", "string",
            _since(("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp")),
            "Time since it last happened",
        ),
        Column("Type", "string", ".type", "Normal or Warning"),
        Column("Reason", "string", ".reason", "Why, in one word"),
        ComputedColumn("Object", "string", _event_object, "The object it happened to"),
        Column("Subobject", "string", ".involvedObject.fieldPath", "Which part of it", 1),
        ComputedColumn("Source", "string", _event_source, "Who says it", 1),
        Column("Message", "string", ".message", "What happened"),
        ComputedColumn(
            "First Seen", "string", _since(("firstTimestamp",), ("eventTime",), ("metadata", "creationTimestamp")),
            "Time since it first happened", 1,
        ),
        ComputedColumn("Count", "integer", _event_count, "How often it happened", 1),
        Column("Name", "string", ".metadata.name", "Name of the event", 1),
    ),
    ("coordination.k8s.io", "Lease"): (Column("Holder", "string", ".spec.holderIdentity", "Who holds it"), AGE),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        Column("Created At", "string", ".metadata.creationTimestamp", "When it was created"),
    ),
}  # fmt: skip


def columns_of(group: str, kind: str, printer_columns: Sequence[Column] = ()) -> tuple[AnyColumn, ...]:
    """The columns of a kind: its own for a built-in one; else Name and the additional printer columns, or Name and Age."""
    if not printer_columns and (group, kind) == ("", "Event"):
        return BUILT_IN[group, kind]
    return (NAME, *(tuple(printer_columns) or BUILT_IN.get((group, kind), (AGE,))))
