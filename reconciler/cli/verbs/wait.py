"""`anneal wait`: until objects are ready, gone, or have a value. It watches; it does not poll."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from reconciler.cli import durations, terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.conditions import condition
from reconciler.cli.connect import ask_daemon, open_api, open_daemon
from reconciler.cli.errors import OK, CliError, NotFoundError, TimeoutExpired, UsageError
from reconciler.cli.targets import Target, missing, parse
from reconciler.cli.waiting import Goal, Waiting, goal_of
from reconciler.cli.watch import Follower

Object = dict[str, Any]
Key = tuple[str, str, str]


def parser() -> Parser:
    """The flags of `anneal wait`."""
    made = Parser(
        "wait",
        "KIND/NAME… | KIND --all | --all [--for=CONDITION] [flags]",
        [
            ("anneal wait --all", "until every object of anneal is ready"),
            ("anneal wait machine/worker-1 --timeout=10m", "one object"),
            ("anneal wait machines -l role=worker --for=delete", "until they are gone"),
            ("anneal wait mch/w --for=jsonpath='{.status.instanceState}'=ACTIVE", "until a field has a value"),
        ],
        more="--for is condition=NAME[=True|False|Unknown] (default: condition=Ready), delete, or jsonpath=PATH[=VALUE].",
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("--for", dest="for_", default="condition=Ready", metavar="CONDITION", help="what to wait for")
    made.add_argument("--all", action="store_true", help="all objects of the kind; without a kind: of all kinds of anneal")
    made.add_argument("--timeout", default="300s", metavar="TIME", help="how long (30s, 5m; default 300s; -1s: for ever)")
    return made.with_selection().with_connection()


def run(argv: list[str]) -> int:
    """Wait; 124 when the time is up, with the deepest reason of each object that is not there yet."""
    args = parser().parse(argv)
    goal = goal_of(args.for_)
    try:
        seconds = durations.parse(args.timeout)
    except ValueError as error:
        raise UsageError(f"cannot use --timeout: {error}") from error
    api, namespace = open_api(args)
    if not args.what and not args.all:
        raise UsageError("cannot tell what to wait for: name KIND/NAME, or say --all; see `anneal wait --help`")
    targets = parse(api, args.what or ["anneal"])
    if not (args.all or args.selector or args.field_selector) and any(not target.names for target in targets):
        raise UsageError("cannot tell which objects to wait for: name them, or say --all or -l LABELS")
    scope = None if args.all_namespaces else namespace
    return _wait(api, args, targets, scope, goal, seconds)


def _wait(api: Api, args: argparse.Namespace, targets: list[Target], scope: str | None, goal: Goal, seconds: float) -> int:
    query = {"labelSelector": args.selector, "fieldSelector": args.field_selector}
    waiting = Waiting(targets, goal)
    follower = Follower(api, [target.kind for target in targets], scope, query)
    end, progress = time.monotonic() + seconds, Progress(goal.words)
    while True:
        change = follower.next(end - time.monotonic())
        progress.clear()
        if change is None:
            raise TimeoutExpired(_too_late(args, waiting))
        for line in waiting.take(change):
            print(line, flush=True)
        if not waiting.complete:
            continue
        for target, name in waiting.absent():
            raise missing(api, target.kind, scope, name)
        if waiting.empty:
            raise NotFoundError(
                "cannot wait: no object fits; `anneal get anneal` lists what there is, `anneal status` what your files hold"
            )
        if not waiting.left:
            return OK
        progress.show(waiting)


class Progress:
    """On a terminal: one line that says what is waited for, and why the first of it is not there yet."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.width = terminal.width(sys.stderr)

    def show(self, waiting: Waiting) -> None:
        """Replace the line."""
        if self.width is None:
            return
        from reconciler.cli.table import cut

        key, obj = next(iter(waiting.left.items()))
        found = condition(obj)
        why = ": ".join(filter(None, (str(found.get("reason") or "Pending"), terminal.clean(found.get("message") or ""))))
        text = f"waiting for {len(waiting.left)} ({self.wanted})  {waiting.name(key)}  {why}"
        sys.stderr.write("\r\x1b[2K" + cut(text, self.width - 1))
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self.width is not None:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def _too_late(args: argparse.Namespace, waiting: Waiting) -> str:
    left = waiting.left
    lines = [f"cannot wait any longer: {len(left)} object{'s' * (len(left) != 1)} not {waiting.goal.words} after {args.timeout}"]
    lines += [f"  {waiting.name(key)}: {_deepest(args, key, obj)}" for key, obj in list(left.items())[:20]]
    if len(left) > 20:
        lines.append(f"  and {len(left) - 20} more")
    return "\n".join([*lines, "  anneal goes on working on them; `anneal why KIND/NAME` says more, --timeout waits longer"])


def _deepest(args: argparse.Namespace, key: Key, obj: Object) -> str:
    """The daemon's answer to why; without a daemon, what the object itself says."""
    found: Object = condition(obj)
    try:
        answer = ask_daemon(open_daemon(args), "GET", f"/why/{key[0]}/{key[1]}/{key[2]}", seconds=5)
        found = answer["nodes"][-1]["condition"]
    except (CliError, LookupError, TypeError):
        pass
    if not found:
        return "it has no condition yet: nobody has looked at it; `anneal status` says whether the daemon works"
    return f"{found.get('reason')}: {terminal.clean(found.get('message') or '')}"
