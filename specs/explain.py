"""`anneal explain`: what a kind or a field is, as `kubectl explain` prints it.

Reads the generated definitions in specs/crds/ and imports no model: a command line that starts in milliseconds uses it.
"""

from __future__ import annotations

import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from specs.suggest import did_you_mean

FOLDER = Path(__file__).parent / "crds"

Schema = dict[str, Any]


class ExplainError(LookupError):
    """There is no such kind or field. The text says what was probably meant."""


def explain(kind: str, path: str = "") -> str:
    """Describe `kind` (any of its names: Machine, machines, machine, mch) or the field at `path` within, such as "spec.local".

    Raises ExplainError if there is none.
    """
    definition = _definition(kind)
    spec = definition["spec"]
    version = spec["versions"][0]
    node: Schema = version["schema"]["openAPIV3Schema"]
    required, name = False, ""
    for name in path.split(".") if path else []:
        node = _inside(node)
        fields = node.get("properties", {})
        if name not in fields:
            raise ExplainError(f'cannot explain {kind}.{path}: no field "{name}" there{did_you_mean(name, fields)}')
        required = name in node.get("required", ())
        node = fields[name] | _untold(name, fields[name], top=path.partition(".")[0] == name)
    head = [f"GROUP:      {spec['group']}", f"KIND:       {spec['names']['kind']}", f"VERSION:    {version['name']}", ""]
    if name:
        head += [f"FIELD: {name} {_type(node)}{' -required-' if required else ''}", ""]
    body = ["DESCRIPTION:", *_wrapped(node.get("description", "")), *(f"    {note}" for note in _notes(node))]
    return "\n".join([*head, *body, *_fields(_inside(node))]) + "\n"


def _definition(kind: str) -> dict[str, Any]:
    known: list[str] = []
    for file in sorted(FOLDER.glob("*.yaml")):
        definition = _read(file)
        names = definition["spec"]["names"]
        every = [names["kind"], names["plural"], names["singular"], *names["shortNames"]]
        if kind.lower() in (name.lower() for name in every):
            return definition
        known += every
    raise ExplainError(f'cannot explain "{kind}": no such kind{did_you_mean(kind, known) or ": known are " + ", ".join(known)}')


@cache
def _read(file: Path) -> dict[str, Any]:
    definition: dict[str, Any] = yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)
    return definition


def _untold(name: str, node: Schema, *, top: bool) -> Schema:
    """What a definition may not hold: the fields of metadata but its name, and those of a value of several types."""
    if not (name == "metadata" and top) and not (name == "candidates" and "type" not in node):
        return {}
    # ask the model, at the price of importing it
    from specs.crd import schema
    from specs.meta import ObjectMeta
    from specs.parameters import Candidate

    known = schema(ObjectMeta if name == "metadata" else Candidate)
    return {key: known[key] for key in ("properties", "required") if key in known}


def _inside(node: Schema) -> Schema:
    """Return where the fields are: of a list, those of its items; of a map of objects, those of its values."""
    while node.get("type") == "array":
        node = node["items"]
    values = node.get("additionalProperties")
    return _inside(values) if isinstance(values, dict) else node


def _type(node: Schema) -> str:
    return f"<{_type_name(node)}>"


def _type_name(node: Schema) -> str:
    if node.get("type") == "array":
        return f"[]{_type_name(node['items'])}"
    if isinstance(values := node.get("additionalProperties"), dict):
        return f"map[string]{_type_name(values)}"
    return "Object" if node.get("type") == "object" else str(node.get("type", "any"))


def limits(node: Schema) -> list[str]:
    """Say in words what a schema allows: its length, its range, its pattern."""
    said = []
    for low, high, what in (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "items"),
                            ("minProperties", "maxProperties", "keys"), ("minimum", "maximum", "")):  # fmt: skip
        least, most = node.get(low), node.get(high)
        if least is not None and most is not None:
            said.append(f"{least} to {most:,} {what}".strip())
        elif most is not None:
            said.append(f"at most {most:,} {what}".strip())
        elif least is not None:
            said.append(f"at least {least:,} {what}".strip())
    if pattern := node.get("pattern"):
        said.append(f"matching {pattern}")
    return said


def default(node: Schema) -> str | None:
    """Write the default as YAML's flow style, None if there is none."""
    if "default" not in node:
        return None
    text: str = yaml.dump(node["default"], default_flow_style=True, width=2**20).removesuffix("\n...\n").strip()
    return text


def _notes(node: Schema) -> list[str]:
    notes = []
    if choices := node.get("enum"):
        notes.append(f"enum: {', '.join(map(str, choices))}")
    if (value := default(node)) is not None:
        notes.append(f"default: {value}")
    if said := limits(node):
        notes.append(f"limits: {'; '.join(said)}")
    notes += [f"rule: {rule['message']}" for rule in node.get("x-kubernetes-validations", ())]
    return notes


def _fields(node: Schema) -> list[str]:
    fields: dict[str, Schema] = node.get("properties", {})
    if not fields:
        return []
    out = ["", "FIELDS:"]
    for name, child in sorted(fields.items()):
        required = " -required-" if name in node.get("required", ()) else ""
        out += [f"  {name}\t{_type(child)}{required}", *_wrapped(child.get("description", ""))]
        out += [*(f"    {note}" for note in _notes(child)), ""]
    return out[:-1]


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += textwrap.wrap(" ".join(paragraph.split()), 96, initial_indent="    ", subsequent_indent="    ")
    return lines or ["    <none>"]
