"""`anneal dlq`: the requests of a ModelDeployment that were given up; have them answered after all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from reconciler.cli import terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_api, open_daemon
from reconciler.cli.errors import FAILURE, OK, UsageError
from reconciler.cli.table import render
from reconciler.cli.targets import single

ACTIONS = ("list", "replay")
SECONDS = 180.0
"""On a Swarm a job has to be started for it."""


def parser() -> Parser:
    """The flags of `anneal dlq`."""
    made = Parser(
        "dlq",
        f"{'|'.join(ACTIONS)} KIND/NAME [flags]",
        [
            ("anneal dlq list mdep/penguins", "what was given up: id, when, which revision, why"),
            ("anneal dlq list mdep/penguins -o json", "the same, for programs"),
            ("anneal dlq replay mdep/penguins --id 0Zt…", "have this one answered by the revision that serves"),
            ("anneal dlq replay mdep/penguins --all", "have all of them answered; the queue is empty afterwards"),
        ],
        more="A request is given up when no worker survived it, when nobody answered it in time, or when the model that it was "
        "meant for is gone. Replayed, it keeps its id: its answer is where it was promised. To replay twice does no harm.",
    )
    made.add_argument("action", metavar="ACTION", help=", ".join(ACTIONS))
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("--id", action="append", default=[], metavar="ID", help="replay: this one; may be given several times")
    made.add_argument("--all", action="store_true", help="replay: all of them")
    made.add_argument("-o", "--output", default="", choices=("json",), metavar="FORMAT", help="json")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """List or replay. 1 if something that was asked for could not be replayed."""
    args = parser().parse(argv)
    if args.action not in ACTIONS:
        raise UsageError(f"cannot run `anneal dlq {args.action}`: the actions are {', '.join(ACTIONS)}")
    if args.action == "replay" and bool(args.id) == args.all:
        raise UsageError("cannot tell which to replay: give --id ID, or --all; `anneal dlq list` shows them")
    api, namespace = open_api(args)
    kind, name = single(api, args.what, f"dlq {args.action}")
    if kind.plural != "modeldeployments":
        raise UsageError(f"cannot read dead letters of a {kind.singular}: only a modeldeployment has them; e.g. mdep/{name}")
    path = f"/letters/{quote(namespace)}/{quote(name, safe='')}"
    found = ask_daemon(open_daemon(args), "POST", path, body={"verb": args.action, "ids": args.id}, seconds=SECONDS)
    if args.output:
        print(json.dumps(found, indent=2))
        return OK
    return _listed(found["letters"]) if args.action == "list" else _replayed(name, found)


def _listed(letters: list[dict[str, Any]]) -> int:
    if not letters:
        terminal.note("No dead letters.")
        return OK
    heads = ["ID", "WHEN", "REVISION", "ROWS", "REASON", "MESSAGE"]
    cells = [[one["id"], _moment(one["at"]), one["revision"], one["rows"], one["reason"], one["message"]] for one in letters]
    print("\n".join(render(heads, cells, width=terminal.width(), colour=terminal.coloured())))
    return OK


def _replayed(name: str, found: dict[str, Any]) -> int:
    where = f" to revision {found['revision']}" if found["replayed"] else ""
    print(f"modeldeployment/{name} replayed {len(found['replayed'])}{where}; {len(found['letters'])} are left")
    for ident in found["unfit"]:
        terminal.note(f"{terminal.clean(ident)} was left: the model that serves takes other inputs")
    for ident in found["missing"]:
        terminal.note(f"{terminal.clean(ident)} is not among the dead letters (any more)")
    return FAILURE if found["unfit"] else OK


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
