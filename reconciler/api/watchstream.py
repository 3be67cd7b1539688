"""The lines of one watch from its beginning to its end: what is there, what happened meanwhile, what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass

import orjson

from reconciler.api import errors
from reconciler.api.core import Core
from reconciler.api.listing import ListOptions, parse_revision
from reconciler.api.resources import ResourceType
from reconciler.api.revisions import Change, Expired
from reconciler.api.selection import Selection
from reconciler.api.settings import ApiSettings
from reconciler.api.watch import OBJECTS, Form, Hub, Watcher, added, event
from reconciler.client import ApiError

PAGE = 500
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What is to be watched, and how."""

    selection: Selection
    resource_version: str = ""
    """Empty or "0": begin with what is there. Else: begin with what happened after it."""
    bookmarks: bool = False
    initial_events: bool | None = None
    """sendInitialEvents: begin with what is there, and say with a bookmark when that is done; False: do not."""
    seconds: float | None = None
    """When to end."""
    form: Form = OBJECTS


async def stream(
    core: Core, hub: Hub, rtype: ResourceType, options: WatchOptions, settings: ApiSettings, cut: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the lines, as many at once as there are. `cut` is called when the watcher is too slow to go on.

    ApiError if the options make no sense; what goes wrong later is a line of type ERROR, after which the watch ends.
    """
    start = parse_revision(options.resource_version)
    deadline = asyncio.get_running_loop().time() + (options.seconds or settings.watch_seconds)
    watcher = Watcher(options.selection, settings.watch_events, settings.watch_bytes, cut)
    try:
        at = start or core.store.newest()
        if options.initial_events or (not start and options.initial_events is None):
            for lines, taken in _initial(core, rtype, options):
                yield lines
                at = taken
            if options.initial_events and options.bookmarks:
                yield bookmark(rtype, at, options.form, done=True)
        elif at > core.store.newest():  # from another life of the database: nothing can follow it
            raise Expired
        while page := _page(core, rtype, at):
            at = page[-1].rv
            happenings = [found for change in page if (found := hub.happening(change)) and watcher.wants(found)]
            yield b"".join(watcher.line(happening, options.form) for happening in happenings)
        # No await between the last look into the database and this: nothing falls in between.
        hub.add(rtype, watcher, max(at, core.store.delivered))
        async for lines in _live(hub, rtype, options, watcher, settings.bookmark_seconds, deadline):
            yield lines
    except Expired:
        yield _error(errors.expired(f"too old resource version: {options.resource_version} ({core.store.compacted})"))
    except ApiError as e:
        yield _error(e)
    finally:
        hub.remove(rtype, watcher)


def _initial(core: Core, rtype: ResourceType, options: WatchOptions) -> Iterator[tuple[bytes, int]]:
    token = ""
    while True:
        chunk = core.list(rtype, ListOptions(options.selection, PAGE, token))
        yield b"".join(added(rtype, core.codec, row, options.form) for row in chunk.rows), chunk.rv
        if not (token := chunk.token):
            return


def _page(core: Core, rtype: ResourceType, at: int) -> list[Change]:
    """The next changes of the kind, as far as the hub has seen them."""
    upto = core.store.delivered
    return core.store.changes(rtype.qualified, after=at, upto=upto, limit=PAGE) if upto > at else []


async def _live(
    hub: Hub, rtype: ResourceType, options: WatchOptions, watcher: Watcher, bookmark_seconds: float, deadline: float
) -> AsyncGenerator[bytes, None]:
    clock = asyncio.get_running_loop().time
    said = clock()
    while not (hub.closing or watcher.overrun or (left := deadline - clock()) <= 0):
        news = await watcher.wait(min(left, max(said + bookmark_seconds - clock(), 0.001)))
        lines = b"".join(watcher.line(happening, options.form) for happening in news)
        if options.bookmarks and not lines and clock() - said >= bookmark_seconds and not hub.closing:
            lines = bookmark(rtype, max(hub.store.delivered, watcher.after), options.form)
        if lines or not options.bookmarks:
            said = clock()
        if lines:
            yield lines


def bookmark(rtype: ResourceType, rv: int, form: Form, *, done: bool = False) -> bytes:
    """A line that says how far the watch has come."""
    metadata: dict[str, object] = {"resourceVersion": str(rv), "creationTimestamp": None}
    if done:
        metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
    partial = form.kind == "PartialObjectMetadata"
    kind, api_version = (form.kind, "meta.k8s.io/v1") if partial else (rtype.kind, rtype.api_version)
    return event("BOOKMARK", orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata}))


def _error(error: ApiError) -> bytes:
    return event("ERROR", orjson.dumps(error.status))
