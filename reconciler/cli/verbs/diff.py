"""`anneal diff`: what a file would change in the API server, as a unified diff."""

from __future__ import annotations

import difflib
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.errors import CHANGES, FAILURE, OK, ApiError, CliError
from reconciler.cli.kinds import of_object
from reconciler.cli.output import short_name, to_yaml
from reconciler.cli.verbs.apply import send

Object = dict[str, Any]


def parser() -> Parser:
    """The flags of `anneal diff`."""
    made = Parser(
        "diff",
        "[-f] FILE|DIR|- [flags]",
        [
            ("anneal diff -f workers.yaml", "what applying the file would change"),
            ("anneal diff -f specs/ -R && echo nothing to do", "exit 0: no difference, 1: differences, above 1: it failed"),
        ],
        more="It compares objects in the API server. `anneal plan` says what that means outside.",
    )
    made.add_argument("files", nargs="*", metavar="FILE", help="as with -f")
    return made.with_files().with_connection()


def run(argv: list[str]) -> int:
    """Print the differences; 1 if there are any, as kubectl does."""
    args = parser().parse(argv)
    try:
        return _run(args)
    except CliError as error:  # 1 means "they differ": a failure has to be something else
        if error.code == FAILURE:
            error.code = CHANGES
        raise


def _run(args: Any) -> int:
    from reconciler.cli.files import load_files, named

    names = named([*args.filename, *args.files])
    api, namespace = open_api(args)
    differ = False
    for document in load_files(names, namespace=namespace, recursive=args.recursive):
        before, after = _sides(api, document.object)
        lines = list(unified(short_name(document.object), before, after))
        differ = differ or bool(lines)
        for line in lines:
            print(terminal.paint(line, _colour(line)) if _colour(line) else line)
    return FAILURE if differ else OK


def _sides(api: Api, obj: Object) -> tuple[Object | None, Object]:
    path = of_object(api, obj).path(obj["metadata"].get("namespace"), obj["metadata"]["name"])
    live = api.find(path)
    manager = (((live or {}).get("metadata") or {}).get("labels") or {}).get("anneal.dev/source")
    try:
        # Under the folder's own name, so that a field that the file lost shows as removed.
        options: dict[str, Any] = {"manager": f"source/{manager}"} if manager else {}
        return live, send(api, path, obj, dry_run=True, force=True, **options)
    except ApiError as error:
        raise type(error)(error.http, error.reason, f"cannot compare {short_name(obj)}: {error}", error.status) from error


def unified(name: str, before: Object | None, after: Object) -> list[str]:
    """The unified diff of two objects as YAML; empty if they say the same."""
    old = to_yaml(_shown(before, secret=after.get("kind") == "Secret")).splitlines() if before else []
    new = to_yaml(_shown(after, secret=after.get("kind") == "Secret")).splitlines()
    _mark_secret_changes(before, after, new)
    return list(difflib.unified_diff(old, new, f"live/{name}", f"file/{name}", lineterm="", n=3))


def _shown(obj: Object, *, secret: bool) -> Object:
    """Without what the server keeps for itself; the values of a Secret are masked."""
    hidden = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
    meta = {key: value for key, value in obj["metadata"].items() if key not in hidden}
    # `anneal up` keeps its own marks on objects; a file never sets them
    for field, mark in (("labels", "anneal.dev/source"), ("annotations", "anneal.dev/source-file")):
        if mark in (meta.get(field) or {}):
            meta[field] = {key: value for key, value in meta[field].items() if key != mark}
            if not meta[field]:
                del meta[field]
    shown = {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": meta}
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    if secret:
        rest = {
            key: dict.fromkeys(value, "***") if key in ("data", "stringData") and isinstance(value, dict) else value
            for key, value in rest.items()
        }
    return shown | rest


def _mark_secret_changes(before: Object | None, after: Object, lines: list[str]) -> None:
    """A changed secret shows as changed, without showing what it is."""
    if after.get("kind") != "Secret" or not before:
        return
    changed = {
        key for key, value in (after.get("data") or {}).items() if (before.get("data") or {}).get(key) not in (None, value)
    }
    for i, line in enumerate(lines):
        if line.partition(":")[0].strip() in changed:
            lines[i] = line.replace("***", "*** (changed)")


def _colour(line: str) -> str:
    if line.startswith(("---", "+++")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
