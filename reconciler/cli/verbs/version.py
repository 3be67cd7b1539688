"""`anneal version`: of the client and of the daemon."""

from __future__ import annotations

import json
from typing import Any

from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_daemon
from reconciler.cli.errors import OK, CliError


def parser() -> Parser:
    """The flags of `anneal version`."""
    made = Parser("version", "[--client] [-o json]", [("anneal version", ""), ("anneal version --client", "needs no daemon")])
    made.add_argument("--client", action="store_true", help="only the client's")
    made.add_argument("-o", "--output", default="", choices=("json",), metavar="FORMAT", help="json")
    return made.with_connection(namespace=False)


def client_version() -> str:
    """The installed version of anneal."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("anneal")
    except PackageNotFoundError:
        return "unknown"


def run(argv: list[str]) -> int:
    """Print them; a daemon that does not run is no error, a warning tells when the two differ."""
    args = parser().parse(argv)
    found: dict[str, Any] = {"client": client_version()}
    note = ""
    if not args.client:
        try:
            found["daemon"] = ask_daemon(open_daemon(args), "GET", "/status", seconds=10)["version"]
        except CliError as error:
            found["daemon"] = None
            note = str(error)
    if args.output == "json":
        print(json.dumps(found, indent=4))
        return OK
    print(f"client  {found['client']}")
    if "daemon" in found:
        print(f"daemon  {found['daemon'] or f'none ({note})'}")
        if found["daemon"] and found["daemon"] != found["client"]:
            print("The two differ: restart the daemon with `anneal down` and `anneal up -d`.")
    return OK
