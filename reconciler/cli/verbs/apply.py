"""`anneal apply`: server-side apply under a field manager of its own."""

from __future__ import annotations

from typing import Any

from reconciler.cli import terminal
from reconciler.cli.api import APPLY, FIELD_MANAGER, Api
from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.errors import FAILURE, OK, ApiError, CliError
from reconciler.cli.kinds import of_object
from reconciler.cli.output import short_name

Object = dict[str, Any]


def parser() -> Parser:
    """The flags of `anneal apply`."""
    made = Parser(
        "apply",
        "[-f] FILE|DIR|- [flags]",
        [
            ("anneal apply -f workers.yaml", "create or change what the file holds"),
            ("anneal apply -f specs/ -R", "a folder and all below it"),
            ("cat w.yaml | anneal apply -f -", "from stdin"),
            ("anneal apply -f workers.yaml --dry-run", "checked by the server, not stored"),
        ],
        more="A folder that `anneal up` follows is applied without this command; its files own the fields that they set.",
    )
    made.add_argument(
        "--dry-run", nargs="?", const="server", choices=("server", "none"), default="none", help="check, store nothing"
    )
    made.add_argument("--force-conflicts", action="store_true", help="take over fields that others have set")
    made.add_argument("files", nargs="*", metavar="FILE", help="as with -f")
    return made.with_files().with_connection()


def run(argv: list[str]) -> int:
    """Load everything, then apply one object after the other; 1 if any was refused."""
    from reconciler.cli.files import load_files, named

    args = parser().parse(argv)
    names = named([*args.filename, *args.files])
    api, namespace = open_api(args)
    dry = args.dry_run == "server"
    failed = 0
    for document in load_files(names, namespace=namespace, recursive=args.recursive):
        try:
            verb = apply(api, document.object, dry_run=dry, force=args.force_conflicts)
        except ApiError as error:
            if error.http in (401, 403) or error.http >= 500:
                raise
            failed += 1
            terminal.complain(_refused(document.object, f"{document.file}:{document.line}", error))
            continue
        print(f"{short_name(document.object)} {verb}{' (server dry run)' if dry else ''}")
    return FAILURE if failed else OK


def apply(api: Api, obj: Object, *, dry_run: bool, force: bool) -> str:
    """Apply one object; returns created, configured or unchanged."""
    path = of_object(api, obj).path(obj["metadata"].get("namespace"), obj["metadata"]["name"])
    before = api.find(path)
    after = send(api, path, obj, dry_run=dry_run, force=force)
    if before is None:
        return "created"
    return "unchanged" if comparable(before) == comparable(after) else "configured"


def send(api: Api, path: str, obj: Object, *, dry_run: bool, force: bool, manager: str = FIELD_MANAGER) -> Object:
    """Send one server-side apply; returns the object as it then is (or, dry, would be)."""
    query = {"fieldManager": manager, "force": force or None, "dryRun": "All" if dry_run else None}
    found: Object = api.request("PATCH", path, query, body=obj, content_type=APPLY)
    return found


def comparable(obj: Object) -> Object:
    """The object without what changes with every write."""
    hidden = ("managedFields", "resourceVersion", "generation")
    meta = {key: value for key, value in obj["metadata"].items() if key not in hidden}
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")} | {"metadata": meta}


def _refused(obj: Object, place: str, error: ApiError) -> str:
    text = f"cannot apply {short_name(obj)} ({place}): {error}"
    if error.http == 409:
        managers = str(error)
        if '"source/' in managers:
            return f"{text}; it comes from a folder that anneal follows: edit the file there"
        return f"{text}; give up the field, or take it over with --force-conflicts"
    return text


def source_of(obj: Object) -> tuple[str, str] | None:
    """(source id, file) of an object that comes from a folder; None if it does not."""
    meta = obj.get("metadata") or {}
    source = (meta.get("labels") or {}).get("anneal.dev/source")
    return (source, (meta.get("annotations") or {}).get("anneal.dev/source-file", "")) if source else None


__all__ = ["CliError", "apply", "comparable", "parser", "run", "send", "source_of"]
