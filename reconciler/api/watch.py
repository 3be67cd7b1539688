"""Watches: every committed change goes to whoever watches its kind, in order, none left out, none twice.

A watch reads what happened since its resourceVersion from the database, page by page, until it has seen all that the hub has;
then, without a step between, it is fed by the hub. Each change is turned into bytes once, however many watch. What waits for a
slow watcher is bounded; who is too slow is cut off, and goes on from its last resourceVersion.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import structlog

from reconciler.api.codec import Codec
from reconciler.api.resources import Registry, ResourceType
from reconciler.api.revisions import Change, Row, Verb
from reconciler.api.selection import Selection
from reconciler.api.store import Store
from reconciler.api.table import Include, columns_of, table
from reconciler.metrics import METRICS

log = structlog.get_logger()

Object = dict[str, Any]


class Form(NamedTuple):
    """In which form objects are asked for: themselves, as the rows of a Table, or only their metadata."""

    kind: str = "Object"
    """Object, Table or PartialObjectMetadata."""
    include: Include = "Metadata"
    """What goes with each row of a Table."""


OBJECTS = Form()


class Happening:
    """One change, and the forms it was turned into."""

    __slots__ = ("_lines", "_obj", "_old", "change", "codec", "rtype", "store")

    def __init__(self, change: Change, rtype: ResourceType, codec: Codec, store: Store) -> None:
        self.change = change
        self.rtype = rtype
        self.codec = codec
        self.store = store
        self._obj: Object | None = None
        self._old: Object | None = None
        self._lines: dict[tuple[Verb, bool, Form], bytes] = {}

    @property
    def obj(self) -> Object:
        """The object after the change (of a deleted one: its last state). Shared: do not change it."""
        if self._obj is None:
            self._obj = orjson.loads(self.body(old=False))
        return self._obj

    @property
    def old(self) -> Object:
        """The object before the change, but with the change's resourceVersion. Shared: do not change it."""
        if self._old is None:
            self._old = orjson.loads(self.body(old=True))
        return self._old

    def body(self, *, old: bool) -> bytes:
        """The object's JSON after or before the change."""
        change = self.change
        blob = (self.store.blob(change.prev) if old and change.prev else None) or change.blob
        return self.codec.body(self.rtype, change.key, change.rv, blob)

    def line(self, verb: Verb, form: Form, *, old: bool = False) -> bytes:
        """The line of the watch; made once for all who ask for the same."""
        key = (verb, old, form)
        if (line := self._lines.get(key)) is None:
            line = self._lines[key] = event(verb, shaped(self.rtype, self.body(old=old), form))
        return line


def event(verb: str, body: bytes) -> bytes:
    """One line of a watch."""
    return b'{"type":"%b","object":%b}\n' % (verb.encode(), body)


def shaped(rtype: ResourceType, body: bytes, form: Form) -> bytes:
    """An object's JSON in the form that was asked for."""
    if form.kind == "Object":
        return body
    obj = orjson.loads(body)
    if form.kind == "Table":
        return orjson.dumps(as_table(rtype, [obj], form.include, obj["metadata"]["resourceVersion"]))
    return orjson.dumps(metadata_only(obj))


def as_table(rtype: ResourceType, objects: Iterable[Object], include: Include, rv: str, **more: Any) -> Object:
    """The objects as a meta.k8s.io/v1 Table."""
    columns = columns_of(rtype.group, rtype.kind, rtype.columns)
    return table(columns, objects, include=include, resource_version=rv, now=datetime.now(UTC), **more)


def metadata_only(obj: Object) -> Object:
    """The object as a PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


class Watcher:
    """One watch's share of the changes, waiting to be sent."""

    def __init__(self, selection: Selection, max_events: int, max_bytes: int, cut: Callable[[], None]) -> None:
        self.selection = selection
        self.after = 0
        """Changes up to this revision are none of its business."""
        self.overrun = False
        """True once it was cut off."""
        self._max_events, self._max_bytes, self._cut = max_events, max_bytes, cut
        self._waiting: deque[Happening] = deque()
        self._bytes = 0
        self._wake: asyncio.Future[None] | None = None

    def offer(self, happening: Happening) -> None:
        """Take a change in, if it can be of interest."""
        if self.overrun or happening.change.rv <= self.after or not self.wants(happening):
            return
        self._waiting.append(happening)
        self._bytes += len(happening.change.blob)
        if len(self._waiting) > self._max_events or self._bytes > self._max_bytes:
            self.overrun = True
            self._waiting.clear()
            METRICS.api_watchers_cut.inc()
            self._cut()
        self.wake()

    def wants(self, happening: Happening) -> bool:
        """Whether it is in the namespace, and of the name, that is watched."""
        key, selection = happening.change.key, self.selection
        return selection.namespace in (None, key.namespace) and selection.name in (None, key.name)

    async def wait(self, seconds: float) -> list[Happening]:
        """What happened since the last call; waits for something to happen, at most so long."""
        if not self._waiting and not self.overrun and seconds > 0:
            loop = asyncio.get_running_loop()
            self._wake = loop.create_future()
            timer = loop.call_later(seconds, self.wake)
            try:
                await self._wake
            finally:
                timer.cancel()
                self._wake = None
        found = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return found

    def wake(self) -> None:
        """Let `wait` return."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def line(self, happening: Happening, form: Form) -> bytes:
        """What this watch says of a change: with a selector, an object that comes into it is ADDED, one that leaves DELETED."""
        verb = happening.change.type
        if not self.selection.narrow:
            return happening.line(verb, form)
        before = verb != "ADDED" and self.selection.matches(happening.old)
        after = verb != "DELETED" and self.selection.matches(happening.obj)
        if after:
            return happening.line("MODIFIED" if before else "ADDED", form)
        if before:
            return happening.line("DELETED", form, old=verb != "DELETED")
        return b""


class Hub:
    """Passes committed changes on to the watchers and to listeners in this process."""

    def __init__(self, store: Store, registry: Registry, codec: Codec) -> None:
        self.store = store
        self.registry = registry
        self.codec = codec
        self.listeners: list[Callable[[Happening], None]] = []
        """Called with every change, in order; must be quick and must not raise."""
        self.closing = False
        """True when the server stops: watches end."""
        self._watchers: defaultdict[str, set[Watcher]] = defaultdict(set)
        store.on_commit = self._committed

    def add(self, rtype: ResourceType, watcher: Watcher, after: int) -> None:
        """Feed it with every change of the kind after this revision."""
        watcher.after = after
        self._watchers[rtype.qualified].add(watcher)
        METRICS.api_watchers.inc()

    def remove(self, rtype: ResourceType, watcher: Watcher) -> None:
        """Feed it no more."""
        if watcher in self._watchers[rtype.qualified]:
            self._watchers[rtype.qualified].discard(watcher)
            METRICS.api_watchers.dec()

    @property
    def watching(self) -> int:
        """How many watches there are."""
        return sum(map(len, self._watchers.values()))

    def close(self) -> None:
        """End all watches."""
        self.closing = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.wake()

    def happening(self, change: Change) -> Happening | None:
        """The change as watches want it; None if its kind is not served any more."""
        rtype = self.registry.find_key(change.key.kind)
        return Happening(change, rtype, self.codec, self.store) if rtype is not None else None

    def _committed(self, changes: list[Change]) -> None:
        for change in changes:
            if (happening := self.happening(change)) is None:
                continue
            METRICS.api_writes.labels(happening.rtype.plural).inc()
            for watcher in self._watchers[change.key.kind]:
                watcher.offer(happening)
            for listener in self.listeners:
                try:
                    listener(happening)
                except Exception:  # one that fails must not keep the others from hearing
                    log.exception("hub.listener_failed", key="/".join(change.key))


def added(rtype: ResourceType, codec: Codec, row: Row, form: Form) -> bytes:
    """The line of an object that was there when the watch began."""
    return event("ADDED", shaped(rtype, codec.body(rtype, *row), form))
