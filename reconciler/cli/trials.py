"""`anneal get trials`: what an experiment tried. Trials are rows in the run's own file, not objects: there may be thousands."""

from __future__ import annotations

import argparse
import time
from typing import Any

from reconciler.cli import output, terminal
from reconciler.cli.api import Api
from reconciler.cli.connect import ask_daemon, open_api, open_daemon
from reconciler.cli.errors import OK, NotFoundError, UsageError
from reconciler.cli.kinds import lookup
from reconciler.cli.table import render
from reconciler.cli.targets import list_all

Row = dict[str, Any]
WATCH_SECONDS = 1.0


def show(args: argparse.Namespace) -> int:
    """Print the trials of the experiments that are named, or of the only one there is; with -w, each as it ends."""
    api, namespace = open_api(args)
    daemon = open_daemon(args)
    names = args.what[1:] or [_only(api, namespace)]
    if args.watch and len(names) > 1:
        raise UsageError("cannot watch the trials of several experiments at once: name one")
    found = [ask_daemon(daemon, "GET", f"/trials/{namespace}/{name}") for name in names]
    if args.output in ("json", "yaml"):
        items = [trial for each in found for trial in each["trials"]]
        output.write(args.output, {"kind": "List", "items": items}, items=items)
        return OK
    if args.output not in ("", "wide"):
        raise UsageError(f"cannot print trials as {args.output}: use -o wide, json or yaml")
    for each in found:
        _print(each["metric"], _rows(each), headers=not args.no_headers)
    seen = {row["name"] for row in found[0]["trials"]}
    while args.watch:
        time.sleep(WATCH_SECONDS)
        each = ask_daemon(daemon, "GET", f"/trials/{namespace}/{names[0]}")
        if new := [row for row in each["trials"] if row["name"] not in seen]:
            _print(each["metric"], _rows({**each, "trials": new, "running": []}), headers=False)
            seen |= {row["name"] for row in new}
    return OK


def _only(api: Api, namespace: str) -> str:
    items, _ = list_all(api, lookup(api, "experiments")[0], namespace)
    names = [item["metadata"]["name"] for item in items]
    if len(names) != 1:
        known = ", ".join(names[:10])
        raise NotFoundError(
            f"cannot tell which trials: name an experiment ({known})" if names else "cannot list trials: there is no experiment"
        )
    return str(names[0])


def _print(metric: str | None, rows: list[list[object]], *, headers: bool) -> None:
    heads = ["NAME", "STATE", (metric or "score").upper(), "FOLDS", "SECONDS", "PARAMETERS", "MESSAGE"]
    if not rows:
        terminal.note("No trials yet.")
        return
    print("\n".join(render(heads, rows, width=terminal.width(), colour=terminal.coloured(), with_headers=headers)), flush=True)


def _rows(found: Row) -> list[list[object]]:
    metric = found["metric"]
    rows: list[list[object]] = []
    for trial in found["trials"]:
        value = (trial.get("metrics") or {}).get(metric)
        seconds = (trial.get("finished") or 0) - (trial.get("started") or 0)
        rows.append(
            [
                trial["name"],
                trial.get("state"),
                "" if value is None else f"{value:.4f}",
                len(trial.get("folds") or ()),
                f"{seconds:.1f}",
                " ".join(f"{key}={_short(value)}" for key, value in (trial.get("parameters") or {}).items()) or "defaults",
                trial.get("message") or "",
            ]
        )
    return rows + [[name, "Running", "", "", "", "", ""] for name in found.get("running") or ()]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
