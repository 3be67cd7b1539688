"""YAML and JSON text → resources. Every error says where, what was expected and what to do; the text may be anything.

Nothing is filled in but the namespace: a document's object is what was written. Limits are those of yamltext.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import BaseModel

from specs.builtin import BUILTIN
from specs.kinds import BY_KIND
from specs.meta import API_VERSION
from specs.problems import Problem, dotted, problems
from specs.scalars import cut, resolve
from specs.suggest import did_you_mean
from specs.yamltext import MAX_BYTES, Parsed, Path, TextError, decode, documents

__all__ = ["MAX_BYTES", "Document", "Loaded", "SpecError", "dump", "load"]

HINT = "What runs now keeps running; fix the line and save the file."
MAX_ERRORS = 100
"""Most errors that are told of one file."""

_BY_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "selfLink")


@dataclass(frozen=True, slots=True)
class Document:
    """One object as it was written, its namespace filled in."""

    object: dict[str, Any]
    kind: str
    name: str
    file: str
    line: int
    """Where it begins, from 1."""

    @property
    def namespace(self) -> str | None:
        """Its namespace; None for a kind that has none."""
        namespace: str | None = self.object["metadata"].get("namespace")
        return namespace


@dataclass(frozen=True, slots=True)
class SpecError:
    """One thing that is wrong with a file. Never holds a secret."""

    file: str
    line: int
    column: int
    object: str
    """Kind and name, such as Machine/worker-1, as far as they are known."""
    path: str
    """The field, such as spec.simulated.flavor; may be empty."""
    message: str
    """What was expected."""
    hint: str = HINT
    """What to do, and what happens until then."""

    def __str__(self) -> str:
        place = "  ".join(part for part in (f"{self.file}:{self.line}:{self.column}", self.object, self.path) if part)
        return "\n  ".join(part for part in (place, self.message, self.hint) if part)


@dataclass(slots=True)
class Loaded:
    """What a file holds: the documents that are right, and all that is wrong with the others."""

    documents: list[Document] = field(default_factory=list)
    errors: list[SpecError] = field(default_factory=list)


def load(text: str | bytes, *, name: str, namespace: str = "default") -> Loaded:
    """Read all objects of one file; `name` is how errors call it, and `.json` at its end says that it is JSON.

    Never raises, whatever the text is. Who reads a file reads at most MAX_BYTES + 1 bytes of it: one more is an error already.
    """
    loaded = Loaded()
    decoded = decode(text)
    if isinstance(decoded, TextError):
        loaded.errors.append(SpecError(name, decoded.line, decoded.column, "", "", decoded.message))
        return loaded
    seen: dict[tuple[str, str | None, str], int] = {}
    for parsed in documents(decoded, json=name.endswith(".json")):
        if parsed.errors:
            label = _label(parsed.value)
            loaded.errors += [
                SpecError(name, error.line, error.column, label, dotted(error.path), error.message) for error in parsed.errors
            ]
        else:
            for base, obj in _unpacked(parsed.value):
                _read(loaded, parsed, base, obj, name, namespace, seen)
        if len(loaded.errors) >= MAX_ERRORS:
            del loaded.errors[MAX_ERRORS:]
            break
    loaded.errors.sort(key=lambda error: (error.line, error.column))
    return loaded


def _unpacked(value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the objects of a v1 List one by one, anything else as it is."""
    if isinstance(value, dict) and value.get("kind") == "List" and value.get("apiVersion") == "v1":
        items = value.get("items")
        if isinstance(items, list):
            for index, item in enumerate(items):
                yield ("items", index), item
            return
    yield (), value


def _read(
    loaded: Loaded, parsed: Parsed, base: Path, obj: Any, name: str, namespace: str, seen: dict[tuple[str, str | None, str], int]
) -> None:
    line = parsed.where(base)[0]
    found = _check(obj)
    if not found:
        kind, metadata = obj["kind"], obj["metadata"]
        if _namespaced(kind):
            metadata.setdefault("namespace", namespace)
        key = (kind, metadata.get("namespace"), metadata["name"])
        if key not in seen:
            seen[key] = line
            loaded.documents.append(Document(obj, kind, metadata["name"], name, line))
            return
        found = [Problem(("metadata", "name"), f"the same object stands in line {seen[key]} of this file already; remove one")]
    label = _label(obj)
    for problem in found[: MAX_ERRORS - len(loaded.errors)]:
        at, column = parsed.where((*base, *problem.path))
        loaded.errors.append(SpecError(name, at, column, label, dotted(problem.path), problem.message))


def _namespaced(kind: str) -> bool:
    return BY_KIND[kind].names.namespaced if kind in BY_KIND else BUILTIN[kind].namespaced


def _check(obj: Any) -> list[Problem]:
    if not isinstance(obj, dict):
        return [Problem((), "expected an object with apiVersion, kind, metadata and spec")]
    kind = obj.get("kind")
    if not isinstance(kind, str):
        return [Problem(("kind",), '"kind" is required, such as Machine')]
    model: type[BaseModel] | None = BY_KIND.get(kind) or BUILTIN.get(kind)
    if model is None:
        known = [*BY_KIND, *BUILTIN]
        return [Problem(("kind",), f'unknown kind "{cut(kind)}"{did_you_mean(kind, known) or ": known are " + ", ".join(known)}')]
    wanted = API_VERSION if kind in BY_KIND else "v1"
    if obj.get("apiVersion") != wanted:
        return [Problem(("apiVersion",), f"expected {wanted} for kind {kind}")]
    found = problems(model, obj, secret=kind == "Secret")
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        found += _by_server(metadata)
        if "name" not in metadata:
            found.append(Problem(("metadata",), '"name" is required'))
        if metadata.get("namespace") is not None and not _namespaced(kind):
            found.append(Problem(("metadata", "namespace"), f"a {kind} is in no namespace; remove the line"))
    if kind in BY_KIND and obj.get("status"):
        found.append(Problem(("status",), "status is written by anneal, never by a file; remove it"))
    return found


def _by_server(metadata: dict[str, Any]) -> list[Problem]:
    return [
        Problem(("metadata", name), f"{name} is set by the server, never by a file; remove it")
        for name in _BY_SERVER
        if metadata.get(name) is not None
    ]


def _label(obj: Any) -> str:
    """Name an object that may be malformed: Machine/worker-1, or as much of it as there is."""
    if not isinstance(obj, dict):
        return ""
    kind, metadata = obj.get("kind"), obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return "/".join(cut(part) for part in (kind, name) if isinstance(part, str))


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_str(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:str"
    if _is_block(text):
        return dumper.represent_scalar(tag, text, style="|")
    # quoted wherever YAML 1.2 sees something else than text; PyYAML looks after 1.1
    plain = isinstance(resolve(text), str)
    return dumper.represent_scalar(tag, text, style=None if plain else '"')


def _is_block(text: str) -> bool:
    """Say whether the text reads better, and safely, line by line."""
    lines = text.split("\n")
    return len(lines) > 1 and bool(re.match(r"\S", text)) and all(line.isprintable() and line == line.rstrip() for line in lines)


_Dumper.add_representer(str, _write_str)


def dump(objects: list[dict[str, Any]]) -> str:
    """Write objects as YAML documents. Reading them gives the same objects, here and with any YAML 1.1 reader."""
    return "---\n".join(
        yaml.dump(obj, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20, default_flow_style=False)
        for obj in objects
    )
