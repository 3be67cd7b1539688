"""Label and field selectors: text in, predicate out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

MAX_LENGTH = 8192
Labels = Mapping[str, str]

_KEY = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        !\s*(?P<absent>{_KEY})
      | (?P<set_key>{_KEY})\s+(?P<set_op>in|notin)\s*\((?P<set>[^()]*)\)
      | (?P<key>{_KEY})\s*(?P<op>==|=|!=)\s*(?P<value>{_VALUE})
      | (?P<present>{_KEY})
    )\s*(?:,|$)""",
    re.VERBOSE,
)
_FIELD = re.compile(r"^([A-Za-z][A-Za-z0-9.]*)(==|=|!=)(.*)$")

FIELDS: frozenset[str] = frozenset({"metadata.name", "metadata.namespace"})
EVENT_FIELDS: frozenset[str] = FIELDS | {
    "reason", "type", "source", "reportingComponent",
    *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")),
}  # fmt: skip
SECRET_FIELDS: frozenset[str] = FIELDS | {"type"}


class SelectorError(ValueError):
    """The selector cannot be read, or asks for a field that cannot be selected by. The API answers 400."""


@lru_cache(maxsize=256)
def parse_labels(text: str) -> Callable[[Labels], bool]:
    """Read a label selector: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, joined by commas.

    The predicate takes an object's labels. As in Kubernetes, `!=` and `notin` hold where the label is missing.
    """
    _bounded(text)
    tests: list[Callable[[Labels], bool]] = []
    at = 0
    while at < len(text) and text[at:].strip():
        found = _REQUIREMENT.match(text, at)
        if not found or (text[found.end() - 1] == "," and not text[found.end() :].strip()):
            raise SelectorError(f"cannot parse the label selector {text[:80]!r} at character {at + 1}")
        tests.append(_requirement(found))
        at = found.end()
    return _all(tests)


def _requirement(found: re.Match[str]) -> Callable[[Labels], bool]:
    if key := found["absent"]:
        return lambda labels: key not in labels
    if key := found["present"]:
        return lambda labels: key in labels
    if key := found["set_key"]:
        values = frozenset(value.strip() for value in found["set"].split(","))
        if bad := next((value for value in values if not re.fullmatch(_VALUE, value)), None):
            raise SelectorError(f"cannot parse the label selector: {bad[:80]!r} is no label value")
        if found["set_op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    key, value = found["key"], found["value"]
    if found["op"] == "!=":
        return lambda labels: labels.get(key) != value
    return lambda labels: labels.get(key) == value


@lru_cache(maxsize=256)
def parse_fields(text: str, supported: frozenset[str] = FIELDS) -> Callable[[dict[str, Any]], bool]:
    """Read a field selector: `path=value`, `path==value`, `path!=value`, joined by commas; the predicate takes an object.

    Only paths in `supported` are allowed: Kubernetes has EVENT_FIELDS for Events, SECRET_FIELDS for Secrets, FIELDS for the rest.
    """
    _bounded(text)
    tests: list[Callable[[dict[str, Any]], bool]] = []
    for term in re.split(r"(?<!\\),", text):
        if not term.strip():
            continue
        if not (found := _FIELD.match(term.strip())):
            raise SelectorError(f"cannot parse the field selector {term[:80]!r}; expected <field>=<value>")
        path, op, value = found[1], found[2], re.sub(r"\\([,=\\])", r"\1", found[3])
        if path not in supported:
            raise SelectorError(f"field label not supported: {path[:80]}; supported are {', '.join(sorted(supported))}")
        tests.append(_field(tuple(path.split(".")), value, op != "!="))
    return _all(tests)


def _field(path: tuple[str, ...], value: str, equal: bool) -> Callable[[dict[str, Any]], bool]:
    def test(obj: dict[str, Any]) -> bool:
        found: Any = obj
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        if path == ("source",) and isinstance(found, dict):  # events are selected by the component that wrote them
            found = found.get("component")
        return (("" if found is None else str(found)) == value) is equal

    return test


def _all(tests: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    if len(tests) == 1:
        return tests[0]
    return lambda subject: all(test(subject) for test in tests)


def _bounded(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise SelectorError(f"cannot parse the selector: {len(text)} characters, at most {MAX_LENGTH} are allowed")
