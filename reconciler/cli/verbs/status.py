"""`anneal status`: the daemon, its sources, its kinds, what waits and what fails."""

from __future__ import annotations

import json
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_daemon
from reconciler.cli.durations import age
from reconciler.cli.errors import FAILURE, OK
from reconciler.cli.table import render as table

Object = dict[str, Any]
REMOVALS = 20


def parser() -> Parser:
    """The flags of `anneal status`."""
    made = Parser(
        "status",
        "[-o json]",
        [("anneal status", ""), ("anneal status -o json | jq .queue", "for scripts")],
        more="Exit code 0 if all is well, 1 if something needs a person, 4 if no daemon answers.",
    )
    made.add_argument("-o", "--output", default="", choices=("json", "yaml"), metavar="FORMAT", help="json or yaml")
    return made.with_connection(namespace=False)


def run(argv: list[str]) -> int:
    """Ask the daemon; 1 if it is not well."""
    args = parser().parse(argv)
    status = ask_daemon(open_daemon(args), "GET", "/status")
    if args.output == "json":
        print(json.dumps(status, indent=4, ensure_ascii=False))
    elif args.output == "yaml":
        from reconciler.cli.output import to_yaml

        print(to_yaml(status), end="")
    else:
        print("\n".join(render(status, colour=terminal.coloured(), width=terminal.width())))
    return OK if healthy(status) else FAILURE


def healthy(status: Object) -> bool:
    """It works, every source is in step, no breaker is open."""
    in_step = all(source["state"] == "Synced" for source in status["sources"])
    return bool(status["ready"]) and in_step and not any(breaker["open"] for breaker in status["breakers"])


def render(status: Object, *, colour: bool = False, width: int | None = None) -> list[str]:
    """Lines for people."""
    good = terminal.paint("working", "green", on=colour)
    bad = terminal.paint("not working: " + "; ".join(map(terminal.clean, status["notReady"])), "red", on=colour)
    leader = status["leader"]
    lines = [
        f"Daemon    {good if status['ready'] else bad}",
        f"          version {status['version']}, pid {status['pid']}, up {age(status['startedAt'])}, home {status['home']}",
        f"API       {status['apiserver']} ({status['mode']})",
    ]
    if not leader["self"]:
        lines.append(f"Leader    {leader['holder'] or 'nobody'}")
    queue, informer = status["queue"], status.get("informer") or {}
    waiting = f"{queue['depth']} to look at, {queue['busy']} being looked at, {queue['retrying']} to try again later"
    lines.append(
        f"Queue     {waiting}" + (f"; informer restarted {informer['restarts']} times" if informer.get("restarts") else "")
    )
    lines += ["", *_kinds(status["kinds"], colour), "", *sources(status["sources"], colour=colour, width=width)]
    lines += clouds(status.get("clouds") or [], colour=colour)
    for breaker in status["breakers"]:
        if breaker["open"]:
            head = terminal.paint(f"Breaker {breaker['driver']} is open", "red", on=colour)
            lines += [
                "",
                f"{head}: {terminal.clean(breaker['message'])}",
                f"  see `anneal confirm --breaker {breaker['driver']}`",
            ]
    return lines


def _kinds(kinds: list[Object], colour: bool) -> list[str]:
    rows = []
    for kind in kinds:
        ready, total = kind["ready"], kind["total"]
        rows.append([kind["kind"], total, ready, total - ready])
    lines = table(["KIND", "OBJECTS", "READY", "NOT READY"], rows)
    return [terminal.paint(line, "yellow", on=colour) if i and rows[i - 1][3] else line for i, line in enumerate(lines)]


def clouds(found: list[Object], *, colour: bool = False) -> list[str]:
    """What each account of a cloud has used of its quotas; what is used up stands out."""
    lines: list[str] = []
    for each in found:
        rows = [[row["resource"], row["used"], "-" if row["limit"] is None else row["limit"]] for row in each["quotas"]]
        lines += ["", f"Cloud {terminal.clean(each['account'])}" + (f", {age(each['asOf'])} ago" if each["asOf"] else "")]
        if each["error"]:
            lines.append(terminal.paint(f"  quotas cannot be told: {terminal.clean(each['error'])}", "red", on=colour))
        if rows:
            head, *body = table(["QUOTA", "USED", "LIMIT"], rows)
            full = [row["limit"] is not None and row["used"] >= row["limit"] for row in each["quotas"]]
            lines += [f"  {head}"]
            lines += [
                f"  {terminal.paint(line, 'red', on=colour) if is_full else line}"
                for line, is_full in zip(body, full, strict=True)
            ]
    return lines


def sources(found: list[Object], *, colour: bool = False, width: int | None = None) -> list[str]:
    """The folders that are followed: a table, then each error and each removal that waits."""
    if not found:
        return ["No source: `anneal up -d DIR` follows a folder of YAML."]
    rows = [
        [each["id"], each["state"], each["files"], each["objects"], age(each.get("lastSync")), each["path"]] for each in found
    ]
    lines = table(["SOURCE", "STATE", "FILES", "OBJECTS", "SYNCED", "PATH"], rows)
    for i, each in enumerate(found):
        if each["state"] != "Synced":
            lines[i + 1] = terminal.paint(lines[i + 1], "red", on=colour)
    for each in found:
        for error in each["errors"]:
            lines += ["", *problem(error, colour=colour)]
        if removals := each.get("pendingRemovals") or []:
            lines += ["", f"{len(removals)} removals of source {each['id']} wait for `anneal confirm {each['id']}`:"]
            lines += [f"  - {name}" for name in removals[:REMOVALS]]
            lines += [f"  and {len(removals) - REMOVALS} more"] if len(removals) > REMOVALS else []
    return lines


def problem(error: Object, *, colour: bool = False) -> list[str]:
    """One error of a file: place, what was expected, what to do."""
    place = str(error.get("file") or "")
    if error.get("line"):
        place += f":{error['line']}" + (f":{error['column']}" if error.get("column") else "")
    first = "  ".join(part for part in (place, error.get("object"), error.get("path")) if part)
    lines = [terminal.paint(terminal.clean(first), "bold", on=colour)] if first else []
    for text in (error.get("message"), error.get("hint")):
        lines += [f"  {line}" for line in terminal.clean_lines(text or "")]
    return lines
