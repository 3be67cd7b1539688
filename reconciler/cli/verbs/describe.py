"""`anneal describe`: one object for people: what is wanted, what is there, what is the matter, what happened."""

from __future__ import annotations

import argparse
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.conditions import condition, conditions
from reconciler.cli.connect import ask_daemon, open_api, open_daemon
from reconciler.cli.durations import age
from reconciler.cli.errors import OK, CliError
from reconciler.cli.kinds import GROUP, Kind, lookup
from reconciler.cli.output import to_yaml
from reconciler.cli.table import render
from reconciler.cli.targets import list_all, parse, read
from reconciler.cli.verbs.apply import source_of
from reconciler.cli.verbs.events import HEADS, row, when
from reconciler.cli.verbs.why import render as render_why

Object = dict[str, Any]
EVENTS = 20
_OWN = ("conditions", "parts", "failures", "intents", "observedGeneration", "resolved")


def parser() -> Parser:
    """The flags of `anneal describe`."""
    made = Parser(
        "describe",
        "KIND/NAME… | KIND [NAME…] [flags]",
        [("anneal describe machine/worker-1", ""), ("anneal describe machines -l role=worker", "each of them")],
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    return made.with_selection().with_connection()


def run(argv: list[str]) -> int:
    """Print each object."""
    args = parser().parse(argv)
    api, namespace = open_api(args)
    scope = None if args.all_namespaces else namespace
    query = {"labelSelector": args.selector, "fieldSelector": args.field_selector}
    found: list[tuple[Kind, Object]] = []
    for target in parse(api, args.what):
        if target.names:
            found += [(target.kind, read(api, target.kind, namespace, name)) for name in target.names]
        else:
            found += [(target.kind, item) for item in list_all(api, target.kind, scope, query)[0]]
    if not found:
        terminal.note("No resources found.")
    for i, (kind, obj) in enumerate(found):
        if i:
            print("\n")
        obj.setdefault("kind", kind.kind)
        obj.setdefault("apiVersion", kind.api_version)
        print("\n".join([*head(obj), *body(obj), *_events(api, obj), *_why(args, kind, obj)]))
    return OK


def head(obj: Object) -> list[str]:
    """Name, kind, labels, where it comes from, and whether it is paused or on its way out."""
    meta = obj["metadata"]
    notes = {
        key: value for key, value in (meta.get("annotations") or {}).items() if not key.endswith("last-applied-configuration")
    }
    status = obj.get("status") or {}
    generation = str(meta.get("generation", ""))
    if "observedGeneration" in status and generation:
        generation += f" (observed: {status['observedGeneration']})"
    source = source_of(obj)
    owners = ", ".join(f"{ref['kind']}/{ref['name']}" for ref in meta.get("ownerReferences") or ())
    created = f"{meta['creationTimestamp']} ({age(meta['creationTimestamp'])} ago)" if meta.get("creationTimestamp") else ""
    deleting = f"since {meta['deletionTimestamp']} ({age(meta['deletionTimestamp'])})" if meta.get("deletionTimestamp") else ""
    lines = [
        ("Name", meta["name"]),
        ("Namespace", meta.get("namespace", "")),
        ("Kind", f"{obj['kind']} ({obj['apiVersion']})"),
        ("Labels", _pairs(meta.get("labels") or {})),
        ("Annotations", _pairs(notes)),
        ("Created", created),
        ("Generation", generation),
        ("Source", f"{source[1]} of source {source[0]}" if source else ""),
        ("Owner", owners),
        ("Paused", "yes: remove the annotation anneal.dev/paused to go on" if f"{GROUP}/paused" in notes else ""),
        ("Deleting", deleting),
        ("Finalizers", ", ".join(meta.get("finalizers") or ())),
    ]
    return [f"{label + ':':<14}{_indented(str(text))}" for label, text in lines if text]


def _pairs(pairs: Object) -> str:
    return "\n".join(f"{key}={terminal.clean(value)[:200]}" for key, value in sorted(pairs.items()))


def _indented(text: str) -> str:
    return text.replace("\n", "\n" + " " * 14)


def body(obj: Object) -> list[str]:
    """Spec, what is there, conditions, parts, failures; whatever else a kind has at its top."""
    lines: list[str] = []
    for field, value in obj.items():
        if field not in ("apiVersion", "kind", "metadata", "status"):
            lines += _block(field, _masked(value) if obj["kind"] == "Secret" and field in ("data", "stringData") else value)
    status = obj.get("status") or {}
    lines += _block("status", {key: value for key, value in status.items() if key not in _OWN and value not in (None, [], {})})
    if found := conditions(obj):
        lines += _table("Conditions", ["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], _condition_rows(found))
    if parts := status.get("parts"):
        lines += _table("Parts", ["NAME", "ID"], [[part.get("name"), part.get("ref")] for part in parts])
    if intents := status.get("intents"):
        rows = [[each.get("part"), each.get("name"), age(each.get("time"))] for each in intents]
        lines += _table("Being created", ["PART", "NAME", "SINCE"], rows)
    if failures := status.get("failures"):
        rows = [[each.get("part"), each.get("count"), age(each.get("time")), each.get("message") or ""] for each in failures]
        lines += _table("Failures", ["PART", "COUNT", "LAST", "MESSAGE"], rows)
    return lines


def _condition_rows(found: list[Object]) -> list[list[Any]]:
    """One row a condition; what an earlier one said in the same words is not said again."""
    rows: list[list[Any]] = []
    told: dict[str, Any] = {}
    for each in found:
        message = str(each.get("message") or "")
        said = f"as {told[message]}" if message in told else message
        if message:
            told.setdefault(message, each.get("type"))
        rows.append([each.get("type"), each.get("status"), each.get("reason"), age(each.get("lastTransitionTime")), said])
    return rows


def _masked(value: Any) -> Any:
    """A Secret's values as their sizes, as kubectl does."""
    return {key: f"{len(str(text)) * 3 // 4} bytes" for key, text in value.items()} if isinstance(value, dict) else value


def _block(field: str, value: Any) -> list[str]:
    if value in (None, {}, []):
        return []
    title = field[:1].upper() + field[1:]
    if not isinstance(value, dict | list):
        return [f"{title + ':':<14}{terminal.clean(value)}"]
    return [f"{title}:", *(f"  {terminal.clean(line)}" for line in to_yaml(value).splitlines())]


def _table(title: str, heads: list[str], rows: list[list[Any]]) -> list[str]:
    width = terminal.width()
    lines = render(heads, rows, width=None if width is None else width - 2, colour=terminal.coloured())
    return [f"{title}:", *(f"  {line}" for line in lines)]


def _events(api: Api, obj: Object) -> list[str]:
    meta = obj["metadata"]
    fields = f"involvedObject.uid={meta.get('uid')}"
    try:
        items, _ = list_all(api, lookup(api, "events")[0], meta.get("namespace") or "default", {"fieldSelector": fields})
    except CliError as error:
        return [f"Events:       unknown: {error}"]
    if not items:
        return ["Events:       none"]
    rows = [[cell for i, cell in enumerate(row(item)) if i != 3] for item in sorted(items, key=when)[-EVENTS:]]
    return _table("Events", [head for head in HEADS if head != "OBJECT"], rows)


def _why(args: argparse.Namespace, kind: Kind, obj: Object) -> list[str]:
    """The way to the deepest cause, if it is not ready. A daemon that does not answer is no reason to fail."""
    if kind.group != GROUP or condition(obj).get("status") == "True":
        return []
    meta = obj["metadata"]
    try:
        answer = ask_daemon(open_daemon(args), "GET", f"/why/{kind.plural}/{meta['namespace']}/{meta['name']}", seconds=5)
        if len(answer["nodes"]) == 1:  # its own conditions have said it all
            return [
                f"Next:         {terminal.clean(answer.get('next') or '')}",
                f"Runbook:      {answer.get('runbook') or 'none'}",
            ]
        return ["Why:", *(f"  {line}" for line in render_why(answer, colour=terminal.coloured()))]
    except (CliError, LookupError, TypeError):
        return [f"Why:          the daemon does not answer; `anneal why {kind.singular}/{meta['name']}` asks it again"]
