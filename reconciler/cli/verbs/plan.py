"""`anneal plan`: what the drivers would do outside, without doing it."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_api, open_daemon
from reconciler.cli.errors import CHANGES, FAILURE, OK, UsageError
from reconciler.cli.targets import Target, list_all, parse, read

Object = dict[str, Any]
PLAN_SECONDS = 300.0
_MARKS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_ACTIONS = {"create": "green", "update": "yellow", "delete": "red", "replace": "red", "stop": "red", "invalid": "red"}
_QUIET = ("none",)


def parser() -> Parser:
    """The flags of `anneal plan`."""
    made = Parser(
        "plan",
        "[FILE|DIR…] [KIND/NAME…] [flags]",
        [
            ("anneal plan", "for everything there is"),
            ("anneal plan workers.yaml", "as if the file were applied; -f workers.yaml is the same"),
            ("anneal plan machine/worker-1", "for one object"),
            ("anneal plan -f specs/ -R; test $? = 2", "exit 0: no change, 2: changes, 1: something is wrong"),
        ],
        more="It looks at the world and plans as the daemon does, then stops: what it prints is what the next passes do.",
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME", help="objects; or files and folders, as with -f")
    made.add_argument("-o", "--output", default="", choices=("json",), metavar="FORMAT", help="json")
    return made.with_files().with_connection()


def run(argv: list[str]) -> int:
    """Ask the daemon for the plan; 2 if there are changes, 1 if an object is invalid."""
    args = parser().parse(argv)
    if args.filename and args.what:
        raise UsageError("cannot plan for a file and for named objects at once: give -f or KIND/NAME")
    api, namespace = open_api(args)
    body: Object = {"objects": None, "targets": None}
    targets = _targets(api, args) if args.what else []
    if args.filename:
        from reconciler.cli.files import load_files

        body["objects"] = [found.object for found in load_files(args.filename, namespace=namespace, recursive=args.recursive)]
    elif targets:
        body["targets"] = []
        for target in targets:
            names = target.names or [item["metadata"]["name"] for item in list_all(api, target.kind, namespace)[0]]
            for name in names:
                read(api, target.kind, namespace, name)
                body["targets"].append({"plural": target.kind.plural, "namespace": namespace, "name": name})
    answer = ask_daemon(open_daemon(args), "POST", "/plan", body=body, seconds=PLAN_SECONDS)
    if args.output == "json":
        print(json.dumps(answer, indent=4))
    else:
        print("\n".join(render(answer["objects"], colour=terminal.coloured())))
    if any(row["action"] == "invalid" for row in answer["objects"]):
        return FAILURE
    return CHANGES if answer["changes"] else OK


def _targets(api: Api, args: argparse.Namespace) -> list[Target]:
    """The objects that were named. Words that name none, but files that are there, are taken as if they stood after -f."""
    try:
        return parse(api, args.what)
    except UsageError:
        if not all(os.path.exists(word) for word in args.what):
            raise
        args.filename = args.what
        return []


def render(rows: list[Object], *, colour: bool = False) -> list[str]:
    """Lines of a plan: each object that is not as wanted, its steps, what is lost; a summary last."""
    lines: list[str] = []
    for row in rows:
        if row["action"] not in _QUIET:
            lines += [*_object(row, colour), ""]
    return [*lines, _summary(rows, colour)]


def _object(row: Object, colour: bool) -> list[str]:
    action = terminal.paint(row["action"], _ACTIONS.get(row["action"], "yellow"), on=colour)
    head = f"{row['kind']}/{row['name']}  {action}"
    said = ": ".join(filter(None, (row.get("reason"), row.get("message"))))
    lines = [f"{head}  {terminal.clean(said)}".rstrip()]
    for step in row.get("steps") or ():
        mark, tint = _MARKS.get(step["verb"], ("?", "yellow"))
        what = terminal.paint(f"{mark}{step['verb']} {step['part']}", tint, on=colour)
        lines.append(f"  {what}  {terminal.clean(step.get('why') or '')}".rstrip())
        lines += [f"      {field}: {_value(value)}" for field, value in (step.get("changes") or {}).items()]
        if step.get("destroys"):
            lines.append("      " + terminal.paint(f"destroys {terminal.clean(step['destroys'])}", "red", on=colour))
        if step.get("interrupts"):
            lines.append("      " + terminal.paint(f"interrupts: {terminal.clean(step['interrupts'])}", "red", on=colour))
    return lines


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return terminal.clean(text if len(text) <= 200 else text[:199] + "…")


def _summary(rows: list[Object], colour: bool) -> str:
    if not rows:
        return "No objects: nothing to plan for. `anneal up -d DIR` follows a folder of them."
    steps = [step for row in rows for step in row.get("steps") or ()]
    counts = {verb: sum(step["verb"] == verb for step in steps) for verb in ("create", "update", "delete")}
    waiting = sum(row["action"] in ("wait", "stop") for row in rows)
    invalid = sum(row["action"] == "invalid" for row in rows)
    stored = sum(row["action"] in ("create", "update", "delete", "replace") and not row.get("steps") for row in rows)
    parts = [f"{counts['create']} to create, {counts['update']} to update, {counts['delete']} to delete"] if steps else []
    parts += [f"{stored} only stored"] if stored else []
    parts += [f"{waiting} waiting"] if waiting else []
    parts += [f"{invalid} invalid"] if invalid else []
    text = f"{len(rows)} object{'s' * (len(rows) != 1)}: {'; '.join(parts) or 'no changes'}."
    lost = sum(bool(step.get("destroys")) for step in steps)
    return text + (
        terminal.paint(f" {lost} step{'s' * (lost != 1)} destroy{'s' * (lost == 1)} something.", "red", on=colour) if lost else ""
    )
