"""The useful part of kubectl's JSONPath: `{.a.b}`, `[0]`, `[-1]`, `[*]`, `[1:3]`, `[?(@.x=="y")]`, `..x`, range/end, texts.

https://kubernetes.io/docs/reference/kubectl/jsonpath/. What is missing is missing quietly, as in kubectl: it prints nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class JsonPathError(ValueError):
    """The template cannot be understood; the message says where."""


class Field(NamedTuple):
    """`.name`; `*` takes all values. `deep` is `..name`: at any depth."""

    name: str
    deep: bool = False


class Index(NamedTuple):
    """`[start:stop:step]`; a single index has stop = start + 1."""

    start: int | None
    stop: int | None
    step: int | None = None


class Filter(NamedTuple):
    """`[?(@.path OP literal)]`; without an operator: the path exists."""

    path: tuple[Any, ...]
    operator: str
    literal: Any


Step = Field | Index | Filter
Path = tuple[Step, ...]

_NAME = re.compile(r"\.\.?((?:[^\s.\[\]{}'\"()=<>!|\\]|\\.)+)")
_SLICE = re.compile(r"\[(-?\d*)(?::(-?\d*))?(?::(-?\d*))?\]")
_QUOTED = re.compile(r"\[(['\"])(.*?)\1\]")
_FILTER = re.compile(r"\[\?\((.+?)\)\]")
_COMPARE = re.compile(r"\s*@?(.*?)\s*(==|!=|<=|>=|<|>|=~)\s*(.+?)\s*")
_OPERATORS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compile_path(text: str) -> Path:
    """Read a path such as `.metadata.name` or `{.status.conditions[?(@.type=="Ready")].status}`; JsonPathError if it is none."""
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$").removeprefix("@")
    if text and text[0] not in ".[":
        text = "." + text
    steps: list[Step] = []
    at = 0
    while at < len(text):
        step, at = _step(text, at)
        if step is not None:
            steps.append(step)
    return tuple(steps)


def _step(text: str, at: int) -> tuple[Step | None, int]:
    if text[at:] == ".":  # `{.}` is the whole
        return None, len(text)
    if found := _NAME.match(text, at):
        return Field(re.sub(r"\\(.)", r"\1", found[1]), text.startswith("..", at)), found.end()
    if text.startswith("[*]", at):
        return Field("*"), at + 3
    if text.startswith(".[", at):
        return None, at + 1
    if found := _QUOTED.match(text, at):
        return Field(found[2]), found.end()
    if found := _FILTER.match(text, at):
        return _filter(found[1]), found.end()
    if (found := _SLICE.match(text, at)) and found[0] != "[]":
        if ":" not in found[0]:
            start = int(found[1])
            return Index(start, start + 1 if start != -1 else None), found.end()
        first, last, step = (int(part) if part else None for part in found.groups())
        if step == 0:
            raise JsonPathError(f"cannot read {found[0]}: the step of a slice cannot be 0")
        return Index(first, last, step), found.end()
    raise JsonPathError(f"cannot read the JSONPath at {text[at:][:30]!r}")


def _filter(text: str) -> Filter:
    if not (found := _COMPARE.fullmatch(text)):
        return Filter(compile_path(text.strip()), "", None)
    literal = found[3]
    if literal[:1] in "'\"" and literal[-1:] == literal[:1] and len(literal) > 1:
        value: Any = literal[1:-1]
    else:
        try:
            value = json.loads(literal)
        except ValueError:
            value = literal
    if found[2] not in _OPERATORS:
        raise JsonPathError(f"cannot use the operator {found[2]} in a filter; use one of {', '.join(_OPERATORS)}")
    return Filter(compile_path(found[1]), found[2], value)


def find(path: Path, value: Any) -> list[Any]:
    """All values at the path; none where there is nothing."""
    found = [value]
    for step in path:
        found = [inner for outer in found for inner in _inner(step, outer)]
    return found


def _inner(step: Step, value: Any) -> Iterable[Any]:
    if isinstance(step, Field):
        if step.deep:
            return [hit for node in _descend(value) for hit in _inner(Field(step.name), node)]
        if step.name == "*":
            return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
        return (value[step.name],) if isinstance(value, dict) and step.name in value else ()
    if not isinstance(value, list):
        return ()
    if isinstance(step, Index):
        return value[step.start : step.stop : step.step]
    return [item for item in value if _passes(step, item)]


def _descend(value: Any) -> Iterable[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _descend(inner)


def _passes(step: Filter, item: Any) -> bool:
    hits = find(step.path, item)
    if not step.operator:
        return bool(hits)
    try:
        return any(_OPERATORS[step.operator](hit, step.literal) for hit in hits)
    except TypeError:
        return False


def show(value: Any) -> str:
    """One value as kubectl prints it: texts bare, everything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def text_at(path: Path, value: Any, absent: str = "<none>") -> str:
    """All values at the path, joined by commas; `absent` where there are none."""
    return ",".join(show(hit) for hit in find(path, value)) or absent


# --- templates -------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\{((?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^{}\"'])*)\}|([^{]+)")

Part = tuple[str, Any]


def compile_template(template: str) -> list[Part]:
    """Read a template; JsonPathError says what cannot be understood."""
    parts: list[Part] = []
    at = 0
    for found in _TOKEN.finditer(template):
        if found.start() != at:
            break
        at = found.end()
        parts.append(("text", found[2]) if found[1] is None else _braces(found[1].strip()))
    if at != len(template):
        raise JsonPathError(f"cannot read the template at {template[at:][:30]!r}: a brace or quote is not closed")
    depth = 0
    for what, _ in parts:
        depth += {"range": 1, "end": -1}.get(what, 0)
        if depth < 0:
            break
    if depth:
        raise JsonPathError("cannot read the template: every {range …} needs one {end}")
    return parts


def _braces(inner: str) -> Part:
    if inner == "end":
        return "end", None
    if inner.startswith("range "):
        return "range", compile_path(inner[6:])
    if inner[:1] in "'\"" and inner[:1] == inner[-1:] and len(inner) > 1:
        return "text", _unescape(inner[1:-1])
    return "path", compile_path(inner)


def _unescape(text: str) -> str:
    known = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: known.get(found[1], found[1]), text)


def run_template(parts: Sequence[Part], value: Any) -> str:
    """Fill in a compiled template."""
    out: list[str] = []
    at = 0
    while at < len(parts):
        what, content = parts[at]
        if what == "text":
            out.append(content)
        elif what == "path":
            out.append(" ".join(show(hit) for hit in find(content, value)))
        elif what == "range":
            end = _end_of(parts, at)
            out += [run_template(parts[at + 1 : end], hit) for hit in find(content, value)]
            at = end
        at += 1
    return "".join(out)


def _end_of(parts: Sequence[Part], start: int) -> int:
    depth = 0
    for at in range(start, len(parts)):
        depth += {"range": 1, "end": -1}.get(parts[at][0], 0)
        if depth == 0:
            return at
    raise JsonPathError("cannot read the template: every {range …} needs one {end}")
