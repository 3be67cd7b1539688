"""What a Kubernetes API server says to an object, by our CRDs alone: no line of our models runs here.

Structure by jsonschema, CEL by cel-python, unknown fields and defaults as the documentation of structural schemas has it.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import celpy
import celpy.evaluation
from jsonschema import Draft202012Validator

from specs.crd import crd
from specs.kinds import BY_KIND

RESERVED = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
            "loop", "package", "namespace", "return", "var", "void", "while"}  # fmt: skip

Path = tuple[str | int, ...]

ENVIRONMENT = celpy.Environment()
ENVIRONMENT.program(
    ENVIRONMENT.compile("true")
)  # raises the recursion limit, which hypothesis does not like in the midst of a test


@cache
def definition(kind: str) -> dict[str, Any]:
    return crd(BY_KIND[kind])


def root(kind: str) -> dict[str, Any]:
    return definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def refuses(obj: dict[str, Any], old: dict[str, Any] | None = None) -> set[Path]:
    """The paths that the server would refuse in a write of `obj` over `old`, defaults set first. Empty: it is taken."""
    obj, old = with_defaults(obj), with_defaults(old) if old else None
    schema = root(obj["kind"])
    wrong: set[Path] = set()
    for error in Draft202012Validator(schema).iter_errors(without_nulls(obj, schema)):
        wrong.add(tuple(error.absolute_path))
    wrong |= set(_unknown(obj, schema, ()))
    return wrong or set(_rules(obj, old, schema, ()))


def with_defaults(obj: dict[str, Any]) -> dict[str, Any]:
    """Structural defaulting: level by level, only where the parent is there."""
    obj = copy.deepcopy(obj)
    _default(obj, root(obj["kind"]))
    return obj


def _default(value: Any, schema: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if "default" in child and name not in value:
                value[name] = copy.deepcopy(child["default"])
            if name in value:
                _default(value[name], child)
    elif isinstance(value, list):
        for item in value:
            _default(item, schema.get("items", {}))


def without_nulls(value: Any, schema: dict[str, Any]) -> Any:
    """The server drops a null where nothing has a default and none is required."""
    if isinstance(value, dict):
        fields, required = schema.get("properties", {}), schema.get("required", ())
        return {
            name: without_nulls(item, fields.get(name, {}))
            for name, item in value.items()
            if not (item is None and name in fields and "default" not in fields[name] and name not in required)
        }
    if isinstance(value, list):
        return [without_nulls(item, schema.get("items", {})) for item in value]
    return value


def _unknown(value: Any, schema: dict[str, Any], path: Path) -> Any:
    if schema.get("x-kubernetes-preserve-unknown-fields") or path == ("metadata",):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, schema.get("items", {}), (*path, index))
    elif isinstance(value, dict) and "properties" in schema:
        for name, item in value.items():
            if name in schema["properties"]:
                yield from _unknown(item, schema["properties"][name], (*path, name))
            else:
                yield (*path, name)


def _rules(value: Any, old: Any, schema: dict[str, Any], path: Path) -> Any:
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" in rule["rule"]:
            if old is None:
                continue
            holds = _program(rule["rule"]).evaluate({"self": _cel(value), "oldSelf": _cel(old)})
        else:
            holds = _program(rule["rule"]).evaluate({"self": _cel(value)})
        if not holds:
            yield path
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if value.get(name) is not None:
                yield from _rules(value[name], old.get(name) if isinstance(old, dict) else None, child, (*path, name))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _rules(item, None, schema.get("items", {}), (*path, index))


@cache
def _program(rule: str) -> Any:
    return ENVIRONMENT.program(ENVIRONMENT.compile(rule))


def _cel(value: Any) -> Any:
    return celpy.json_to_cel(_escaped(value))


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"__{name}__" if name in RESERVED else name: _escaped(item) for name, item in value.items() if item is not None}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
