"""`anneal down`: stop the daemon and the local processes that it started. What it made elsewhere stays; `anneal up` goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from reconciler.cli import process
from reconciler.cli.args import Parser
from reconciler.cli.errors import OK, CliError, UsageError
from reconciler.cli.kubeconfig import home_folder
from reconciler.home import Home


def parser() -> Parser:
    """The flags of `anneal down`."""
    made = Parser(
        "down",
        "[flags]",
        [
            ("anneal down", ""),
            ("anneal down --keep-running", "the daemon only: models go on being served"),
            ("ANNEAL_HOME=/tmp/lab anneal down", "of another installation"),
        ],
        more="The state stays, and what runs elsewhere goes on; `anneal up` starts everything again. Doing it twice is fine.",
    )
    made.add_argument("--keep-running", action="store_true", help="leave the local processes (Ray, jobs, servers) running")
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
    else:
        orderly = process.stop(pid, seconds=args.timeout, still=lambda: process.running(home) == pid)
        how = "" if orderly else f" (it did not stop in {args.timeout:g} s and was killed; that loses nothing)"
        print(f"Stopped the daemon (pid {pid}){how}; its state stays in {home.root}.")
    if not args.keep_running:
        _stop_processes(home)
    return OK


def _stop_processes(home: Home) -> None:
    """End the local processes: by a module of the drivers, which the command line does not import."""
    if not home.units.is_dir() or not any(home.units.iterdir()):
        return
    command = [sys.executable, "-m", "drivers.local.stop", str(home.units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own interpreter and module
    try:
        said = json.loads(done.stdout)
    except ValueError as error:
        raise CliError(f"cannot stop the local processes: {done.stderr.strip()[-500:] or 'no answer'}; run it again") from error
    if said["stopped"]:
        hard = f"; had to kill {', '.join(said['killed'])}" if said["killed"] else ""
        print(f"Stopped {said['stopped']} local process{'es' * (said['stopped'] != 1)}{hard}.")
