"""Follow changes: list, then watch; again from where it stopped when the stream ends, from a new list when that is too old."""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from reconciler.cli.api import Api
from reconciler.cli.errors import ApiError, CliError
from reconciler.cli.kinds import Kind
from reconciler.cli.targets import list_all

WATCH_SECONDS = 300
_PAUSES = (0.1, 0.3, 1.0, 2.0, 5.0)


class Change(NamedTuple):
    """ADDED, MODIFIED, DELETED of one object; or LISTED: `obj` holds `items`, all that there is, and replaces what was known."""

    type: str
    kind: Kind
    obj: dict[str, Any]


def follow(api: Api, kind: Kind, namespace: str | None, query: dict[str, Any] | None = None) -> Iterator[Change]:
    """Yield LISTED, then every change, for ever. The first list may raise; later troubles are waited out."""
    query = query or {}
    items, version = list_all(api, kind, namespace, query)
    yield Change("LISTED", kind, {"items": items})
    pauses = iter(_PAUSES)
    while True:
        began, expired = time.monotonic(), False
        try:
            for change, seen in _stream(api, kind, namespace, query, version):
                version = seen
                if change is not None:
                    yield change
        except ApiError as error:
            if error.http != 410 and error.http < 500:
                raise
            expired = error.http == 410
        except CliError:  # nobody answers: the same question again, later
            pass
        if time.monotonic() - began > 1:
            pauses = iter(_PAUSES)
        else:
            time.sleep(next(pauses, _PAUSES[-1]))
        if expired:
            items, version = _listed_again(api, kind, namespace, query)
            yield Change("LISTED", kind, {"items": items})


def _listed_again(api: Api, kind: Kind, namespace: str | None, query: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    while True:
        try:
            return list_all(api, kind, namespace, query)
        except CliError as error:
            if isinstance(error, ApiError) and error.http < 500:
                raise
            time.sleep(_PAUSES[-1])


def _stream(
    api: Api, kind: Kind, namespace: str | None, query: dict[str, Any], version: str
) -> Iterator[tuple[Change | None, str]]:
    """Yield (change, resourceVersion); None for a bookmark. ApiError 410 when the server says that it is too old."""
    asked = {**query, "watch": True, "resourceVersion": version, "allowWatchBookmarks": True, "timeoutSeconds": WATCH_SECONDS}
    for line in api.stream(kind.path(namespace), asked):
        try:
            event = json.loads(line)
        except ValueError:  # the connection dropped in the middle of a line
            return
        obj = event.get("object") or {}
        if event.get("type") == "ERROR":
            raise ApiError(
                int(obj.get("code") or 410), str(obj.get("reason") or ""), str(obj.get("message") or "the watch failed"), obj
            )
        version = (obj.get("metadata") or {}).get("resourceVersion") or version
        yield (None if event["type"] == "BOOKMARK" else Change(event["type"], kind, obj)), version


class Follower:
    """Several kinds followed at once, each by a thread and a connection of its own; their changes come out of one queue."""

    def __init__(self, api: Api, kinds: list[Kind], namespace: str | None, query: dict[str, Any] | None = None) -> None:
        self._queue: queue.SimpleQueue[Change | BaseException] = queue.SimpleQueue()  # the one that an interrupt cannot break
        for kind in kinds:
            threading.Thread(target=self._run, args=(api.another(), kind, namespace, query), daemon=True).start()

    def _run(self, api: Api, kind: Kind, namespace: str | None, query: dict[str, Any] | None) -> None:
        try:
            for change in follow(api, kind, namespace, query):
                self._queue.put(change)
        except BaseException as error:  # it surfaces where the changes are read
            self._queue.put(error)

    def next(self, seconds: float | None = None) -> Change | None:
        """The next change; None when `seconds` have passed without one. Raises what a thread ran into."""
        try:
            found = self._queue.get(timeout=None if seconds in (None, float("inf")) else max(0.0, seconds or 0.0))
        except queue.Empty:
            return None
        if isinstance(found, BaseException):
            raise found
        return found

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Within this, Ctrl-C (and SIGTERM, SIGHUP, where they are handled) comes out of `next`; a second one out of anywhere.

        An exception that a signal raises wherever Python happens to be is lost if that is a destructor or a callback. And
        whoever starts us in a shell's background has SIGINT ignored: at a terminal it is wanted all the same.
        """
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        mine = [number for number in numbers if number == signal.SIGINT or callable(before[number])]

        def take(number: int, frame: object) -> None:
            for each in mine:
                signal.signal(each, signal.default_int_handler)
            self._queue.put(KeyboardInterrupt())

        for number in mine:
            signal.signal(number, take)
        try:
            yield
        finally:
            for number in mine:
                signal.signal(number, before[number])


class World:
    """The objects as the changes left them, by (kind, namespace, name)."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.listed: set[str] = set()

    def take(self, change: Change) -> None:
        """Take one change in."""
        plural = change.kind.plural
        if change.type == "LISTED":
            self.listed.add(plural)
            self.objects = {key: obj for key, obj in self.objects.items() if key[0] != plural}
            for item in change.obj["items"]:
                self.objects[key_of(plural, item)] = item
        elif change.type == "DELETED":
            self.objects.pop(key_of(plural, change.obj), None)
        else:
            self.objects[key_of(plural, change.obj)] = change.obj


def key_of(plural: str, obj: dict[str, Any]) -> tuple[str, str, str]:
    """(plural, namespace, name)."""
    meta = obj.get("metadata") or {}
    return plural, meta.get("namespace") or "", meta.get("name") or ""
