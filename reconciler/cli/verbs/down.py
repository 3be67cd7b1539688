"""`anneal down`: stop the daemon. What it made stays as it is; `anneal up` goes on from there."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli import process
from reconciler.cli.args import Parser
from reconciler.cli.errors import OK, UsageError
from reconciler.cli.kubeconfig import home_folder
from reconciler.home import Home


def parser() -> Parser:
    """The flags of `anneal down`."""
    made = Parser(
        "down",
        "[flags]",
        [("anneal down", ""), ("ANNEAL_HOME=/tmp/lab anneal down", "of another installation")],
        more="The state stays; machines and whatever else it made go on. Doing it twice is fine.",
    )
    made.add_argument(
        "--timeout", type=float, default=process.STOP_SECONDS, metavar="SECONDS", help="patience before it is killed"
    )
    return made.with_connection(namespace=False)


def run(argv: list[str]) -> int:
    """Stop it, if it runs; say what was stopped."""
    args = parser().parse(argv)
    if args.timeout < 0:
        raise UsageError("cannot use --timeout: it is a number of seconds, 0 or more")
    home = Home(Path(home_folder(args.home)))
    pid = process.running(home)
    if pid is None:
        print(f"No daemon runs on {home.root}: nothing to stop.")
        return OK
    orderly = process.stop(pid, seconds=args.timeout, still=lambda: process.running(home) == pid)
    how = "" if orderly else f" (it did not stop in {args.timeout:g} s and was killed; that loses nothing)"
    print(f"Stopped the daemon (pid {pid}){how}; its state stays in {home.root}.")
    return OK
