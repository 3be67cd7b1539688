"""Laying an applied value over a live one, and taking out what is applied no more."""

from __future__ import annotations

from typing import Any

from reconciler.api.fieldset import EMPTY, FieldSet, atomic, child_schema, item_key, keyed
from reconciler.api.jsonvalue import Object, clone


def merge(live: Any, wanted: Any, schema: Object) -> Any:
    """`wanted` laid over `live`: maps join, list maps and sets join item by item, everything else is replaced."""
    if type(live) is not type(wanted) or atomic(wanted, schema):
        return clone(wanted)
    if type(wanted) is dict:
        merged = {key: value if key in wanted else clone(value) for key, value in live.items()}
        for key, value in wanted.items():
            merged[key] = merge(live[key], value, child_schema(schema, key)) if key in live else clone(value)
        return merged
    return _merge_items(live, wanted, schema)


def _merge_items(live: list[Any], wanted: list[Any], schema: Object) -> list[Any]:
    """Items stand in the order of `wanted`; those that only `live` has keep their place between them."""
    before, after = keyed(live, schema), keyed(wanted, schema)
    if before is None or after is None:
        return clone(wanted)  # type: ignore[no-any-return]
    merged: list[Any] = []
    done: set[str] = set()
    rest = iter([*before.items(), ("", None)])
    name, item = next(rest)

    def take_over() -> None:
        """Pass on what only `live` has, up to the next item that both have and that is yet to come."""
        nonlocal name, item
        while name and (name in done or name not in after):
            if name not in after:
                merged.append(clone(item))
            name, item = next(rest)

    for key, value in after.items():
        take_over()
        merged.append(merge(before[key], value, schema.get("items") or EMPTY) if key in before else clone(value))
        done.add(key)
    take_over()
    return merged


def remove(value: Any, last: FieldSet, keep: FieldSet, schema: Object, *, top: bool = False) -> None:
    """Take out, in place, what was applied before (`last`) and nobody owns now (`keep`)."""
    if type(value) is dict:
        for name, before in last.items():
            key = name[2:]
            if not name.startswith("f:") or key not in value:
                continue
            kept = keep.get(name)
            if kept is None and not (top and key == "metadata"):
                del value[key]
            elif before:
                remove(value[key], before, kept or {}, child_schema(schema, key))
    elif type(value) is list and not atomic(value, schema) and keyed(value, schema) is not None:
        gone = {name for name in last if name != "." and name not in keep}
        value[:] = [item for item in value if item_key(item, schema) not in gone]
        for item in value:
            if deeper := last.get(name := item_key(item, schema) or ""):
                remove(item, deeper, keep.get(name) or {}, schema.get("items") or EMPTY)
