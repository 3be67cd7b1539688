"""`anneal events`: what happened, oldest first."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.durations import age
from reconciler.cli.errors import OK
from reconciler.cli.kinds import Kind, lookup
from reconciler.cli.table import render
from reconciler.cli.targets import list_all, single
from reconciler.cli.watch import follow

Object = dict[str, Any]
HEADS = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]


def parser() -> Parser:
    """The flags of `anneal events`."""
    made = Parser(
        "events",
        "[KIND/NAME] [flags]",
        [
            ("anneal events", "of the namespace"),
            ("anneal events machine/worker-1 -w", "of one object, and go on"),
            ("anneal events -A --types=Warning", "what went wrong, anywhere"),
        ],
    )
    made.add_argument("object", nargs="?", metavar="KIND/NAME", help="only those of one object")
    made.add_argument("--for", dest="for_", metavar="KIND/NAME", help="the same, as kubectl writes it")
    made.add_argument("--types", default="", metavar="TYPE", help="only Normal or Warning")
    made.add_argument("-w", "--watch", action="store_true", help="go on with every new event")
    made.add_argument("--no-headers", action="store_true", help="no header line")
    return made.with_selection().with_connection()


def run(argv: list[str]) -> int:
    """List, sort by time, print; watch if asked."""
    args = parser().parse(argv)
    api, namespace = open_api(args)
    events = lookup(api, "events")[0]
    scope = None if args.all_namespaces else namespace
    fields = [args.field_selector] if args.field_selector else []
    if about := args.object or args.for_:
        fields += _about(api, about)
    if args.types:
        fields.append(f"type={args.types}")
    query = {"labelSelector": args.selector, "fieldSelector": ",".join(fields)}
    if args.watch:
        return _follow(api, events, scope, query, args)
    items = sorted(list_all(api, events, scope, query)[0], key=when)
    if not items:
        terminal.note("No events found.")
        return OK
    _print(items, args)
    return OK


def _about(api: Api, text: str) -> list[str]:
    kind, name = single(api, [text], "events --for")
    return [f"involvedObject.kind={kind.kind}", f"involvedObject.name={name}"]


def _follow(api: Api, events: Kind, scope: str | None, query: Object, args: argparse.Namespace) -> int:
    seen: set[tuple[str, str]] = set()
    for change in follow(api, events, scope, query):
        if change.type == "DELETED":  # it expired: that is no news
            continue
        items = change.obj["items"] if change.type == "LISTED" else [change.obj]
        fresh = [item for item in items if _version(item) not in seen]
        seen.update(map(_version, fresh))
        if fresh:
            _print(sorted(fresh, key=when), args)
            args.no_headers = True
            sys.stdout.flush()
    return OK


def _version(event: Object) -> tuple[str, str]:
    return str(event["metadata"].get("uid")), str(event["metadata"].get("resourceVersion"))


def when(event: Object) -> str:
    """The last time it was seen, as text that sorts."""
    series = event.get("series") or {}
    found = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(found or event["metadata"].get("creationTimestamp") or "")


def row(event: Object) -> list[str]:
    """LAST SEEN, TYPE, REASON, OBJECT, MESSAGE."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    count = int(event.get("count") or (event.get("series") or {}).get("count") or 1)
    seen = age(when(event))
    if count > 1:
        seen += f" (x{count} over {age(event.get('firstTimestamp') or event['metadata'].get('creationTimestamp'))})"
    where = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    message = str(event.get("message") or event.get("note") or "").strip()
    return [seen, str(event.get("type") or ""), str(event.get("reason") or ""), where, message]


def _print(items: list[Object], args: argparse.Namespace) -> None:
    wide = args.all_namespaces
    rows = [([item["metadata"].get("namespace", "")] if wide else []) + row(item) for item in items]
    heads = (["NAMESPACE"] if wide else []) + HEADS
    for line in render(heads, rows, width=terminal.width(), with_headers=not args.no_headers):
        warns = "   Warning   " in line
        print(terminal.paint(line, "yellow") if warns else line)
