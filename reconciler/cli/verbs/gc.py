"""`anneal gc`: list what carries our tag on a cloud and has no object any more, and remove it on a yes."""

from __future__ import annotations

from typing import Any

from reconciler.cli import terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_daemon
from reconciler.cli.errors import FAILURE, OK
from reconciler.cli.identity import add_flags, identities


def parser() -> Parser:
    """The flags of `anneal gc`."""
    made = Parser(
        "gc",
        "[--clouds-file FILE --cloud CLOUD] [--yes]",
        [
            ("anneal gc", "on the clouds that Machines name: list, and ask"),
            ("anneal gc --clouds-file clouds.yaml --cloud lab --dry-run", "on a cloud without Machines: list only"),
        ],
        more="Only what carries this installation's own tag is listed: what others made is never touched. "
        "What a Machine with managedOptions.onDelete: detach left behind is listed too.",
    )
    add_flags(made)
    made.add_argument("-y", "--yes", action="store_true", help="do not ask")
    made.add_argument("--dry-run", action="store_true", help="list only")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """List, ask, remove. 1 if the answer is no."""
    args = parser().parse(argv)
    api, namespace = open_daemon(args), args.namespace or "default"
    found: list[tuple[dict[str, Any], list[dict[str, str]]]] = []
    for identity in identities(args):
        body = {"identityRef": identity, "namespace": namespace}
        if rows := ask_daemon(api, "POST", "/gc", body=body)["leftBehind"]:
            found.append((body, rows))
    if not found:
        print("Nothing was left behind.")
        return OK
    for body, rows in found:
        print(f"On cloud {body['identityRef']['cloudName']}, without an object:")
        print("\n".join(terminal.paint(f"  - {row['kind']} {row['id']}  {terminal.clean(row['name'])}", "red") for row in rows))
    if args.dry_run:
        return OK
    if not args.yes and not terminal.agreed("Remove all of it?"):
        terminal.note("Nothing was removed.")
        return FAILURE
    removed = [
        row for body, rows in found
        for row in ask_daemon(api, "POST", "/gc", body={**body, "remove": [row["id"] for row in rows]})["removed"]
    ]  # fmt: skip
    print(f"Removed {len(removed)}.")
    return OK
