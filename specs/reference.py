"""docs/reference/: one page per kind and the table of reasons, written from the models by `python -m specs.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from specs.crd import Schema, crd
from specs.explain import default, limits
from specs.kinds import KINDS
from specs.meta import API_VERSION, Resource
from specs.reasons import REASONS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
HEAD = "<!-- Generated from specs/ by `make generate`: change the model, not this page. -->\n\n"


def page(kind: type[Resource]) -> str:
    """Return the page of one kind, as Markdown."""
    names = kind.names
    version = crd(kind)["spec"]["versions"][0]
    root: Schema = version["schema"]["openAPIV3Schema"]
    out = [f"# {names.kind}", "", root["description"], ""]
    out += [f"`apiVersion: {API_VERSION}`, `kind: {names.kind}`. On the command line: {_called(kind)}.", ""]
    out += ["## Rules", "", "Beside the limits of each field:", ""]
    out += [f"* `{path}`: {rule}" for path, rule in _rules(root)]
    out += ["", "## What `anneal get` shows", "", "| column | what it says |", "|---|---|"]
    out += [f"| {column.name}{' (with -o wide)' if column.priority else ''} | {column.description} |" for column in kind.columns]
    for part in ("spec", "status"):
        out += ["", f"## {part}", "", root["properties"][part].get("description", ""), ""]
        out += ["| field | type | default | what it is |", "|---|---|---|---|"]
        out += list(_rows(root["properties"][part], part))
    return HEAD + "\n".join(out) + "\n"


def _called(kind: type[Resource]) -> str:
    return ", ".join(f"`{name}`" for name in (kind.names.plural, kind.names.singular, *kind.names.short))


def _rules(node: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    for rule in node.get("x-kubernetes-validations", ()):
        yield path, rule["message"]
    for name, child in node.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}" if path else name)
    if "items" in node:
        yield from _rules(node["items"], f"{path}[]")


def _rows(node: Schema, path: str) -> Iterator[str]:
    required = node.get("required", ())
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}"
        value = default(child)
        shown = "**required**" if name in required else f"`{value}`" if value not in (None, "{}") else ""
        yield f"| `{here}` | {_type(child)} | {shown} | {_what(child)} |"
        inner = child
        while inner.get("type") == "array":
            inner, here = inner["items"], f"{here}[]"
        yield from _rows(inner, here)


def _type(node: Schema) -> str:
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"map of {_type(node['additionalProperties'])}"
    return str(node.get("type", "any"))


def _what(node: Schema) -> str:
    text: Any = node.get("description", "")
    notes = [f"one of {', '.join(f'`{choice}`' for choice in node['enum'])}"] if "enum" in node else []
    notes += [f"`{note}`" if note.startswith("matching") else note for note in limits(node)]
    return (" ".join(text.split()) + (f" ({'; '.join(notes)})" if notes else "")).replace("|", "\\|")


def reasons() -> str:
    """Return the table of all reasons, each linked to its runbook."""
    rows = [f"| [{reason}](../runbooks/{reason}.md) | {meaning} |" for reason, meaning in REASONS.items()]
    return HEAD + "\n".join(["# Reasons", "", "| reason | what it means |", "|---|---|", *rows]) + "\n"


def files() -> dict[Path, str]:
    """Return what docs/reference/ must hold: path → text."""
    return {FOLDER / f"{kind.names.singular}.md": page(kind) for kind in KINDS} | {FOLDER / "reasons.md": reasons()}


def main(arguments: list[str]) -> int:
    """Write the pages; with --check, only say which differ."""
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    extra = sorted(set(FOLDER.glob("*.md")) - set(wanted))
    if "--check" in arguments:
        for path in stale + extra:
            print(f"{path.relative_to(FOLDER.parents[1])} is not what the models say; run `make generate`", file=sys.stderr)
        return 1 if stale or extra else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], "utf-8")
    for path in extra:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
