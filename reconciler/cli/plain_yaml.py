"""Block YAML of the plainest sort: mappings, sequences of mappings, one-line strings. For kubeconfig files only.

PyYAML takes longer to import than a whole `anneal get` may spend on it. Whatever is not plain is refused, never guessed.
"""

from __future__ import annotations

import re
from typing import Any

_PAIR = re.compile(r"([A-Za-z][\w.-]*):(?: +([^\s'\"\[\]{}&*!|>%@`#?,-]\S*|\{\}|\"[\w:/.+=-]*\"))? *")
_NOT_STRINGS = re.compile(r"(?i:null|~|yes|no|on|off|true|false)|[-+.]?\d[\d_.:eExX+-]*")

_Line = tuple[int, str]


class _NotPlain(Exception):
    """There is something in it that only a real YAML parser understands."""


def read_plain(text: str) -> dict[str, Any] | None:
    """Read it, all scalars as strings and booleans; None if it is not plain."""
    lines = [
        (len(line) - len(line.lstrip(" ")), line.strip(" "))
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#") and line.strip() != "---"
    ]
    try:
        value, end = _block(lines, 0, 0)
    except (_NotPlain, IndexError, RecursionError):
        return None
    return value if end == len(lines) and isinstance(value, dict) else None


def _block(lines: list[_Line], at: int, indent: int) -> tuple[Any, int]:
    """Read what stands at this indentation: a sequence or a mapping. Returns it and where it ends."""
    if lines[at][1].startswith("- "):
        items = []
        while at < len(lines) and lines[at][0] == indent and lines[at][1].startswith("- "):
            rest = lines[at][1][2:]
            inner = indent + 2 + len(rest) - len(rest.lstrip(" "))
            lines[at] = (inner, rest.lstrip(" "))
            item, at = _mapping(lines, at, inner)
            items.append(item)
        return items, at
    return _mapping(lines, at, indent)


def _mapping(lines: list[_Line], at: int, indent: int) -> tuple[dict[str, Any], int]:
    mapping: dict[str, Any] = {}
    while at < len(lines) and lines[at][0] == indent and not lines[at][1].startswith("- "):
        found = _PAIR.fullmatch(lines[at][1])
        if not found or found[1] in mapping:
            raise _NotPlain
        key, text = found[1], found[2]
        at += 1
        if text is not None:
            mapping[key] = _scalar(text)
            continue
        nested = at < len(lines) and (lines[at][0] > indent or (lines[at][0] == indent and lines[at][1].startswith("- ")))
        if nested:
            mapping[key], at = _block(lines, at, lines[at][0])
        else:
            mapping[key] = None
    if not mapping:
        raise _NotPlain
    return mapping, at


def _scalar(text: str) -> Any:
    if text == "{}":
        return {}
    if text.startswith('"'):
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if _NOT_STRINGS.fullmatch(text) or text.endswith(":"):
        raise _NotPlain
    return text
