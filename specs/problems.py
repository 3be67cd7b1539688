"""What is wrong with an object, in words for the person who wrote it: where, what was expected, what was probably meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from specs.crd import Schema, schema
from specs.scalars import cut
from specs.suggest import closest

Path = tuple[str | int, ...]

SAID = "said"
"""The type of a PydanticCustomError whose message holds nothing of the value: it is shown as it is."""

_SECRET_PATH = re.compile(r"(?i)password|passphrase|secret|token|credential|private|api_?key|authorization")
_NAMED = re.compile(r"^([a-z][A-Za-z0-9]*): (.*)", re.DOTALL)
_KINDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list",
          "object": "an object"}  # fmt: skip
_PATTERNS = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "lower-case letters, digits and dashes, starting and ending with a letter or digit",
    r"^https?://[!-?A-~]+$": "a URL with http or https, without credentials,",
    r"^[-._a-zA-Z0-9]+$": "letters, digits, dots, dashes and underscores",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at one place."""

    path: Path
    message: str


def problems(model: type[BaseModel], obj: dict[str, Any], *, secret: bool = False) -> list[Problem]:
    """Validate strictly; return all that is wrong, nothing if all is well.

    A wrong value is repeated only where it is short and its path is not a credential's; with `secret`, never.
    """
    try:
        model.model_validate_json(orjson.dumps(obj))
    except ValidationError as error:
        return [_problem(model, detail, secret=secret) for detail in error.errors(include_url=False)]
    return []


def summary(model: type[BaseModel], obj: dict[str, Any]) -> str:
    """Say in a line what is wrong first, and how much more is."""
    found = problems(model, obj)
    if not found:
        return "it does not validate"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{dotted(found[0].path)}: {found[0].message}{more}"


def dotted(path: Path) -> str:
    """Write a path as Kubernetes does: `spec.ports[0].network`, `metadata.labels[app.kubernetes.io/name]`."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif "." in part or "/" in part or not part.isprintable() or len(part) > 64:
            out += f"[{cut(part)}]"
        else:
            out += f".{part}" if out else part
    return out


@cache
def _schema(model: type[BaseModel]) -> Schema:
    return schema(model)


def _problem(model: type[BaseModel], detail: ErrorDetails, *, secret: bool) -> Problem:
    path: Path = detail["loc"]
    of_key = bool(path) and path[-1] == "[key]"
    if of_key:
        path = path[:-1]
    hidden = secret or bool(_SECRET_PATH.search(dotted(path)))
    kind, context, value = detail["type"], detail.get("ctx") or {}, detail["input"]
    if kind == "extra_forbidden":
        return Problem(path, _unknown(_schema(model), path))
    if kind == "missing":
        return Problem(path[:-1], f'"{path[-1]}" is required')
    if kind == SAID:
        return Problem(path, detail["msg"])
    if kind == "value_error":
        text = str(context.get("error", detail["msg"]))
        # a rule of the whole object says which field it is about: "managementPolicy: …"
        if (named := _NAMED.match(text)) and named[1] in (_walk(_schema(model), path) or {}).get("properties", {}):
            return Problem((*path, named[1]), named[2])
        return Problem(path, "the value is not valid" if hidden else text)
    what = "the key" if of_key else None
    return Problem(path, _expected(kind, context, value, _walk(_schema(model), path) or {}, hidden=hidden, what=what))


def _expected(kind: str, context: dict[str, Any], value: Any, node: Schema, *, hidden: bool, what: str | None) -> str:
    subject = f"{what} must" if what else "must"
    match kind:
        case "literal_error" | "enum":
            choices = [str(choice) for choice in node.get("enum", [])]
            near = closest(value, choices) if isinstance(value, str) and not hidden else None
            return f"expected one of {', '.join(choices)}{_but(value, hidden=hidden)}" + (
                f': did you mean "{near}"?' if near else ""
            )
        case "string_too_long" | "too_long":
            unit = "characters" if kind == "string_too_long" else "entries"
            return f"{subject} have at most {context['max_length']} {unit}"
        case "string_too_short" | "too_short":
            return f"{subject} not be empty" if context["min_length"] == 1 else f"{subject} have at least {context['min_length']}"
        case "string_pattern_mismatch":
            pattern = context["pattern"]
            meaning = _PATTERNS.get(pattern, f"what matches {pattern}")
            return f"{'the key: ' if what else ''}expected {meaning}{_but(value, hidden=hidden)}"
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
            low, high = node.get("minimum"), node.get("maximum")
            span = (
                f"from {low} to {high}" if low is not None and high is not None else f"{kind.replace('_', ' ')} {_first(context)}"
            )
            return f"expected a number {span}{_but(value, hidden=hidden)}"
    return _wrong_type(value, node, hidden=hidden)


def _first(context: dict[str, Any]) -> Any:
    return next(iter(context.values()), "")


def _wrong_type(value: Any, node: Schema, *, hidden: bool) -> str:
    wanted = node.get("type", "")
    got = "a number with a fraction" if wanted == "integer" and isinstance(value, float) else _type_of(value)
    text = f"expected {_KINDS.get(wanted, 'another type')}, not {got}"
    if value is None:
        return f"{text}; give a value or remove the line"
    if wanted == "string" and isinstance(value, bool | int | float):
        return f"{text}; put it in quotes"
    if wanted == "boolean" and isinstance(value, str) and value.lower() in ("yes", "y", "on", "no", "n", "off", "true", "false"):
        meant = "true" if value.lower() in ("yes", "y", "on", "true") else "false"
        return f"{text}; write {meant}"
    if wanted in ("integer", "number") and isinstance(value, str) and not hidden:
        return f'{text}: "{cut(value)}"'
    return text


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"


def _but(value: Any, *, hidden: bool) -> str:
    if hidden or isinstance(value, dict | list):
        return ""
    return f', not "{cut(value)}"' if isinstance(value, str) else f", not {cut(orjson.dumps(value).decode())}"


def _unknown(root: Schema, path: Path) -> str:
    name = str(path[-1])
    around = _walk(root, path[:-1]) or {}
    message = f'unknown field "{cut(name)}"'
    if near := closest(name, around.get("properties", {})):
        return f'{message}: did you mean "{near}"?'
    if places := [place for place in _places(root, name) if place[0] == path[0]][:3]:
        return f"{message}: it belongs to {' or '.join(dotted(place[:-1]) for place in places)}"
    known = ", ".join(sorted(around.get("properties", {})))
    return f"{message}: known here are {known}" if known else f"{message}: nothing may stand here"


def _walk(node: Schema, path: Path) -> Schema | None:
    """Return the schema at `path`, None where there is none."""
    for part in path:
        child = (
            node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part, node.get("additionalProperties"))
        )
        if not isinstance(child, dict):
            return None
        node = child
    return node


def _places(node: Schema, name: str, path: Path = ()) -> list[Path]:
    """Return where else in the schema a field of this name stands."""
    found: list[Path] = []
    for field, child in node.get("properties", {}).items():
        here = (*path, field)
        found += [here] if field == name else []
        found += _places(child, name, here)
    if isinstance(items := node.get("items"), dict):
        found += _places(items, name, path)
    return found
