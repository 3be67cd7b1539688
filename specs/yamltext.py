"""YAML and JSON text → plain values, with the line and column of every one. Safe for text that nobody has looked at.

The events of libyaml are turned into values one by one, and every limit is checked on the way: nothing grows before it is
counted. Keys are always text; what other scalars mean is in scalars.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from specs.scalars import Refused, cut, resolve

MAX_BYTES = 4 * 1024 * 1024
"""Longest text that is read at all, and the most that aliases may make of it."""
MAX_DEPTH = 64
"""Deepest nesting."""
MAX_NODES = 100_000
"""Most values in one document, aliases expanded."""
MAX_TOTAL_NODES = 300_000
"""Most values in one file."""
MAX_DOCUMENTS = 10_000
"""Most documents in one file."""
MAX_SYNTAX_ERRORS = 20
"""Most syntax errors that are read past."""
MAX_ERRORS = 100
"""Most errors that are told of one document."""

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class TextError:
    """Something wrong with the text itself. Line and column count from 1; `path` is where in the document it was met."""

    line: int
    column: int
    message: str
    path: Path = ()


@dataclass(slots=True)
class Parsed:
    """One document: its value, and where each part of it was written."""

    value: Any
    line: int
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    errors: list[TextError] = field(default_factory=list)

    def where(self, path: Path) -> tuple[int, int]:
        """Return line and column of the value at `path`, or of the nearest thing around it that was written."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (self.line, 1))


class _Stop(Exception):
    """The rest of the text cannot be read."""

    def __init__(self, error: TextError) -> None:
        super().__init__(error.message)
        self.error = error


def decode(data: bytes | str) -> str | TextError:
    """Return the text of a file without its byte order mark, or what is wrong with its bytes."""
    if len(data) > MAX_BYTES:
        return TextError(1, 1, f"the file is longer than {MAX_BYTES // 1024 // 1024} MiB; split it")
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else data
        text = raw.decode("utf-8")
    except UnicodeError as error:
        before = data[: error.start]  # type: ignore[attr-defined]
        newline: Any = "\n" if isinstance(data, str) else b"\n"
        column = len(before) - (before.rfind(newline) + 1) + 1
        hint = "it looks like UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "a byte is not UTF-8"
        return TextError(before.count(newline) + 1, column, f"the file is not UTF-8 text: {hint}; save it as UTF-8")
    text = text.removeprefix("\ufeff")
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        return TextError(line, at - text.rfind("\n", 0, at), "the file holds a NUL byte: it is not text")
    return text


def documents(text: str, *, json: bool = False) -> Iterator[Parsed]:
    """Yield the documents of `text` in their order; a document that cannot be read has its errors and the value None.

    After a syntax error reading goes on behind the next line that says `---`. Documents without content are left out.
    """
    if json:  # YAML has no surrogate pairs
        text = _SURROGATES.sub(_astral, text)
    first_line, nodes, count, broken = 0, 0, 0, 0
    while True:
        reader = _Reader(text, first_line, nodes)
        try:
            for parsed in reader.documents():
                count += 1
                if count > MAX_DOCUMENTS:
                    raise _Stop(TextError(parsed.line, 1, f"more than {MAX_DOCUMENTS:,} documents in one file; split it"))
                yield parsed
            return
        except _Stop as stop:
            yield Parsed(None, stop.error.line, errors=[stop.error])
            return
        except yaml.YAMLError as error:
            problem = _syntax(error, first_line, text)
            yield Parsed(None, problem.line, errors=[problem])
        broken += 1
        skipped = _behind(text, problem.line - first_line)
        if skipped is None or broken >= MAX_SYNTAX_ERRORS:
            return
        nodes, first_line, text = reader.nodes, first_line + skipped[0], skipped[1]


def _behind(text: str, line: int) -> tuple[int, str] | None:
    """Return what follows the next `---` at or after `line` (from 1), and how many lines stand before it."""
    at = 0
    for _ in range(line - 1):
        at = text.find("\n", at) + 1
        if not at:
            return None
    found = re.compile(r"^---(?=\s|$)", re.MULTILINE).search(text, at if line > 1 else 1)
    if not found:
        return None
    return text.count("\n", 0, found.start()), text[found.start() :]


def _astral(found: re.Match[str]) -> str:
    high, low = int(found[2], 16), int(found[3], 16)
    return f"{found[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"


def _syntax(error: yaml.YAMLError, first_line: int, text: str) -> TextError:
    """Say a parser's error in our words. Its own words hold no content of the file."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None)
    if mark is None:  # a control character; libyaml gives its position in bytes only
        found = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]", text)
        at = found.start() if found else 0
        line = first_line + text.count("\n", 0, at) + 1
        return TextError(line, at - text.rfind("\n", 0, at), "a control character is not allowed here; remove it")
    line, column = mark.line + 1, mark.column + 1
    rows = text.split("\n", line)
    here = rows[line - 1][: mark.column + 1] if len(rows) >= line else ""
    if "cannot start any token" in (problem or "") and "\t" in here:
        problem = "a tab cannot indent; use spaces"
    context = f" {error.context}" if getattr(error, "context", None) else ""  # type: ignore[attr-defined]
    return TextError(first_line + line, column, f"cannot read this as YAML{context}: {problem or 'it is malformed'}")


class _Reader:
    """Builds values from the events of one text."""

    def __init__(self, text: str, first_line: int, nodes: int) -> None:
        self.first_line = first_line
        self.nodes = nodes
        self.bytes = 0
        self.document_nodes = 0
        self.events = yaml.parse(text, Loader=yaml.CSafeLoader)
        self.anchors: dict[str, Any] = {}
        self.parsed = Parsed(None, 1)

    def documents(self) -> Iterator[Parsed]:
        for event in self.events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            self.anchors, self.document_nodes = {}, 0
            first = next(self.events)
            self.parsed = Parsed(None, self._mark(first)[0])
            self.parsed.value = self._value(first, (), 0)
            if self.parsed.value is not None or self.parsed.errors:
                yield self.parsed

    def _mark(self, event: Any) -> tuple[int, int]:
        return self.first_line + event.start_mark.line + 1, event.start_mark.column + 1

    def _error(self, event: Any, path: Path, message: str) -> TextError:
        line, column = self._mark(event)
        return TextError(line, column, message, path)

    def _report(self, event: Any, path: Path, message: str) -> None:
        if len(self.parsed.errors) < MAX_ERRORS:
            self.parsed.errors.append(self._error(event, path, message))

    def _count(self, event: Any, path: Path, depth: int, size: int = 0) -> None:
        self.nodes += 1
        self.document_nodes += 1
        self.bytes += size
        if depth > MAX_DEPTH:
            raise _Stop(self._error(event, path[:4], f"nested deeper than {MAX_DEPTH} levels"))
        if self.document_nodes > MAX_NODES:
            raise _Stop(self._error(event, path, f"more than {MAX_NODES:,} values in one document, aliases expanded; split it"))
        if self.nodes > MAX_TOTAL_NODES:
            raise _Stop(self._error(event, path, f"more than {MAX_TOTAL_NODES:,} values in one file, aliases expanded; split it"))
        if self.bytes > MAX_BYTES:
            raise _Stop(self._error(event, path, f"its aliases expand to more than {MAX_BYTES // 1024 // 1024} MiB"))

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _Stop(self._error(event, path, "unknown anchor; it must stand before its alias, and cannot hold itself"))
            return self._copy(self.anchors[event.anchor], event, path, depth)
        self._count(event, path, depth, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0)
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._container_tag(event, path, "seq")
            value = self._sequence(path, depth)
        else:
            self._container_tag(event, path, "map")
            value = self._mapping(path, depth)
        if event.anchor:
            self.anchors[event.anchor] = value
        return value

    def _copy(self, value: Any, event: Any, path: Path, depth: int) -> Any:
        """Expand an alias, counting as if it had been written out: objects stay plain trees, and bombs stop here."""
        self._count(event, path, depth, len(value) if isinstance(value, str) else 0)
        if isinstance(value, dict):
            return {self._key_size(key, event, path): self._copy(item, event, path, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, event, path, depth + 1) for item in value]
        return value

    def _key_size(self, key: str, event: Any, path: Path) -> str:
        self._count(event, path, 0, len(key))
        return key

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self.parsed.marks[here] = self._mark(event)
            items.append(self._value(event, here, depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if event.__class__ is yaml.ScalarEvent and event.value == "<<" and event.implicit[0]:
                merged += self._merge(next(self.events), path, depth)
                continue
            key = self._key(event, path, depth)
            here = (*path, key)
            if key in out:
                self.parsed.errors.append(
                    self._error(
                        event, here, f'duplicate key "{cut(key)}": it stands in line {self.parsed.marks[here][0]} already'
                    )
                )
                self._value(next(self.events), (*path, key + "\0"), depth + 1)  # read on; the first one stays
                continue
            self.parsed.marks[here] = self._mark(event)
            out[key] = self._value(next(self.events), here, depth + 1)
        for source in merged:
            for key, value in source.items():
                out.setdefault(key, value)
        return out

    def _merge(self, event: Any, path: Path, depth: int) -> list[dict[str, Any]]:
        """Read the value of a `<<` key: a mapping, or a list of them."""
        value = self._value(event, (*path, "<<"), depth + 1)
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self._report(event, path, "<< merges a mapping or a list of mappings, nothing else")
            return []
        return sources

    def _key(self, event: Any, path: Path, depth: int) -> str:
        if isinstance(event, yaml.AliasEvent):
            value = self._value(event, path, depth + 1)
            if isinstance(value, str):
                return sys.intern(value)
        if not isinstance(event, yaml.ScalarEvent):
            raise _Stop(self._error(event, path, "a key must be text"))
        self._count(event, path, depth, len(event.value))
        if event.tag and event.tag not in ("!", _TAG + "str"):
            self._scalar(event, path)
        key = sys.intern(event.value)
        if event.anchor:
            self.anchors[event.anchor] = key
        return key

    def _container_tag(self, event: Any, path: Path, name: str) -> None:
        if event.tag and event.tag not in ("!", _TAG + name):
            self._report(event, path, f'unknown tag "{cut(event.tag)}": only plain YAML is read; remove it')

    def _scalar(self, event: Any, path: Path) -> Any:
        tag = event.tag
        if tag is None:
            if not event.implicit[0]:
                return event.value
            value = resolve(event.value)
        elif tag in ("!", _TAG + "str"):
            return event.value
        else:
            value = resolve(event.value)
            wanted = {_TAG + "int": int, _TAG + "float": float, _TAG + "bool": bool, _TAG + "null": type(None)}.get(tag)
            if wanted is float and type(value) is int:
                value = float(value)
            if wanted is None:
                value = Refused(f'unknown tag "{cut(tag)}": only plain YAML is read; remove it')
            elif not isinstance(value, Refused) and type(value) is not wanted:
                value = Refused(f"the value is not what its tag {tag.removeprefix(_TAG)} says")
        if isinstance(value, Refused):
            self._report(event, path, value.message)
            return None
        return value
