"""Arguments: argparse with kubectl's habits, examples in every --help, and a "did you mean" in every error."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from reconciler.cli.errors import UsageError
from reconciler.cli.main import VERBS
from reconciler.cli.terminal import width


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `did you mean "x"?`, or "" if nothing is near."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


class Parser(argparse.ArgumentParser):
    """The parser of one verb. `usage` is what follows `anneal VERB`, `examples` are (command, what it does)."""

    def __init__(self, verb: str, usage: str, examples: Sequence[tuple[str, str]], more: str = "") -> None:
        self.verb = verb
        shown = max((len(command) for command, _ in examples), default=0)
        lines = [f"  {command:<{shown}}  # {text}" if text else f"  {command}" for command, text in examples]
        super().__init__(
            prog=f"anneal {verb}",
            usage=f"anneal {verb} {usage}",
            description=VERBS.get(verb, verb) + "." + (f"\n\n{more}" if more else ""),
            epilog="examples:\n" + "\n".join(lines),
            formatter_class=_formatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("-h", "--help", action="help", help="show this help")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing and exiting with 2, which means something else here."""
        raise UsageError(f"cannot run `anneal {self.verb}`: {message}; see `anneal {self.verb} --help`")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse flags and positionals in any order; UsageError with a suggestion for a flag that does not exist."""
        before, dashes, after = _split(list(argv))
        found, unknown = self.parse_known_intermixed_args(before + ([*dashes, *after] if dashes else []))
        for word in unknown:
            if word.startswith("-"):
                flag = word.split("=", 1)[0]
                hint = did_you_mean(flag, [name for name in self.flags() if name.startswith("--") == flag.startswith("--")])
                self.error(f"there is no flag {flag}" + (f", {hint.rstrip('?')}" if hint else ""))
        if unknown:
            self.error(f'"{unknown[0]}" is one argument too many')
        return found

    def flags(self) -> list[str]:
        """All flags of this verb."""
        return [text for action in self._actions for text in action.option_strings]

    def takes_value(self, flag: str) -> bool:
        """True if the word after this flag belongs to it."""
        action = self._option_string_actions.get(flag)
        return action is not None and action.nargs is None

    def values_of(self, flag: str) -> Sequence[str]:
        """The values that a flag allows, if it has a closed list."""
        action = self._option_string_actions.get(flag)
        return [str(choice) for choice in action.choices] if action and action.choices else []

    # --- flags that several verbs share --------------------------------------------------------------------------

    def with_connection(self, *, namespace: bool = True) -> Parser:
        """--kubeconfig, --home and, where objects live in namespaces, -n."""
        group = self.add_argument_group("connection")
        group.add_argument("--kubeconfig", metavar="FILE", help="the API server to talk to (default: that of the home)")
        group.add_argument("--home", metavar="DIR", help="the installation (default: $ANNEAL_HOME, else ~/.anneal)")
        if namespace:
            group.add_argument("-n", "--namespace", metavar="NAME", help="namespace (default: the kubeconfig's)")
        return self

    def with_selection(self) -> Parser:
        """-A, -l and --field-selector."""
        self.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")
        self.add_argument("-l", "--selector", default="", metavar="LABELS", help="only objects with these labels (a=b,c!=d,e)")
        self.add_argument(
            "--field-selector", default="", metavar="FIELDS", help="only objects with these fields (metadata.name=x)"
        )
        return self

    def with_files(self) -> Parser:
        """-f, repeatable, and -R."""
        self.add_argument(
            "-f",
            "--filename",
            action="append",
            default=[],
            metavar="FILE",
            help="a file, a folder, or - for stdin",
        )
        self.add_argument("-R", "--recursive", action="store_true", help="look into folders below the folder, too")
        return self


def _formatter(prog: str) -> argparse.HelpFormatter:
    """With a width of our own: to find one, argparse would load shutil and three compression libraries."""
    return argparse.RawDescriptionHelpFormatter(prog, width=min(width() or 110, 130))


def _split(argv: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Cut at a bare `--`."""
    if "--" not in argv:
        return argv, [], []
    at = argv.index("--")
    return argv[:at], ["--"], argv[at + 1 :]
