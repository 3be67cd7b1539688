"""`anneal rollout`: how a model is rolled out, and a person's say in it. Writes `spec.rollout`, which no file sets."""

from __future__ import annotations

import argparse
import time
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.conditions import condition
from reconciler.cli.connect import open_api
from reconciler.cli.errors import FAILURE, OK, CliError, NotFoundError, TimeoutExpired, UsageError
from reconciler.cli.kinds import Kind
from reconciler.cli.table import render
from reconciler.cli.targets import read, single

Object = dict[str, Any]
ACTIONS = ("status", "history", "undo", "pause", "resume", "promote")
MANAGER = "anneal-rollout"
LOOK_SECONDS = 0.5


def parser() -> Parser:
    """The flags of `anneal rollout`."""
    made = Parser(
        "rollout",
        f"{'|'.join(ACTIONS)} KIND/NAME [flags]",
        [
            ("anneal rollout status mdep/penguins", "wait until it is through; exit code 1 if it failed"),
            ("anneal rollout history mdep/penguins", "every revision: what served from when to when, and why it changed"),
            ("anneal rollout undo mdep/penguins", "serve the model before again, until `resume`"),
            ("anneal rollout undo mdep/penguins --to-revision 3", ""),
            ("anneal rollout pause mdep/penguins", "no other model is rolled out, until `resume`"),
            ("anneal rollout promote mdep/penguins", "roll the newest model out, whatever its score"),
        ],
    )
    made.add_argument("action", metavar="ACTION", help=", ".join(ACTIONS))
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("--to-revision", type=int, metavar="N", help="undo: to this revision (default: the one before)")
    made.add_argument("--watch", "-w", action="store_true", default=True, help="status: wait until it is through (the default)")
    made.add_argument("--no-watch", dest="watch", action="store_false", help="status: say how it stands, and return")
    made.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="status: patience (default 600)")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Do what ACTION says."""
    args = parser().parse(argv)
    if args.action not in ACTIONS:
        raise UsageError(f"cannot run `anneal rollout {args.action}`: the actions are {', '.join(ACTIONS)}")
    api, namespace = open_api(args)
    kind, name = single(api, args.what, f"rollout {args.action}")
    if kind.plural != "modeldeployments":
        raise UsageError(f"cannot roll out a {kind.singular}: only a modeldeployment has rollouts; e.g. mdep/{name}")
    obj = read(api, kind, namespace, name)
    match args.action:
        case "status":
            return _status(api, kind, namespace, name, args)
        case "history":
            return _history(obj)
        case "undo":
            return _undo(api, kind, obj, args.to_revision)
        case "pause":
            return _write(api, kind, obj, {"paused": True}, "paused: no other model is rolled out, until `anneal rollout resume`")
        case "resume":
            return _write(api, kind, obj, None, "resumed: a better model is rolled out again")
        case _:
            return _promote(api, kind, obj)


def _status(api: Api, kind: Kind, namespace: str, name: str, args: argparse.Namespace) -> int:
    end, before = time.monotonic() + args.timeout, ""
    while True:
        obj = read(api, kind, namespace, name)
        ready, progressing = condition(obj, "Ready"), condition(obj, "Progressing")
        said = terminal.clean(ready.get("message") or ready.get("reason") or "not looked at yet")
        if said != before:
            print(said, flush=True)
            before = said
        current = ready.get("observedGeneration") == obj["metadata"].get("generation")
        if not args.watch or (current and progressing.get("status") == "False"):
            rows = (obj.get("status") or {}).get("revisions") or []
            failed = bool(rows) and rows[-1]["state"] == "Failed"
            return FAILURE if failed or ready.get("status") != "True" else OK
        if time.monotonic() > end:
            raise TimeoutExpired(f"cannot wait any longer for {kind.singular}/{name}: {said}; `anneal why mdep/{name}` says more")
        time.sleep(LOOK_SECONDS)


def _history(obj: Object) -> int:
    rows = (obj.get("status") or {}).get("revisions") or []
    if not rows:
        terminal.note("No revisions yet.")
        return OK
    cells = [
        [
            row["revision"],
            row.get("modelVersion") or row["digest"][:15],
            row["state"],
            row.get("servedFrom", ""),
            row.get("servedUntil", ""),
            row.get("message", ""),
        ]
        for row in rows
    ]
    heads = ["REVISION", "MODEL", "STATE", "FROM", "UNTIL", "MESSAGE"]
    print("\n".join(render(heads, cells, width=terminal.width(), colour=terminal.coloured())))
    return OK


def _undo(api: Api, kind: Kind, obj: Object, wanted: int | None) -> int:
    rows = (obj.get("status") or {}).get("revisions") or []
    serving = (obj.get("status") or {}).get("revision")
    now = next((row["digest"] for row in rows if row["revision"] == serving), None)
    if wanted is None:
        earlier = [
            row for row in rows if row["state"] == "Superseded" and row["digest"] != now and row["revision"] < (serving or 0)
        ]
        if not earlier:
            raise NotFoundError("cannot undo: no other model was served before; `anneal rollout history` lists the revisions")
        wanted = int(earlier[-1]["revision"])
    elif all(row["revision"] != wanted for row in rows):
        raise NotFoundError(f"cannot undo to revision {wanted}: there is none; `anneal rollout history` lists them")
    said = f"serves the model of revision {wanted} again; newer ones wait for `anneal rollout resume`"
    return _write(api, kind, obj, {"revision": wanted}, said)


def _promote(api: Api, kind: Kind, obj: Object) -> int:
    challenger = (obj.get("status") or {}).get("challenger") or {}
    if not challenger or challenger.get("decision") == "Promoted":
        raise CliError("cannot promote: no model waits; `anneal rollout status` says how things stand")
    said = f"promoted {challenger.get('modelVersion') or challenger['digest']}; `anneal rollout status` follows it"
    return _write(api, kind, obj, {"promote": challenger["digest"], "paused": None, "revision": None}, said)


def _write(api: Api, kind: Kind, obj: Object, rollout: Object | None, said: str) -> int:
    meta = obj["metadata"]
    api.request(
        "PATCH",
        kind.path(meta["namespace"], meta["name"]),
        {"fieldManager": MANAGER},
        body={"spec": {"rollout": rollout}},
        content_type="application/merge-patch+json",
    )
    print(f"{kind.singular}/{meta['name']} {said}")
    return OK
