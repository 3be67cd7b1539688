"""Sets of field paths, as managedFields stores them (fieldsV1), after sigs.k8s.io/structured-merge-diff.

A set is a tree of maps. Keys are `f:<name>` for a field, `k:<json of the key fields>` for an item of a list map, `v:<json>` for
an item of a list set. A path is a member of the set if its node is empty or holds `"."`. `None` is the empty set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from reconciler.api.jsonvalue import MAX_DEPTH, Object, same

FieldSet = dict[str, Any]
Maybe = FieldSet | None
EMPTY: Object = {}


# --- algebra ---------------------------------------------------------------------------------------------------------


def _node(member: bool, children: FieldSet) -> Maybe:
    if not children:
        return {} if member else None
    if member:
        children["."] = {}
    return children


def _member(node: FieldSet) -> bool:
    return not node or "." in node


def union(left: Maybe, right: Maybe) -> Maybe:
    """The paths in either."""
    if left is None or right is None:
        return right if left is None else left
    children = {key: child for key, child in left.items() if key != "."}
    for key, child in right.items():
        if key != ".":
            children[key] = union(children.get(key), child)
    return _node(_member(left) or _member(right), children)


def difference(left: Maybe, right: Maybe) -> Maybe:
    """The paths in `left` that are not in `right`."""
    if left is None or right is None:
        return left
    children = {}
    for key, child in left.items():
        if key != "." and (rest := difference(child, right.get(key))) is not None:
            children[key] = rest
    return _node(_member(left) and not _member(right), children)


def intersection(left: Maybe, right: Maybe) -> Maybe:
    """The paths in both."""
    if left is None or right is None:
        return None
    children = {}
    for key, child in left.items():
        if key != "." and (both := intersection(child, right.get(key))) is not None:
            children[key] = both
    return _node(_member(left) and _member(right), children)


def is_valid(node: Any, depth: int = 0) -> bool:
    """Whether a JSON value, sent by a client, is a set of field paths."""
    if type(node) is not dict or depth > MAX_DEPTH:
        return False
    for key, child in node.items():
        kind, _, text = key.partition(":")
        if not is_valid(child, depth + 1) or (key != "." and kind not in ("f", "k", "v")):
            return False
        if kind in ("k", "v"):
            try:
                value = orjson.loads(text)
            except ValueError:
                return False
            if kind == "k" and type(value) is not dict:
                return False
    return True


def paths(node: Maybe, prefix: str = "") -> Iterator[str]:
    """The members as conflicts name them: `.spec.ports[name="a"].network`."""
    if node is None:
        return
    if prefix and _member(node):
        yield prefix
    for key, child in node.items():
        if key != ".":
            yield from paths(child, prefix + _element(key))


def _element(key: str) -> str:
    kind, _, text = key.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "k":
        fields = orjson.loads(text)
        return "[" + ",".join(f"{name}={orjson.dumps(value).decode()}" for name, value in fields.items()) + "]"
    return f"[={text}]"


# --- what the schema says of merging ---------------------------------------------------------------------------------


def atomic(value: Any, schema: Object) -> bool:
    """Whether a value is owned as a whole: scalars, lists unless the schema says otherwise, maps that it calls atomic."""
    if type(value) is dict:
        return schema.get("x-kubernetes-map-type") == "atomic"
    if type(value) is list:
        return schema.get("x-kubernetes-list-type") not in ("map", "set")
    return True


def child_schema(schema: Object, key: str) -> Object:
    """The schema of one field of a map."""
    if (known := (schema.get("properties") or EMPTY).get(key)) is not None:
        return known  # type: ignore[no-any-return]
    more = schema.get("additionalProperties")
    return more if type(more) is dict else EMPTY


def item_key(item: Any, schema: Object) -> str | None:
    """The path element of an item of a list map or set; None if the item lacks its keys."""
    if schema.get("x-kubernetes-list-type") == "set":
        return f"v:{orjson.dumps(item).decode()}" if type(item) is not dict and type(item) is not list else None
    if type(item) is not dict:
        return None
    properties = (schema.get("items") or EMPTY).get("properties") or EMPTY
    keys = {}
    for name in schema.get("x-kubernetes-list-map-keys") or ():
        value = item.get(name, (properties.get(name) or EMPTY).get("default"))
        if value is None or type(value) is dict or type(value) is list:
            return None
        keys[name] = value
    return f"k:{orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()}" if keys else None


def keyed(items: list[Any], schema: Object) -> dict[str, Any] | None:
    """The items of a list map or set by their path element; None where that tells them not apart (the list is atomic then)."""
    found: dict[str, Any] = {}
    for item in items:
        key = item_key(item, schema)
        if key is None or key in found:
            return None
        found[key] = item
    return found


# --- from values -----------------------------------------------------------------------------------------------------


def fields_of(value: Any, schema: Object) -> FieldSet:
    """What an applied value claims: its leaves, its atomic parts, the items of its list maps and sets, empty maps."""
    if atomic(value, schema):
        return {}
    children: FieldSet = {}
    if type(value) is dict:
        properties = schema.get("properties") or EMPTY
        for key, item in value.items():
            node = fields_of(item, child_schema(schema, key))
            children[f"f:{key}"] = node if key in properties or not node else {**node, ".": {}}
        return children
    items = keyed(value, schema)
    if items is None:
        return {}
    item_schema = schema.get("items") or EMPTY
    for name, item in items.items():
        node = fields_of(item, item_schema)
        children[name] = {**node, ".": {}} if node else {}
    return children


def compare(old: Any, new: Any, schema: Object) -> tuple[Maybe, Maybe]:
    """What changed from `old` to `new`: (added or modified, removed). Equal parts are passed over at C speed."""
    if _both_granular(old, new, schema):
        if type(new) is dict:
            return _compare_maps(old, new, schema)
        left, right = keyed(old, schema), keyed(new, schema)
        if left is not None and right is not None:
            return _compare_items(left, right, schema.get("items") or EMPTY)
    if same(old, new):
        return None, None
    lost = {key: node for key, node in whole(old, schema).items() if key != "."}
    return whole(new, schema), lost or None


def _both_granular(old: Any, new: Any, schema: Object) -> bool:
    return type(old) is type(new) and not atomic(new, schema) and bool(old or new)


def _compare_maps(old: Object, new: Object, schema: Object) -> tuple[Maybe, Maybe]:
    changed: FieldSet = {}
    removed: FieldSet = {}
    for key, value in new.items():
        if key in old:
            before = old[key]
            if before is value or (before == value and same(before, value)):
                continue
            part, lost = compare(before, value, child_schema(schema, key))
            if part is not None:
                changed[f"f:{key}"] = part
            if lost is not None:
                removed[f"f:{key}"] = lost
        else:
            changed[f"f:{key}"] = whole(value, child_schema(schema, key))
    for key, value in old.items():
        if key not in new:
            removed[f"f:{key}"] = whole(value, child_schema(schema, key))
    return changed or None, removed or None


def _compare_items(old: Object, new: Object, schema: Object) -> tuple[Maybe, Maybe]:
    changed: FieldSet = {}
    removed: FieldSet = {}
    for key, value in new.items():
        if key in old:
            part, lost = compare(old[key], value, schema)
            if part is not None:
                changed[key] = part
            if lost is not None:
                removed[key] = lost
        else:
            changed[key] = whole(value, schema)
    for key, value in old.items():
        if key not in new:
            removed[key] = whole(value, schema)
    return changed or None, removed or None


def whole(value: Any, schema: Object) -> FieldSet:
    """Every path of a value that came or went as a whole, its containers included."""
    if atomic(value, schema) or not value:
        return {}
    children: FieldSet = {".": {}}
    if type(value) is dict:
        for key, item in value.items():
            children[f"f:{key}"] = whole(item, child_schema(schema, key))
        return children
    items = keyed(value, schema)
    if items is None:
        return {}
    for name, item in items.items():
        children[name] = whole(item, schema.get("items") or EMPTY)
    return children
