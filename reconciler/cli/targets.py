"""What a command is about: `KIND[,KIND] [NAME…]`, `KIND/NAME …`, or a category."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from reconciler.cli.api import Api
from reconciler.cli.errors import ApiError, NotFoundError, UsageError
from reconciler.cli.kinds import Kind, lookup


class Target(NamedTuple):
    """One kind, and the names that were given; no names means all."""

    kind: Kind
    names: tuple[str, ...] = ()


def parse(api: Api, words: list[str]) -> list[Target]:
    """Read the positional arguments. UsageError for a kind that does not exist or a mixture that cannot be understood."""
    try:
        return _parse(api, words)
    except UsageError as error:
        paths = [word for word in words if os.path.exists(word)]
        if not paths:
            raise
        raise UsageError(f"{error}; {paths[0]} is a file or a folder, such are given with -f") from error


def _parse(api: Api, words: list[str]) -> list[Target]:
    if not words:
        raise UsageError("cannot tell what you mean: no kind was given; `anneal get anneal` shows everything of anneal")
    if any("/" in word for word in words):
        return _slashed(api, words)
    kinds: list[Kind] = []
    for word in words[0].split(","):
        if not word:
            raise UsageError(f'cannot read "{words[0]}": a kind is missing beside the comma; write KIND,KIND')
        kinds += [kind for kind in lookup(api, word) if kind not in kinds]
    return [Target(kind, tuple(words[1:])) for kind in kinds]


def _slashed(api: Api, words: list[str]) -> list[Target]:
    targets: list[Target] = []
    for word in words:
        kind, slash, name = word.partition("/")
        if not slash:
            raise UsageError(
                f'cannot read "{word}": beside KIND/NAME every argument must have that form; write e.g. machine/{word}'
            )
        if not name or "/" in name:
            raise UsageError(f'cannot read "{word}": it is not KIND/NAME; write e.g. machine/worker-1')
        found = lookup(api, kind)[0]
        if targets and targets[-1].kind == found:
            targets[-1] = Target(found, (*targets[-1].names, name))
        else:
            targets.append(Target(found, (name,)))
    return targets


def single(api: Api, words: list[str], verb: str) -> tuple[Kind, str]:
    """Read exactly one `KIND/NAME` or `KIND NAME`."""
    targets = parse(api, words) if words else []
    if len(targets) != 1 or len(targets[0].names) != 1:
        raise UsageError(f"cannot run `anneal {verb}`: it wants exactly one KIND/NAME; e.g. `anneal {verb} machine/worker-1`")
    return targets[0].kind, targets[0].names[0]


def read(api: Api, kind: Kind, namespace: str | None, name: str, *, accept: str = "application/json") -> Any:
    """GET one object; NotFoundError with the nearest name there is."""
    try:
        return api.get(kind.path(namespace, name), accept=accept)
    except ApiError as error:
        if error.http != 404:
            raise
        raise missing(api, kind, namespace, name) from error


def missing(api: Api, kind: Kind, namespace: str | None, name: str) -> NotFoundError:
    """The error for an object that is not there."""
    from reconciler.cli.args import did_you_mean

    where = f" in namespace {namespace}" if kind.namespaced else ""
    try:
        names = [item["metadata"]["name"] for item in api.get(kind.path(namespace), {"limit": 500}).get("items") or ()]
    except ApiError:
        names = []
    hint = did_you_mean(name, names) or f"`anneal get {kind.plural}{' -A' if kind.namespaced else ''}` lists what there is"
    return NotFoundError(f'cannot find {kind.singular} "{name}"{where}: there is none; {hint}')


def list_all(
    api: Api, kind: Kind, namespace: str | None, query: dict[str, Any] | None = None
) -> tuple[list[dict[str, Any]], str]:
    """All objects (chunk by chunk, kind and apiVersion filled in) and the resourceVersion of the list."""
    items: list[dict[str, Any]] = []
    asked = {"limit": 2000, **(query or {})}
    while True:
        page = api.get(kind.path(namespace), asked)
        for item in page.get("items") or ():
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
            items.append(item)
        meta = page.get("metadata") or {}
        if not meta.get("continue"):
            return items, str(meta.get("resourceVersion", ""))
        asked["continue"] = meta["continue"]
