"""The patch formats of the Kubernetes API: JSON merge patch, JSON patch, strategic merge patch. Values in, values out."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from reconciler.api.jsonvalue import MAX_DEPTH, Object, clone, same, size_of, too_deep
from reconciler.api.objectmeta import root_schema

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024
"""What the `copy` operations of one JSON patch may add up to: doubling a list twenty times makes a bomb."""


class PatchError(Exception):
    """The patch cannot be applied. `code` is the HTTP status: 400 malformed, 413 too large, 422 does not fit the object."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def merge_patch(target: Object, patch: Any) -> Object:
    """RFC 7396: maps merge, null removes, everything else replaces. Raises PatchError 400 unless the patch is a map."""
    merged: Object = _merged(target, _a_map(patch))
    return merged


def _merged(target: Any, patch: Any) -> Any:
    if type(patch) is not dict:
        return clone(patch)
    merged = {key: clone(value) for key, value in target.items() if key not in patch} if type(target) is dict else {}
    for key, value in patch.items():
        if value is not None:
            merged[key] = _merged(target.get(key) if type(target) is dict else None, value)
    return merged


def json_patch(target: Object, ops: Any) -> Object:
    """RFC 6902. Raises PatchError: 400 for what is no patch, 413 for too large a one, 422 where a test or a path fails."""
    if type(ops) is not list or not all(type(op) is dict for op in ops):
        raise PatchError(400, "cannot read the JSON patch: it must be a list of operations")
    if len(ops) > MAX_OPERATIONS:
        raise PatchError(413, f"cannot apply the JSON patch: {len(ops)} operations, at most {MAX_OPERATIONS} are allowed")
    if too_deep(ops):
        raise PatchError(400, f"cannot read the patch: it nests deeper than {MAX_DEPTH} levels")
    document: Any = clone(target)
    copied = 0
    for number, op in enumerate(ops):
        try:
            if op.get("op") == "copy":
                copied += size_of(jsonpointer.resolve_pointer(document, op["from"]))
            if copied > MAX_COPIED_BYTES:
                raise PatchError(413, f"cannot apply the JSON patch: its copies exceed {MAX_COPIED_BYTES} bytes")
            document = _operate(document, op)
        except (jsonpatch.InvalidJsonPatch, KeyError, TypeError) as e:
            needs = "a known op, a path, and the value or from that the op takes"
            raise PatchError(400, f"cannot read operation {number} of the JSON patch: it needs {needs}") from e
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as e:
            # Not in the library's words: they quote the object, which may be a Secret.
            failed = "the test failed" if isinstance(e, jsonpatch.JsonPatchTestFailed) else "the path leads nowhere"
            raise PatchError(422, f"cannot apply operation {number} of the JSON patch, {_said(op)}: {failed}") from e
    if type(document) is not dict or too_deep(document):
        raise PatchError(422, "cannot apply the JSON patch: the result is not an object")
    return document


def _operate(document: Any, op: Object) -> Any:
    if op.get("op") == "test" and "value" in op and "path" in op:
        # The library compares as Python does, where true equals 1.
        if not same(jsonpointer.resolve_pointer(document, op["path"]), op["value"]):
            raise jsonpatch.JsonPatchTestFailed(f"testing path {op['path']} failed")
        return document
    return jsonpatch.JsonPatch([clone(op)]).apply(document, in_place=True)


def strategic_merge(target: Object, patch: Any, schema: Object) -> Object:
    """Kubernetes' own format, by x-kubernetes-patch-strategy and x-kubernetes-patch-merge-key of the schema.

    Maps merge and null removes; a list is replaced unless the schema says merge. Understands $patch (replace, delete, merge),
    $retainKeys, $setElementOrder/<list> and $deleteFromPrimitiveList/<list>. Raises PatchError 400.
    """
    return _strategic(target, _a_map(patch), root_schema(schema))


def _strategic(target: Object, patch: Object, schema: Object) -> Object:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: clone(value) for key, value in patch.items() if not key.startswith("$")}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise PatchError(400, f"cannot read the patch: unknown $patch directive {str(directive)[:40]!r}")
    retained = patch.get("$retainKeys")
    merged = {key: clone(value) for key, value in target.items() if retained is None or key in retained}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            _drop(merged, key.partition("/")[2], value)
        elif not key.startswith("$"):
            _set(merged, key, value, _property(schema, key), patch.get(f"$setElementOrder/{key}"))
    for key, order in patch.items():
        name = key.partition("/")[2]
        if key.startswith("$setElementOrder/") and name not in patch and type(merged.get(name)) is list:
            merged[name] = _ordered(merged[name], order, _property(schema, name).get("x-kubernetes-patch-merge-key"))
    return merged


def _set(merged: Object, key: str, value: Any, schema: Object, order: Any) -> None:
    if value is None:
        merged.pop(key, None)
    elif type(value) is dict:
        old = merged.get(key)
        merged[key] = _strategic(old if type(old) is dict else {}, value, schema)
    elif type(value) is list and schema.get("x-kubernetes-patch-strategy") == "merge":
        merge_key = schema.get("x-kubernetes-patch-merge-key")
        items = _merge_list(merged.get(key) or [], value, merge_key, schema.get("items") or {})
        merged[key] = _ordered(items, order, merge_key) if order is not None else items
    else:
        merged[key] = clone(value)


def _merge_list(old: list[Any], patch: list[Any], merge_key: str | None, schema: Object) -> list[Any]:
    if merge_key is None:
        return old + [item for item in patch if item not in old]
    if any(type(item) is dict and item.get("$patch") == "replace" for item in patch):
        return [clone(item) for item in patch if type(item) is dict and "$patch" not in item]
    items = list(old)
    for change in patch:
        if type(change) is not dict or merge_key not in change:
            raise PatchError(400, f"cannot merge a list: an item has no {merge_key!r}, by which items are told apart")
        at = next((i for i, item in enumerate(items) if item.get(merge_key) == change[merge_key]), None)
        if change.get("$patch") == "delete":
            items = [item for item in items if item.get(merge_key) != change[merge_key]]
        elif at is None:
            items.append(_strategic({}, change, schema))
        else:
            items[at] = _strategic(items[at], change, schema)
    return items


def _ordered(items: list[Any], order: Any, merge_key: str | None) -> list[Any]:
    """Items that `order` names stand in its order; the others keep their place relative to those before them."""
    if type(order) is not list:
        raise PatchError(400, "cannot read the patch: $setElementOrder must be a list")

    def key(item: Any) -> Any:
        return item.get(merge_key) if merge_key is not None and type(item) is dict else item

    wanted = [key(item) for item in order]
    named = iter(sorted((i for i in items if key(i) in wanted), key=lambda i: wanted.index(key(i))))
    return [next(named) if key(item) in wanted else item for item in items]


def _drop(merged: Object, name: str, values: Any) -> None:
    if type(values) is not list:
        raise PatchError(400, "cannot read the patch: $deleteFromPrimitiveList must be a list")
    if type(merged.get(name)) is list:
        merged[name] = [item for item in merged[name] if item not in values]


def _property(schema: Object, key: str) -> Object:
    more = schema.get("additionalProperties")
    found: Object = (schema.get("properties") or {}).get(key) or (more if type(more) is dict else {})
    return found


def _a_map(patch: Any) -> Object:
    if type(patch) is not dict:
        raise PatchError(400, "cannot read the patch: it must be a map")
    if too_deep(patch):
        raise PatchError(400, f"cannot read the patch: it nests deeper than {MAX_DEPTH} levels")
    return patch


def _said(op: Object) -> str:
    """An operation for people, without its value."""
    return f"{str(op.get('op'))[:8]} {str(op.get('path'))[:120]!r}"
