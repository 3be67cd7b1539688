"""Lists: consistent over all their chunks, because each is read as of the revision at which the first one was."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from reconciler.api import errors
from reconciler.api.codec import Codec
from reconciler.api.resources import ResourceType
from reconciler.api.revisions import Expired, Key, Row
from reconciler.api.selection import Selection
from reconciler.api.store import Store
from reconciler.client import ApiError

PAGE = 1000


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What of a list is asked for."""

    selection: Selection
    limit: int = 0
    """0: all of it."""
    token: str = ""
    """`continue`: go on where the chunk ended that gave this."""
    resource_version: str = ""
    match: str = ""
    """resourceVersionMatch: "", NotOlderThan, Exact."""


class Listing(NamedTuple):
    """One chunk of a list."""

    rows: list[Row]
    rv: int
    token: str = ""
    remaining: int | None = None


def read(store: Store, codec: Codec, rtype: ResourceType, options: ListOptions) -> Listing:
    """Read one chunk. ApiError: 400 for a bad token, 410 if its revision was compacted away, 504 for one from the future."""
    newest = store.newest()
    at, after = _position(options, newest)
    selection = options.selection
    try:
        if selection.name is not None and at == newest:
            return Listing(_single(store, codec, rtype, selection), at)
        rows = _scan(store, codec, rtype, selection, at, after, options.limit + 1 if options.limit else None)
    except Expired as e:
        raise errors.expired("The provided continue parameter is too old to display a consistent list result; list again") from e
    if not options.limit or len(rows) <= options.limit:
        return Listing(rows, at)
    rows.pop()
    last = (rows[-1].key.namespace, rows[-1].key.name)
    # Counting what a selector would let through means reading it all: Kubernetes does not tell either.
    whole = not selection.narrow and selection.name is None
    remaining = store.count(rtype.qualified, selection.namespace, at=at, after=last) if whole else None
    return Listing(rows, at, _token(at, last), remaining)


def _position(options: ListOptions, newest: int) -> tuple[int, tuple[str, str] | None]:
    if options.token:
        return _parse_token(options.token)
    wanted = parse_revision(options.resource_version)
    if wanted is None or wanted == 0:
        return newest, None
    if wanted > newest:
        raise errors.too_new(wanted, newest)
    return (wanted if options.match == "Exact" else newest), None


def _single(store: Store, codec: Codec, rtype: ResourceType, selection: Selection) -> list[Row]:
    if selection.namespace is None and rtype.namespaced:
        every = store.scan(rtype.qualified, None, at=store.newest())
        rows = [row for row in every if row.key.name == selection.name]
    else:
        row = store.get(Key(rtype.qualified, selection.namespace or "", selection.name or ""))
        rows = [row] if row is not None else []
    return [row for row in rows if not selection.narrow or selection.matches(codec.load(rtype, row))]


def _scan(
    store: Store,
    codec: Codec,
    rtype: ResourceType,
    selection: Selection,
    at: int,
    after: tuple[str, str] | None,
    limit: int | None,
) -> list[Row]:
    if not selection.narrow and selection.name is None:
        return store.scan(rtype.qualified, selection.namespace, at=at, after=after, limit=limit)
    found: list[Row] = []
    while page := store.scan(rtype.qualified, selection.namespace, at=at, after=after, limit=PAGE):
        found += [
            row
            for row in page
            if (selection.name is None or row.key.name == selection.name) and selection.matches(codec.load(rtype, row))
        ]
        after = (page[-1].key.namespace, page[-1].key.name)
        if len(page) < PAGE or (limit is not None and len(found) >= limit):
            break
    return found[:limit]


def parse_revision(text: str) -> int | None:
    """A resourceVersion as a number; None if it is empty. ApiError 400 if it is neither."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _bad_revision(text)
    return int(text)


def _bad_revision(text: str) -> ApiError:
    return errors.bad_request(f'cannot read resourceVersion "{text[:40]}": it is not one of this server\'s; list again')


def _token(rv: int, last: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"rv": rv, "after": last})).decode()


def _parse_token(text: str) -> tuple[int, tuple[str, str]]:
    try:
        value = orjson.loads(base64.urlsafe_b64decode(text))
        rv, (namespace, name) = value["rv"], value["after"]
        if not (isinstance(rv, int) and isinstance(namespace, str) and isinstance(name, str)):
            raise TypeError
    except (ValueError, KeyError, TypeError, binascii.Error) as e:
        raise errors.bad_request("continue key is not valid: it is not one of this server's; list again") from e
    return rv, (namespace, name)
