"""What the server does with an object before it stores it: find unknown fields, prune, set defaults, validate by the model."""

from __future__ import annotations

import difflib
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.api.jsonvalue import Object, clone
from reconciler.api.objectmeta import root_schema
from specs.scalars import cut

MAX_ECHO = 64
"""Characters of a wrong value that an error repeats at most."""
MAX_CAUSES = 32


class Cause(NamedTuple):
    """One entry of a metav1.Status's details.causes."""

    reason: str
    message: str
    field: str


# --- by the schema ---------------------------------------------------------------------------------------------------


def decode_strict(obj: Object, schema: Object) -> list[str]:
    """The paths of all fields that the schema does not know, in the object's order: `spec.simulated.flavour`."""
    unknown: list[str] = []
    _visit(obj, root_schema(schema), "", unknown, remove=False)
    return unknown


def prune(obj: Object, schema: Object) -> None:
    """Remove, in place, every field that the schema does not know: exactly those that decode_strict names."""
    _visit(obj, root_schema(schema), "", [], remove=True)


def _visit(value: Any, schema: Object, path: str, unknown: list[str], *, remove: bool) -> None:
    if type(value) is list:
        items = schema.get("items")
        if type(items) is dict and _has_fields(items):
            for index, item in enumerate(value):
                _visit(item, items, f"{path}[{index}]", unknown, remove=remove)
        return
    if type(value) is not dict:
        return
    properties = schema.get("properties") or {}
    more = schema.get("additionalProperties")
    open_ended = more is True or schema.get("x-kubernetes-preserve-unknown-fields") or not _says_anything(schema)
    gone: list[str] = []
    for key, item in value.items():
        known = properties.get(key)
        if known is None and type(more) is dict:
            known = more
        if known is not None:
            if type(item) is dict or type(item) is list:
                _visit(item, known, f"{path}.{key}" if path else key, unknown, remove=remove)
        elif not open_ended:
            unknown.append(f"{path}.{key}" if path else key)
            gone.append(key)
    if remove:
        for key in gone:
            del value[key]


def _has_fields(schema: Object) -> bool:
    return schema.get("type") in ("object", "array", None)


def _says_anything(schema: Object) -> bool:
    return "type" in schema or "properties" in schema or "additionalProperties" in schema


def did_you_mean(path: str, schema: Object) -> str | None:
    """The known field that an unknown one (a path of decode_strict) was most likely meant to be, or None."""
    parts = path.replace("[", ".[").split(".")
    node = root_schema(schema)
    for part in parts[:-1]:
        more = node.get("additionalProperties")
        node = (
            node.get("items") or {}
            if part.startswith("[")
            else (node.get("properties") or {}).get(part) or (more if type(more) is dict else {})
        )
    close = difflib.get_close_matches(parts[-1], list(node.get("properties") or {}), 1, 0.6)
    return close[0] if close else None


def default(obj: Object, schema: Object) -> None:
    """Set, in place, each missing field that the schema has a default for. Idempotent.

    A null where none is allowed counts as missing, as in Kubernetes.
    """
    _default(obj, schema)


def _default(value: Any, schema: Object) -> None:
    if type(value) is dict:
        properties = schema.get("properties") or {}
        for key, known in properties.items():
            if "default" in known and value.get(key) is None and (key not in value or not known.get("nullable")):
                value[key] = clone(known["default"])
            item = value.get(key)
            if type(item) is dict or type(item) is list:
                _default(item, known)
        if type(more := schema.get("additionalProperties")) is dict:
            for key, item in value.items():
                if key not in properties and (type(item) is dict or type(item) is list):
                    _default(item, more)
    elif type(value) is list and type(items := schema.get("items")) is dict:
        for item in value:
            if type(item) is dict or type(item) is list:
                _default(item, items)


# --- by the model ----------------------------------------------------------------------------------------------------


def validate(model: type[BaseModel], obj: Object) -> list[Cause]:
    """Validate strictly by the model; one Cause for each wrong field, none if all is well.

    Wrong values are repeated cut short, and those of a Secret not at all.
    """
    try:
        model.model_validate_json(orjson.dumps(obj))
    except ValidationError as e:
        secret = model.__name__ == "Secret" or obj.get("kind") == "Secret"
        causes = [_cause(error, obj, secret=secret) for error in e.errors(include_url=False)[:MAX_CAUSES]]
        return list(dict.fromkeys(causes))
    return []


_TYPE_NAMES = {
    "string_type": "string", "int_type": "integer", "int_parsing": "integer", "int_from_float": "integer",
    "float_type": "number", "float_parsing": "number", "finite_number": "number", "bool_type": "boolean",
    "bool_parsing": "boolean", "dict_type": "object", "model_type": "object", "model_attributes_type": "object",
    "list_type": "array", "none_required": "null",
}  # fmt: skip


def _cause(error: ErrorDetails, obj: Object, *, secret: bool) -> Cause:
    kind, context = error["type"], error.get("ctx") or {}
    field = _path(error["loc"], obj, missing=kind == "missing")
    value = "" if secret and field.split(".")[0].split("[")[0] in ("data", "stringData") else _echo(error["input"])
    shown = f"{value}: " if value else ""
    if kind == "missing":
        return Cause("FieldValueRequired", "Required value", field)
    if kind == "extra_forbidden":
        return Cause("FieldValueForbidden", "Forbidden: unknown field", field)
    if kind in ("literal_error", "enum"):
        allowed = str(context.get("expected", "")).replace("'", '"').replace(" or ", ", ")
        return Cause("FieldValueNotSupported", f"Unsupported value: {shown}supported values: {allowed}", field)
    if kind in _TYPE_NAMES:
        wanted = _TYPE_NAMES[kind]
        message = f'Invalid value: "{_json_type(error["input"])}": {field} in body must be of type {wanted}'
        return Cause("FieldValueTypeInvalid", message, field)
    if kind == "string_too_long":
        return Cause("FieldValueTooLong", f"Too long: may not be more than {context.get('max_length')} characters", field)
    if kind == "too_long":
        actual, limit = context.get("actual_length"), context.get("max_length")
        return Cause("FieldValueTooMany", f"Too many: {actual}: must have at most {limit} items", field)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}{_message(error)}", field)


def _message(error: ErrorDetails) -> str:
    """What is wrong, in Kubernetes' words where it has some."""
    context = error.get("ctx") or {}
    match error["type"]:
        case "value_error":
            return str(context.get("error", error["msg"]))
        case "string_pattern_mismatch":
            return f"should match '{context.get('pattern')}'"
        case "greater_than_equal":
            return f"should be greater than or equal to {context.get('ge')}"
        case "less_than_equal":
            return f"should be less than or equal to {context.get('le')}"
        case "string_too_short" | "too_short":
            return f"should be at least {context.get('min_length')} long"
    return str(error["msg"])


def _path(loc: tuple[int | str, ...], obj: Any, *, missing: bool) -> str:
    """The Kubernetes path of an error. pydantic names branches of unions and keys of maps too: what is no step is left out."""
    path, at = "", obj
    for number, step in enumerate(loc):
        last = number == len(loc) - 1
        if isinstance(step, int) and type(at) is list and step < len(at):
            path, at = f"{path}[{step}]", at[step]
        elif isinstance(step, str) and type(at) is dict and (step in at or (missing and last)):
            path, at = (f"{path}.{step}" if path else step), at.get(step)
    return path or "<root>"


def _echo(value: Any) -> str:
    if type(value) is str:
        return orjson.dumps(cut(value, MAX_ECHO)).decode()
    if value is None or isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    return f'"{_json_type(value)}"'


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    return names.get(type(value), "object")
