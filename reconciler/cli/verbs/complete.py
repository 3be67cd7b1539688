"""`anneal __complete WORDS…`: what the last word could become, one a line. `:files` means: complete a path. Never fails."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from importlib import import_module
from itertools import pairwise

from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.errors import OK, CliError
from reconciler.cli.kinds import KNOWN, lookup, ours
from reconciler.cli.main import VERBS

OBJECT_VERBS = ("get", "describe", "delete", "plan", "why", "tree", "logs", "wait", "events")
FILES = ":files"
_PATH_FLAGS = ("-f", "--filename", "--kubeconfig", "--home")


def run(argv: list[str]) -> int:
    """Print the candidates; a server that does not answer has no names, nothing else is missing."""
    words = argv or [""]
    with suppress(CliError, SystemExit):
        for found in candidates(words):
            print(found)
    return OK


def candidates(words: list[str]) -> list[str]:
    """Everything that the last word could become."""
    *before, last = words
    if not before:
        return [verb for verb in VERBS if verb.startswith(last)]
    if before[0] not in VERBS:
        return []
    parser: Parser = import_module(f"reconciler.cli.verbs.{before[0]}").parser()
    if before[-1] in _PATH_FLAGS:
        return [FILES]
    if last.startswith("-"):
        flag, equals, value = last.partition("=")
        if equals:
            return [f"{flag}={choice}" for choice in parser.values_of(flag) if choice.startswith(value)]
        return sorted(found for found in parser.flags() if found.startswith(last))
    if choices := parser.values_of(before[-1]):
        return [choice for choice in choices if choice.startswith(last)]
    if before[-1] in ("-n", "--namespace"):
        return [name for name in _names("namespaces", before) if name.startswith(last)]
    words = [word for i, word in enumerate(before) if not word.startswith("-") and not (i and parser.takes_value(before[i - 1]))]
    return _positional(before, words, last)


def _positional(before: list[str], words: list[str], last: str) -> list[str]:
    """`words` are those of `before` that are neither flags nor their values."""
    verb = before[0]
    if verb in ("up", "down"):
        return [FILES]
    if verb == "completion":
        return [shell for shell in ("bash", "zsh", "fish") if shell.startswith(last)]
    if verb not in OBJECT_VERBS and verb != "explain" and before[-1] != "--for":
        return []
    if "/" in last:
        kind = last.split("/", 1)[0]
        return [found for name in _names(kind, before) if (found := f"{kind}/{name}").startswith(last)]
    if verb in ("get", "describe", "delete", "wait") and len(words) > 1 and "/" not in words[1]:
        return [name for name in _names(words[1], before) if name.startswith(last)]
    slash = "/" if verb in ("why", "logs", "plan", "tree", "events") else ""
    return [kind + slash for kind in _kinds(before) if kind.startswith(last)]


def _kinds(before: list[str]) -> list[str]:
    known = [kind.singular if before[0] != "get" else kind.plural for kind in KNOWN]
    with suppress(CliError):
        known += [kind.singular if before[0] != "get" else kind.plural for kind in ours(open_api(_flags(before))[0])]
    return list(dict.fromkeys((["anneal"] if before[0] in ("get", "wait") else []) + known))


def _flags(before: list[str]) -> Namespace:
    """The connection flags among the words typed so far."""
    found = Namespace(kubeconfig=None, home=None, namespace=None)
    for flag, value in pairwise(before):
        for names, field in ((("--kubeconfig",), "kubeconfig"), (("--home",), "home"), (("-n", "--namespace"), "namespace")):
            if flag in names:
                setattr(found, field, value)
    return found


def _names(word: str, before: list[str]) -> list[str]:
    api, namespace = open_api(_flags(before))
    kind = lookup(api, word)[0]
    items = api.get(kind.path(namespace), {"limit": 500}).get("items") or ()
    return [item["metadata"]["name"] for item in items]
