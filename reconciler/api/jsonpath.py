"""The JSONPath that printer columns use: `.a.b`, `['a.b']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`. Compiled once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Find = Callable[[Any], list[Any]]
_Step = Callable[[list[Any]], list[Any]]

_TOKEN = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]\\])+)
      | \[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
      | \[\s*(?P<index>-?\d+)\s*\]
      | (?P<all>\[\s*\*\s*\])
      | \[\?\(\s*@(?P<path>[^=!<>]*?)\s*(?P<op>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|true|false|-?\d+)\s*\)\]""",
    re.VERBOSE,
)


class JsonPathError(ValueError):
    """The path uses what this subset of JSONPath does not have."""


@lru_cache(maxsize=512)
def compile_path(path: str) -> Find:
    """A function from a value to all that the path finds in it. Raises JsonPathError if it cannot be read."""
    steps: list[_Step] = []
    names: list[str] = []
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    text = text if text.startswith((".", "[")) else f".{text}"
    at = 0
    while at < len(text):
        if not (found := _TOKEN.match(text, at)):
            raise JsonPathError(f"cannot read the JSONPath {path[:80]!r} at {text[at : at + 20]!r}")
        steps.append(_step(found))
        if (name := _name(found)) not in (None, "*"):
            names.append(name)
        at = found.end()

    if len(names) == len(steps):
        return _plain(tuple(names))

    def find(value: Any) -> list[Any]:
        values = [value]
        for step in steps:
            values = step(values)
            if not values:
                break
        return values

    return find


def _plain(names: tuple[str, ...]) -> Find:
    """Nearly every path: fields of fields."""

    def find(value: Any) -> list[Any]:
        for name in names:
            if type(value) is not dict or name not in value:
                return []
            value = value[name]
        return [value]

    return find


def _name(found: re.Match[str]) -> str | None:
    if found["quoted"] is not None:
        return found["quoted"]
    return None if found["field"] is None else re.sub(r"\\(.)", r"\1", found["field"])


def _step(found: re.Match[str]) -> _Step:
    if found["all"]:
        return _every
    if found["index"] is not None:
        return _at(int(found["index"]))
    if found["op"]:
        return _where(found["path"], found["op"] == "==", _literal(found["value"]))
    return _named(_name(found) or "")


def _named(name: str) -> _Step:
    def step(values: list[Any]) -> list[Any]:
        return [value[name] for value in values if type(value) is dict and name in value]

    return _every if name == "*" else step


def _every(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if type(value) is dict:
            found.extend(value.values())
        elif type(value) is list:
            found.extend(value)
    return found


def _at(index: int) -> _Step:
    return lambda values: [value[index] for value in values if type(value) is list and -len(value) <= index < len(value)]


def _where(path: str, equal: bool, wanted: Any) -> _Step:
    if path.count(".") == 1 and "[" not in path:  # nearly always: one field of the item
        name = path.removeprefix(".")

        def simple(values: list[Any]) -> list[Any]:
            return [
                item
                for value in values
                if type(value) is list
                for item in value
                if type(item) is dict and (item.get(name) == wanted) is equal
            ]

        return simple
    inner = compile_path(path or ".")

    def step(values: list[Any]) -> list[Any]:
        return [item for value in values if type(value) is list for item in value if (inner(item)[:1] == [wanted]) is equal]

    return step


def _literal(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    return {"true": True, "false": False}.get(text) if text in ("true", "false") else int(text)
