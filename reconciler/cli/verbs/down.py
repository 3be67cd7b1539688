"""`anneal down`: stop the daemon and its local processes, or let it forget folders. What it made elsewhere stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from reconciler.cli import process
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon
from reconciler.cli.errors import OK, CliError, NotFoundError, UsageError
from reconciler.cli.kubeconfig import home_folder, load_daemon
from reconciler.home import Home


def parser() -> Parser:
    """The flags of `anneal down`."""
    made = Parser(
        "down",
        "[DIR…] [flags]",
        [
            ("anneal down", "stop the daemon and its local processes; `anneal up` starts all of it again"),
            ("anneal down --keep-running", "the daemon only: models go on being served"),
            ("anneal down old/", "the daemon goes on, but follows this folder no more; its objects stay"),
            ("ANNEAL_HOME=/tmp/lab anneal down", "of another installation"),
        ],
        more="The state stays, and what runs elsewhere goes on. Doing it twice is fine.",
    )
    made.add_argument("folders", nargs="*", metavar="DIR", help="a folder, or a source's id, to follow no more")
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
    if args.folders:
        return _forget(home, args.folders)
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
    command = [sys.executable, "-P", "-m", "drivers.local.stop", str(home.units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own interpreter and module
    try:
        said = json.loads(done.stdout)
    except ValueError as error:
        raise CliError(f"cannot stop the local processes: {done.stderr.strip()[-500:] or 'no answer'}; run it again") from error
    if said["stopped"]:
        hard = f"; had to kill {', '.join(said['killed'])}" if said["killed"] else ""
        print(f"Stopped {said['stopped']} local process{'es' * (said['stopped'] != 1)}{hard}.")


def _forget(home: Home, names: list[str]) -> int:
    """Let the daemon follow these folders no more. NotFoundError if it does not follow one of them: then nothing is done."""
    from reconciler.cli.api import Api

    api = Api(load_daemon(home=str(home.root)))
    followed = ask_daemon(api, "GET", "/status")["sources"]
    found = [_named(followed, name) for name in names]
    for source in found:
        ask_daemon(api, "DELETE", f"/sources/{source['id']}")
        count = "1 object stays" if source["objects"] == 1 else f"{source['objects']} objects stay"
        print(f"Follows {source['path']} no more: its {count} as before, `anneal delete` removes what is not wanted.")
    return OK


def _named(followed: list[dict[str, Any]], name: str) -> dict[str, Any]:
    path = os.path.abspath(os.path.expanduser(name))
    for source in followed:
        if name == source["id"] or source["path"] in (path, os.path.realpath(path)):
            return source
    raise NotFoundError(f"cannot forget {name}: no source has this folder or id; `anneal status` lists them")
