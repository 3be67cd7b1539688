"""`anneal confirm`: a person's yes to what anneal does not do unasked: a large removal, or replacing many servers at once."""

from __future__ import annotations

from typing import Any

from reconciler.cli import terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_daemon
from reconciler.cli.errors import FAILURE, OK, UsageError


def parser() -> Parser:
    """The flags of `anneal confirm`."""
    made = Parser(
        "confirm",
        "[SOURCE | --breaker NAME] [--yes]",
        [
            ("anneal confirm", "list what waits, and ask"),
            ("anneal confirm --yes", "allow all of it"),
            ("anneal confirm lab-1f3a --yes", "of one source only (`anneal status` names them)"),
            ("anneal confirm --breaker NAME", "let a provider's servers be replaced although many are affected"),
        ],
        more="A removal of more than half of a source's objects waits for this. The yes holds for exactly what is listed.",
    )
    made.add_argument("source", nargs="?", metavar="SOURCE", help="id of the source (default: all)")
    made.add_argument("--breaker", metavar="NAME", help="an open breaker, as `anneal status` names it")
    made.add_argument("-y", "--yes", action="store_true", help="do not ask")
    made.add_argument("--dry-run", action="store_true", help="list only")
    return made.with_connection(namespace=False)


def run(argv: list[str]) -> int:
    """List, ask, confirm. 1 if the answer is no."""
    args = parser().parse(argv)
    if args.breaker and args.source:
        raise UsageError("cannot confirm a source and a breaker at once: name one of them")
    api = open_daemon(args)
    body: dict[str, Any] = {"breaker": args.breaker} if args.breaker else {"source": args.source}
    pending = ask_daemon(api, "POST", "/confirm", body={**body, "dryRun": True})["confirmed"]
    waiting = [each for each in pending if each.get("removals") or each.get("breaker")]
    if not waiting:
        print("Nothing waits for a confirmation.")
        return OK
    for each in waiting:
        print("\n".join(_lines(each)))
    if args.dry_run:
        return OK
    if not args.yes and not terminal.agreed("Go ahead?"):
        terminal.note("Nothing was confirmed; what is there stays.")
        return FAILURE
    ask_daemon(api, "POST", "/confirm", body={**body, "dryRun": False})
    print("Confirmed.")
    return OK


def _lines(each: dict[str, Any]) -> list[str]:
    if each.get("breaker"):
        return [f"Breaker {each['breaker']} is open: many servers would be created anew or replaced."]
    removals = each["removals"]
    head = (
        f"Source {each['source']}: {len(removals)} object{'s' * (len(removals) != 1)} to be removed, with all they made outside:"
    )
    return [head, *(terminal.paint(f"  - {name}", "red") for name in removals)]
