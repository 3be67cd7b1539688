"""`anneal tree`: owners, the objects that they own, and the external things behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.conditions import condition
from reconciler.cli.connect import open_api
from reconciler.cli.errors import OK
from reconciler.cli.kinds import Kind, lookup, ours
from reconciler.cli.output import short_name
from reconciler.cli.targets import list_all, parse, read

Object = dict[str, Any]


def parser() -> Parser:
    """The flags of `anneal tree`."""
    made = Parser(
        "tree",
        "[KIND/NAME…] [flags]",
        [("anneal tree", "everything in the namespace"), ("anneal tree machine/worker-1", "one object and what hangs on it")],
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Read all objects once, hang each under its owner, print."""
    args = parser().parse(argv)
    api, namespace = open_api(args)
    scope = None if args.all_namespaces else namespace
    objects = _objects(api, scope)
    if args.what:
        roots = []
        for target in parse(api, args.what):
            names = target.names or [item["metadata"]["name"] for item in list_all(api, target.kind, scope)[0]]
            roots += [_named(api, target.kind, namespace, name) for name in names]
    else:
        known = {obj["metadata"]["uid"] for obj in objects}
        roots = [
            obj
            for obj in objects
            if not any(ref in known for ref in _owners(obj)) and obj["apiVersion"].startswith("anneal.dev/")
        ]
    if not roots:
        terminal.note("No resources found.")
    for root in roots:
        for line in render(root, objects):
            print(line)
    return OK


def _named(api: Api, kind: Kind, namespace: str, name: str) -> Object:
    obj: Object = read(api, kind, namespace, name)
    obj.setdefault("kind", kind.kind)
    obj.setdefault("apiVersion", kind.api_version)
    return obj


def _objects(api: Api, scope: str | None) -> list[Object]:
    """Everything that can own or be owned: our kinds, and the built-in ones that they make."""
    kinds = [*ours(api), *lookup(api, "configmaps"), *lookup(api, "secrets")]
    return [item for kind in kinds for item in list_all(api, kind, scope)[0]]


def _owners(obj: Object) -> list[str]:
    return [ref.get("uid", "") for ref in obj["metadata"].get("ownerReferences") or ()]


def render(root: Object, objects: list[Object]) -> Iterator[str]:
    """The lines of one tree."""
    yield _label(root)
    yield from _below(root, objects, "", {root["metadata"]["uid"]})


def _below(obj: Object, objects: list[Object], prefix: str, path: set[str]) -> Iterator[str]:
    """What hangs under `obj`: objects that it owns, then its parts. `path` guards against owners in a ring."""
    owned = [each for each in objects if obj["metadata"]["uid"] in _owners(each) and each["metadata"]["uid"] not in path]
    status = obj.get("status") or {}
    leaves = [_part(part) for part in status.get("parts") or ()] + [_intent(intent) for intent in status.get("intents") or ()]
    for i in range(len(owned) + len(leaves)):
        last = i == len(owned) + len(leaves) - 1
        branch, space = _branch(last)
        if i >= len(owned):
            yield f"{prefix}{branch}{leaves[i - len(owned)]}"
            continue
        yield f"{prefix}{branch}{_label(owned[i])}"
        yield from _below(owned[i], objects, prefix + space, path | {owned[i]["metadata"]["uid"]})


def _branch(last: bool) -> tuple[str, str]:
    if not terminal.unicode_ok():
        return ("`- " if last else "|- "), ("   " if last else "|  ")
    return ("└─ " if last else "├─ "), ("   " if last else "│  ")


def _label(obj: Object) -> str:
    """Mark, name, and where it is not ready: why."""
    name = short_name(obj)
    if not (obj.get("status") or {}).get("conditions") and not obj["apiVersion"].startswith("anneal.dev/"):
        return name
    ready = condition(obj)
    status = ready.get("status", "Unknown")
    fancy = terminal.unicode_ok()
    mark = {"True": "✔" if fancy else "ok", "False": "✘" if fancy else "x"}.get(status, "?")
    label = f"{terminal.paint(mark, terminal.truth(status))} {name}"
    if obj["metadata"].get("deletionTimestamp"):
        label += "  (deleting)"
    if status == "True":
        return label
    return f"{label}  {': '.join(filter(None, (ready.get('reason') or 'Pending', terminal.clean(ready.get('message') or ''))))}"


def _part(part: Object) -> str:
    return terminal.paint(f"{part.get('name')}", "cyan") + f"  {terminal.clean(part.get('ref'))}"


def _intent(intent: Object) -> str:
    return terminal.paint(f"{intent.get('part')}", "cyan") + f"  {terminal.clean(intent.get('name'))}  (being created)"
