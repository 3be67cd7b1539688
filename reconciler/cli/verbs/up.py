"""`anneal up`: start the daemon on this home (or find it running) and let it follow folders of YAML."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from reconciler.cli import process, terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon
from reconciler.cli.errors import FAILURE, OK, CliError, NotFoundError
from reconciler.cli.kubeconfig import home_folder, load_daemon
from reconciler.cli.verbs.status import sources as show_sources
from reconciler.home import Home

Object = dict[str, Any]
SYNC_SECONDS = 600.0


def parser() -> Parser:
    """The flags of `anneal up`."""
    made = Parser(
        "up",
        "[DIR…] [-d] [flags]",
        [
            ("anneal up specs/", "in the foreground, with a live table, until Ctrl-C"),
            ("anneal up -d specs/", "in the background; returns once every file was applied or reported"),
            ("anneal up -d more/", "a daemon that runs follows this folder, too"),
            ("anneal up -d specs/ --kubeconfig ~/.kube/config", "with a Kubernetes as control plane"),
        ],
        more="Exit code 1 if a file has errors; they are printed, and everything else goes on.",
    )
    made.add_argument("folders", nargs="*", metavar="DIR", help="folders of YAML that say what should exist")
    made.add_argument("-d", "--detach", action="store_true", help="in the background")
    return made.with_connection(namespace=False)


def run(argv: list[str]) -> int:
    """Start or find the daemon, add the folders, then stay (foreground) or return (-d)."""
    args = parser().parse(argv)
    folders = [_folder(name) for name in args.folders]
    home = Home(Path(home_folder(args.home)))
    if (pid := process.running(home)) is not None:
        if args.kubeconfig:
            terminal.note(f"note: the daemon (pid {pid}) runs already, --kubeconfig changes nothing; `anneal down` stops it")
        return _join(args, home, pid, folders)
    if args.detach:
        try:
            child = process.start(home, args.kubeconfig, detached=True)
        except CliError:  # perhaps somebody else's `anneal up` was quicker
            if (pid := process.await_running(home)) is None:
                raise
            return _join(args, home, pid, folders)
        code = _follow(home, folders)
        print(f"The daemon runs (pid {child.pid}); `anneal get anneal` shows what it does, `anneal down` stops it.")
        return code
    return _foreground(args, home, folders)


def _folder(name: str) -> str:
    path = os.path.abspath(os.path.expanduser(name))
    if not os.path.isdir(path):
        what = "it is a file; name the folder that it is in" if os.path.exists(path) else "there is no such folder; make it first"
        raise NotFoundError(f"cannot follow {name}: {what}")
    return path


def _join(args: argparse.Namespace, home: Home, pid: int, folders: list[str]) -> int:
    """The daemon is there already: add the folders to it."""
    if not folders:
        print(f"The daemon runs already (pid {pid}); `anneal up DIR` lets it follow a folder, `anneal status` says more.")
        return OK
    code = _follow(home, folders)
    print(f"The daemon runs already (pid {pid}); `anneal status` shows what it follows.")
    if not args.detach and terminal.is_terminal():
        from reconciler.cli.live import show

        show(home, lambda: process.running(home) == pid, "Ctrl-C leaves, the daemon goes on")
    return code


def _follow(home: Home, folders: list[str]) -> int:
    """Add each folder; print what came of it. 1 if anything is wrong."""
    from reconciler.cli.api import Api

    api = Api(load_daemon(home=str(home.root)))
    found: list[Object] = []
    refused = 0
    for path in folders:
        try:
            found.append(ask_daemon(api, "POST", "/sources", body={"path": path}, seconds=SYNC_SECONDS))
        except CliError as error:
            refused += 1
            terminal.complain(f"cannot follow {path}: {error}")
    if found:
        print("\n".join(show_sources(found, colour=terminal.coloured(), width=terminal.width())))
    return FAILURE if refused or any(each["state"] != "Synced" for each in found) else OK


def _foreground(args: argparse.Namespace, home: Home, folders: list[str]) -> int:
    """Run until Ctrl-C or the daemon's end; what was started here is stopped here."""
    watched = terminal.is_terminal()
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: whoever ends this command ends what it started
        signal.signal(number, _interrupt)
    child = process.start(home, args.kubeconfig, detached=False, visible=not watched)
    code = OK
    try:
        code = _follow(home, folders)
        if watched:
            from reconciler.cli.live import show

            show(home, lambda: child.poll() is None, "Ctrl-C stops the daemon, what it made stays")
        else:
            sys.stdout.flush()
            child.wait()
    except KeyboardInterrupt:
        pass
    finally:
        code = _end(home, child, code)
    return code


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _end(home: Home, child: subprocess.Popen[bytes], code: int) -> int:
    """Stop the daemon if it still runs, and tell how it ended."""
    if child.poll() is not None and child.returncode:
        terminal.complain(f"the daemon ended by itself (exit code {child.returncode}); its log is {home.logs / 'daemon.log'}")
        return FAILURE
    try:
        process.stop(child.pid)
    except KeyboardInterrupt:  # a second Ctrl-C: no more patience
        child.kill()
    child.wait()
    terminal.note("Stopped the daemon; what it made stays. `anneal up` goes on from here.")
    return code
