"""`anneal scale`: how many, of a kind that has replicas. Writes the scale subresource, as `kubectl scale` does."""

from __future__ import annotations

from typing import Any

from reconciler.cli.api import Api
from reconciler.cli.args import Parser
from reconciler.cli.connect import open_api
from reconciler.cli.errors import OK, ApiError, CliError, UsageError
from reconciler.cli.kinds import Kind
from reconciler.cli.targets import parse, read

MANAGER = "anneal-scale"


def parser() -> Parser:
    """The flags of `anneal scale`."""
    made = Parser(
        "scale",
        "KIND/NAME... --replicas N [flags]",
        [
            ("anneal scale mset/workers --replicas 4", ""),
            ("anneal scale mset/workers --replicas 3 --current-replicas 4", "only if it has 4 now"),
        ],
        more="A file that sets spec.replicas wins when it is applied again: leave the field out of it to scale by hand.",
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("--replicas", type=int, metavar="N", help="how many")
    made.add_argument("--current-replicas", type=int, metavar="N", help="only if it has so many now")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Scale each."""
    args = parser().parse(argv)
    if args.replicas is None:
        raise UsageError("cannot scale: how many is not said; add --replicas N")
    api, namespace = open_api(args)
    for target in parse(api, args.what):
        if not target.names:
            raise UsageError(f"cannot scale all {target.kind.plural}: name those that are meant; e.g. mset/workers")
        for name in target.names:
            _scale(api, target.kind, namespace or "default", name, args.replicas, args.current_replicas)
            print(f"{target.kind.singular}/{name} scaled to {args.replicas}")
    return OK


def _scale(api: Api, kind: Kind, namespace: str, name: str, wanted: int, expected: int | None) -> None:
    read(api, kind, namespace, name)
    path, body = f"{kind.path(namespace, name)}/scale", dict[str, Any](spec={"replicas": wanted})
    try:
        if expected is not None:
            now = api.get(path)
            if (have := now["spec"]["replicas"]) != expected:
                raise CliError(f"cannot scale {kind.singular}/{name}: it has {have} replicas, not {expected}; look again")
            body["metadata"] = {"resourceVersion": now["metadata"]["resourceVersion"]}
        api.request("PATCH", path, {"fieldManager": MANAGER}, body=body, content_type="application/merge-patch+json")
    except ApiError as error:
        if error.http == 404:
            raise UsageError(f"cannot scale a {kind.singular}: it has no replicas; a machineset has") from error
        raise
