"""The only file that imports kopf: watch events → queue keys.

kopf watches; this file keeps the books. It remembers the resourceVersion that it heard last of every object, lists each kind
itself after every start of kopf and at every resync (what is missing from a list was deleted), and audits what it heard
against a cheap list of versions: two mismatches in a row mean that a watch is blind, and kopf is started anew.
kopf's stateful handlers are not used: they lose updates.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import kopf
import structlog
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from reconciler.client import ApiError, Client, Object, ResourceId
from reconciler.engine.clock import Clock
from reconciler.metrics import METRICS
from reconciler.ownloop import in_own_loop
from specs.meta import PAUSED_ANNOTATION, REBUILD_ANNOTATION

log = structlog.get_logger()

WATCH_SILENCE_SECONDS = 45.0
"""kopf reconnects a watch that was silent for so long; our server sends a bookmark well before."""

Name = tuple[str, str]
Handler = Callable[[ResourceId, Object, bool, bool], None]
"""Called with (resource, object, deleted, spec-like change) for every object that changed."""


@dataclass(slots=True)
class Heard:
    """What was last heard of one object."""

    uid: str
    version: str
    digest: int


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is, and how to prove who we are."""

    url: str
    token: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None


@dataclass(slots=True)
class Informer:
    """Runs kopf, supervised, and tells `handler` of every change, at least once, in the end."""

    client: Client
    connection: Connection
    resources: Iterable[ResourceId]
    handler: Handler
    clock: Clock
    audit_seconds: float = 15.0
    restarts: int = 0
    last_event: float = 0.0
    blind: str = "the first lists are not read yet"
    """Why what we know may be old; empty while all is well."""
    _heard: dict[ResourceId, dict[Name, Heard]] = field(default_factory=dict)
    _suspects: dict[tuple[ResourceId, Name], str] = field(default_factory=dict)
    _untold: dict[tuple[ResourceId, Name], str] = field(default_factory=dict)
    """Changes that the handler could not take in, with the object's UID; they are told again with each audit."""
    _listed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Watch until cancelled. kopf may exit for any reason; it is started again, and everything is listed again."""
        try:
            await self._supervise()
        finally:
            self._listed.clear()  # who runs us again waits for new lists: much may have happened between

    async def _supervise(self) -> None:
        pause = 0.05
        while True:
            ready: Future[None] = Future()
            watching = asyncio.create_task(self._kopf(ready), name="kopf")
            minding = asyncio.create_task(self._mind(ready), name="informer")
            started = self.clock.monotonic()
            try:
                await asyncio.wait({watching, minding}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (watching, minding):
                    task.cancel()
                results = await asyncio.gather(watching, minding, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    log.warning("informer.exited", error=repr(result))
            self.restarts += 1
            METRICS.informer_restarts.inc()
            self.blind = self.blind or "the informer is being restarted"
            pause = 0.05 if self.clock.monotonic() - started > 30 else min(5.0, pause * 2)
            await asyncio.sleep(pause)

    async def synced(self) -> None:
        """Wait for the first lists."""
        await self._listed.wait()

    async def resync(self) -> None:
        """List every kind; tell of what was not heard, and of what is gone."""
        for resource in self.resources:
            await self._list(resource)

    async def _mind(self, ready: Future[None]) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(ready)), 30)
        while True:
            try:
                await self.resync()
                break
            except ApiError as error:
                self.blind = f"cannot list: {error.message}"
                log.warning("informer.cannot_list", error=str(error))
                await asyncio.sleep(1.0)
        self.blind = ""
        self._suspects.clear()
        self._listed.set()
        while True:
            await asyncio.sleep(self.audit_seconds)
            try:
                lost = await self._audit()
                await self._tell_again()
            except ApiError as error:
                self.blind = f"cannot list: {error.message}"
                continue
            self.blind = ""
            if lost:
                self.blind = f"{lost} changes were not heard within {self.audit_seconds:.0f} s"
                log.error("informer.blind", changes=lost, action="list all and start the watches anew")
                return

    async def _list(self, resource: ResourceId) -> None:
        """Take a list in. What was heard of while it was under way is newer than the list, and stays."""
        known = self._heard.setdefault(resource, {})
        before = dict(known)
        present = set()
        async for page in self.client.pages(resource):
            for item in page:
                present.add(name := _name(item))
                if known.get(name) is before.get(name):
                    self._hear(resource, item, deleted=False)
        for name in before.keys() - present:
            if known.get(name) is before[name]:
                self._gone(resource, name)

    async def _audit(self) -> int:
        """Compare versions; a difference that is still the same one audit later is a change that was never heard."""
        suspects: dict[tuple[ResourceId, Name], str] = {}
        for resource in self.resources:
            before = {name: heard.version for name, heard in self._heard.get(resource, {}).items()}
            truth = await self.client.versions(resource)
            if before == truth:  # nearly always
                continue
            for name in before.keys() | truth.keys():
                heard = self._heard.get(resource, {}).get(name)
                if before.get(name) != truth.get(name) and (heard.version if heard else None) != truth.get(name):
                    suspects[resource, name] = truth.get(name, "gone")
        lost = sum(1 for what, version in suspects.items() if self._suspects.get(what) == version)
        self._suspects = suspects
        return lost

    async def _kopf(self, ready: Future[None]) -> None:
        """Run kopf until it exits, or until cancelled.

        It gets a thread and a loop of its own: where it runs it takes over the signals of the main thread, and when it exits it
        cancels every task of its loop that it did not find there.
        """
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="anneal")(self._login)
        home = asyncio.get_running_loop()
        for resource in self.resources:
            self._register(registry, resource, home)
        work = kopf.operator(
            registry=registry, settings=_settings(), memories=_Forgetful(), standalone=True, clusterwide=True, ready_flag=ready
        )
        await in_own_loop(work, name="kopf")

    def _register(self, registry: Any, resource: ResourceId, home: asyncio.AbstractEventLoop) -> None:
        async def on_event(event: Mapping[str, Any], **_: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the daemon's loop was closed meanwhile
                home.call_soon_threadsafe(self._heard_of, resource, dict(event["object"]), event["type"] == "DELETED")

        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id="heard")(on_event)

    def _heard_of(self, resource: ResourceId, obj: Object, deleted: bool) -> None:
        self.last_event = self.clock.monotonic()
        METRICS.informer_last_event.set_to_current_time()
        self._hear(resource, obj, deleted=deleted)

    def _login(self, **_: Any) -> kopf.ConnectionInfo:
        there = self.connection
        return kopf.ConnectionInfo(
            server=there.url,
            token=there.token,
            ca_path=there.ca_file,
            certificate_path=there.certificate_file,
            private_key_path=there.key_file,
        )

    def _hear(self, resource: ResourceId, obj: Object, *, deleted: bool) -> None:
        name, meta = _name(obj), obj["metadata"]
        known = self._heard.setdefault(resource, {})
        heard = known.get(name)
        if deleted:
            if heard is None or heard.uid == meta["uid"]:
                known.pop(name, None)
                self._tell(resource, obj, True, True)
            return
        if heard is not None and heard.version == meta["resourceVersion"]:
            return
        digest = _digest(meta)
        known[name] = Heard(meta["uid"], meta["resourceVersion"], digest)
        self._tell(resource, obj, False, heard is None or heard.digest != digest)

    def _gone(self, resource: ResourceId, name: Name) -> None:
        heard = self._heard[resource].pop(name)
        obj = {"metadata": {"namespace": name[0], "name": name[1], "uid": heard.uid}}
        self._tell(resource, obj, True, True)

    def _tell(self, resource: ResourceId, obj: Object, deleted: bool, spec_like: bool) -> None:
        """One object that nobody can make sense of must not deafen us to all others."""
        try:
            self.handler(resource, obj, deleted, spec_like)
        except Exception:
            meta = obj["metadata"]
            self._untold[resource, _name(obj)] = meta["uid"]
            log.exception("informer.handler_failed", resource=resource.plural, name=meta["name"])

    async def _tell_again(self) -> None:
        """A change that was heard but not taken in would otherwise be lost: nothing else tells of it."""
        for (resource, (namespace, name)), uid in list(self._untold.items()):
            obj = await self.client.get(resource, namespace, name)
            del self._untold[resource, (namespace, name)]
            if obj is not None:
                self._tell(resource, obj, False, True)
            else:
                self._tell(resource, {"metadata": {"namespace": namespace, "name": name, "uid": uid}}, True, True)


class _Forgetful(ResourceMemories):
    """kopf keeps two kilobytes of empty sets for each object, for what we use nothing of."""

    async def recall(self, raw_body: Any, *, ephemeral: bool = False, **more: Any) -> ResourceMemory:
        return await super().recall(raw_body, ephemeral=True, **more)


class _NoDifference(kopf.DiffBaseStorage):
    """kopf copies each object, deeply, to compare it with what it stored of it; we store nothing, and compare versions."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        pass


def _name(obj: Object) -> Name:
    meta = obj["metadata"]
    return meta.get("namespace") or "", meta["name"]


REQUESTS = (PAUSED_ANNOTATION, REBUILD_ANNOTATION)
"""Annotations by which a person asks for something. Those of others wake nobody."""


def _digest(meta: Mapping[str, Any]) -> int:
    """A hash of all but status: what a pass must look at when it changes."""
    return hash(
        (
            meta["uid"],
            meta.get("generation"),
            meta.get("deletionTimestamp"),
            tuple(meta.get("finalizers") or ()),
            *((meta.get("annotations") or {}).get(name) for name in REQUESTS),
            tuple(sorted((meta.get("labels") or {}).items())),
            tuple(owner.get("uid") for owner in meta.get("ownerReferences") or ()),
        )
    )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = _NoDifference()
    settings.watching.chunk_size = 250
    settings.watching.server_timeout = 600
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = WATCH_SILENCE_SECONDS
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = [0.05, 0.1, 0.2, 0.5, 1, 2, 5]
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.1  # kopf has a task for each object that it heard of so long ago
    settings.queueing.exit_timeout = 0.5
    settings.background.cancellation_polling = 1
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it warns that signals are left to us
    return settings
