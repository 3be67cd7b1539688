"""`anneal explain`: what the fields of a kind mean. Needs no daemon."""

from __future__ import annotations

import sys

from reconciler.cli.args import Parser
from reconciler.cli.errors import OK, CliError, UsageError


def parser() -> Parser:
    """The flags of `anneal explain`."""
    made = Parser(
        "explain",
        "KIND[.FIELD…]",
        [("anneal explain machine", "the kind"), ("anneal explain machine.spec.simulated.ports", "one field of it")],
    )
    made.add_argument("what", nargs="?", metavar="KIND[.FIELD…]")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Print the description."""
    args = parser().parse(argv)
    if not args.what:
        raise UsageError("cannot explain nothing: name a kind; e.g. `anneal explain machine`")
    from specs.explain import ExplainError, explain

    kind, _, path = args.what.partition(".")
    path = path.removeprefix("anneal.dev").removeprefix(".")
    try:
        sys.stdout.write(explain(kind, path))
    except ExplainError as error:
        text = str(error)
        known = "" if "did you mean" in text or "known are" in text else f"; `anneal explain {kind}` shows what there is"
        raise CliError(text + known) from error
    return OK
