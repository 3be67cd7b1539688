"""`anneal down`: stop the daemon, or let it forget folders. What was made stays as it is; `anneal up` goes on from there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from reconciler.cli import process
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon
from reconciler.cli.errors import OK, NotFoundError, UsageError
from reconciler.cli.kubeconfig import home_folder, load_daemon
from reconciler.home import Home


def parser() -> Parser:
    """The flags of `anneal down`."""
    made = Parser(
        "down",
        "[DIR…] [flags]",
        [
            ("anneal down", "stop the daemon; `anneal up` goes on with all its folders"),
            ("anneal down old/", "the daemon goes on, but follows this folder no more; its objects stay"),
            ("ANNEAL_HOME=/tmp/lab anneal down", "of another installation"),
        ],
        more="The state stays; machines and whatever else it made go on. Doing it twice is fine.",
    )
    made.add_argument("folders", nargs="*", metavar="DIR", help="a folder, or a source's id, to follow no more")
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
        return OK
    orderly = process.stop(pid, seconds=args.timeout, still=lambda: process.running(home) == pid)
    how = "" if orderly else f" (it did not stop in {args.timeout:g} s and was killed; that loses nothing)"
    print(f"Stopped the daemon (pid {pid}){how}; its state stays in {home.root}.")
    return OK


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
