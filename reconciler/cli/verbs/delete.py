"""`anneal delete`: ask for deletion, and wait until what the objects made outside is gone too."""

from __future__ import annotations

import argparse
import time
from typing import Any

from reconciler.cli import durations, terminal
from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.conditions import condition
from reconciler.cli.connect import open_api
from reconciler.cli.errors import OK, ApiError, TimeoutExpired, UsageError
from reconciler.cli.kinds import Kind, of_object
from reconciler.cli.output import short_name
from reconciler.cli.targets import list_all, missing, parse
from reconciler.cli.verbs.apply import source_of
from reconciler.cli.watch import Follower, World, key_of

Object = dict[str, Any]
CASCADES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


def parser() -> Parser:
    """The flags of `anneal delete`."""
    made = Parser(
        "delete",
        "KIND/NAME… | KIND NAME… | -f FILE [flags]",
        [
            ("anneal delete machine/worker-1", "and wait until its server is gone"),
            ("anneal delete machines -l role=worker", "all with this label"),
            ("anneal delete machines --all --wait=false", "do not wait"),
            ("anneal delete -f workers.yaml", "what the file holds"),
        ],
        more="What an object made outside (servers, ports, addresses) is deleted first; the object goes when all of it is gone.",
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("--all", action="store_true", help="all objects of the kind in the namespace")
    made.add_argument("--cascade", choices=tuple(CASCADES), default="background", help="what becomes of objects that it owns")
    made.add_argument(
        "--wait", nargs="?", const="true", choices=("true", "false"), default="true", help="wait until they are gone"
    )
    made.add_argument("--timeout", default="0", metavar="TIME", help="how long to wait (30s, 5m; default: as long as it takes)")
    made.add_argument("--ignore-not-found", action="store_true", help="a missing object is fine")
    return made.with_files().with_selection().with_connection()


def run(argv: list[str]) -> int:
    """Delete, then wait; 124 if the time ran out."""
    args = parser().parse(argv)
    try:
        seconds = durations.parse(args.timeout) or float("inf")
    except ValueError as error:
        raise UsageError(f"cannot use --timeout: {error}") from error
    api, namespace = open_api(args)
    victims = _victims(api, args, namespace)
    for kind, obj in victims:
        _delete(api, kind, obj, args.cascade)
    if victims and args.wait == "true":
        _until_gone(api, victims, seconds)
    return OK


def _victims(api: Api, args: argparse.Namespace, namespace: str) -> list[tuple[Kind, Object]]:
    if args.filename:
        return _from_files(api, args, namespace)
    targets = parse(api, args.what)
    scope = None if args.all_namespaces else namespace
    found: list[tuple[Kind, Object]] = []
    for target in targets:
        if not target.names:
            if not (args.all or args.selector or args.field_selector):
                raise UsageError(f"cannot delete {target.kind.plural}: no name was given; name them, or say --all or -l LABELS")
            query = {"labelSelector": args.selector, "fieldSelector": args.field_selector}
            found += [(target.kind, item) for item in list_all(api, target.kind, scope, query)[0]]
        for name in target.names:
            found += _named(api, target.kind, namespace, name, args.ignore_not_found)
    if not found:
        terminal.note("No resources found.")
    return found


def _from_files(api: Api, args: argparse.Namespace, namespace: str) -> list[tuple[Kind, Object]]:
    from reconciler.cli.files import load_files

    found: list[tuple[Kind, Object]] = []
    for document in load_files(args.filename, namespace=namespace, recursive=args.recursive):
        kind = of_object(api, document.object)
        found += _named(api, kind, document.namespace, document.name, args.ignore_not_found)
    return found[::-1]


def _named(api: Api, kind: Kind, namespace: str | None, name: str, ignore: bool) -> list[tuple[Kind, Object]]:
    if obj := api.find(kind.path(namespace, name)):
        return [(kind, obj)]
    if ignore:
        return []
    raise missing(api, kind, namespace, name)


def _delete(api: Api, kind: Kind, obj: Object, cascade: str) -> None:
    """Delete this very object: with its UID, so that a namesake made meanwhile is safe."""
    meta = obj["metadata"]
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": CASCADES[cascade],
        "preconditions": {"uid": meta["uid"]},
    }
    try:
        api.request("DELETE", kind.path(meta.get("namespace"), meta["name"]), body=body)
    except ApiError as error:
        if error.http not in (404, 409):
            raise
        if error.http == 409 and api.find(kind.path(meta.get("namespace"), meta["name"])) is None:
            return
    print(f"{kind.singular}/{meta['name']} deleted", flush=True)
    if source := source_of(obj):
        terminal.note(
            f"note: {short_name(obj)} comes from {source[1] or 'a file'} of source {source[0]}, which makes it anew; "
            "remove it there"
        )


def _until_gone(api: Api, victims: list[tuple[Kind, Object]], seconds: float) -> None:
    """Follow the kinds until the very objects (by UID) are gone; on a terminal, say what is still there."""
    uids = {obj["metadata"]["uid"] for _, obj in victims}
    kinds = list({kind.plural: kind for kind, _ in victims}.values())
    where = {(obj.get("metadata") or {}).get("namespace") for _, obj in victims}
    if not (left := [obj for kind, obj in victims if _alive(api, kind, obj)]):
        return
    follower = Follower(api, kinds, where.pop() if len(where) == 1 else None)
    world, end = World(), time.monotonic() + seconds
    while True:
        change = follower.next(end - time.monotonic())
        if change is None:
            raise TimeoutExpired(
                f"cannot wait any longer for {len(left)} deletion{'s' * (len(left) > 1)}: "
                + "; ".join(f"{short_name(obj)}: {_blocker(obj)}" for obj in left[:5])
                + "; deletion goes on, `anneal why` says more"
            )
        world.take(change)
        if len(world.listed) < len(kinds):
            continue
        left = [obj for obj in world.objects.values() if obj["metadata"]["uid"] in uids]
        if not left:
            return


def _alive(api: Api, kind: Kind, obj: Object) -> bool:
    plural, namespace, name = key_of(kind.plural, obj)
    now = api.find(kind.path(namespace or None, name))
    return now is not None and bool(plural) and now["metadata"]["uid"] == obj["metadata"]["uid"]


def _blocker(obj: Object) -> str:
    found = condition(obj, "Deleting") or condition(obj)
    if found.get("message"):
        return f"{found.get('reason')}: {terminal.clean(found['message'])}"
    return "waits for " + (", ".join(obj["metadata"].get("finalizers") or ()) or "the server")
