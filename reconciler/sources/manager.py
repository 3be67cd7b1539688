"""All sources of one daemon: found again at every start, added and forgotten while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from reconciler.client import CONFIGMAPS, ApiError, Client, Object, ResourceId
from reconciler.engine.clock import Clock
from reconciler.sources.claims import Claims
from reconciler.sources.folder import FolderSource, Pace
from reconciler.sources.identity import settled_path, source_id
from reconciler.sources.record import Record, records
from reconciler.sources.report import Recorder
from specs.meta import INSTALLATION

log = structlog.get_logger()

RESTART_SECONDS = 5.0


class SourceError(Exception):
    """What was asked of a source cannot be done; the text says why and what to do."""


class SourceManager:
    """Runs one FolderSource per folder. All methods are for the event loop's own thread."""

    def __init__(
        self, client: Client, *, recorder: Recorder, clock: Clock, pace: Pace | None = None, lead_seconds: float = 10.0
    ) -> None:
        self._client, self._recorder, self._clock, self._pace = client, recorder, clock, pace
        self._lead_seconds = lead_seconds
        self._sources: dict[str, FolderSource] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._claims = Claims()
        self._started = asyncio.Event()
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Follow all recorded folders, and those that are added, until cancelled. May be run again afterwards."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(ApiError), wait=wait_exponential_jitter(multiplier=0.2, max=10.0)
            ):
                with attempt:
                    found = await records(self._client)
            for record in sorted(found, key=lambda record: record.id):
                self._start(record.id, record.path)
                if record.leaving:
                    with contextlib.suppress(SourceError):
                        await self.remove(record.id)
            self._started.set()
            await asyncio.Event().wait()
        finally:
            self._started.clear()
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._sources.clear()
            self._tasks.clear()
            self._claims.clear()

    async def add(self, path: Path) -> dict[str, Any]:
        """Follow a folder; return its status after the first sync. A folder that is followed already is synced once more.

        SourceError if it is no readable folder, or overlaps with another source.
        """
        await self._running()
        async with self._lock:
            source = self._find(path)
            known = source is not None
            if source is None:
                self._check(path)
                place = settled_path(path)
                try:
                    id = source_id(place, await self._installation())
                    await Record(self._client, id, place).ensure()
                except ApiError as error:
                    raise SourceError(f'cannot add "{path}": {error.message}; try again') from error
                source = self._start(id, place)
                log.info("source.added", source=id, path=str(place))
        if known:
            with contextlib.suppress(ApiError):
                await source.sync_once()
        await source.first.wait()
        return source.status.as_dict()

    async def remove(self, id: str) -> None:
        """Forget a source. Its objects stay as they are and belong to nobody. SourceError if there is no such source."""
        if id not in self._sources:
            raise SourceError(f'cannot forget source "{id}": there is none of that name; `anneal status` lists them')
        task, source = self._tasks.pop(id), self._sources.pop(id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            await source.forget()
        except ApiError as error:
            self._start(id, source.path)
            raise SourceError(f'cannot forget source "{id}": {error.message}; try again') from error
        log.info("source.forgotten", source=id)

    async def confirm(self, id: str | None = None, *, dry_run: bool = False) -> list[dict[str, Any]]:
        """Agree to the removals that wait, of one source or of all; return them as [{"source", "removals"}]."""
        if id is not None and id not in self._sources:
            raise SourceError(f'cannot confirm source "{id}": there is none of that name; `anneal status` lists them')
        chosen = [self._sources[id]] if id is not None else list(self._sources.values())
        answers = [{"source": source.id, "removals": await source.confirm(dry_run=dry_run)} for source in chosen]
        return [answer for answer in answers if answer["removals"]]

    def statuses(self) -> list[dict[str, Any]]:
        """How each source stands, by id."""
        return [source.status.as_dict() for _, source in sorted(self._sources.items())]

    def notify(self, resource: ResourceId, obj: Object, deleted: bool = False) -> None:
        """Tell all sources what happened to an object; each knows whether it is its own. `obj` may be its metadata alone."""
        for source in self._sources.values():
            source.notify(resource, obj, deleted)

    def _start(self, id: str, path: Path) -> FolderSource:
        source = FolderSource(
            path, self._client, id=id, clock=self._clock, recorder=self._recorder, claims=self._claims, pace=self._pace
        )
        self._sources[id] = source
        self._tasks[id] = asyncio.create_task(_follow(source), name=f"source {id}")
        return source

    async def _running(self) -> None:
        try:
            async with asyncio.timeout(self._lead_seconds):
                await self._started.wait()
        except TimeoutError:
            raise SourceError("cannot add the folder: this daemon is not the leader yet; try again, or ask the leader") from None

    def _find(self, path: Path) -> FolderSource | None:
        """Return the source of this very folder, by whatever path it is known."""
        place = settled_path(path)
        for source in self._sources.values():
            with contextlib.suppress(OSError):
                if source.path == place or os.path.samefile(source.path, place):
                    return source
        return None

    def _check(self, path: Path) -> None:
        try:
            with os.scandir(path):
                pass
        except NotADirectoryError:
            raise SourceError(f'cannot add "{path}": it is a file; give the folder that holds it') from None
        except OSError as error:
            raise SourceError(f'cannot add "{path}": {os.strerror(error.errno or 0).lower()}') from error
        real = path.resolve()
        for source in self._sources.values():
            other = source.path.resolve()
            if real.is_relative_to(other) or other.is_relative_to(real):
                raise SourceError(
                    f'cannot add "{path}": it overlaps with the source {source.id} ({source.path}); '
                    "an object can come from one source only: choose a folder beside it, or forget the other first"
                )

    async def _installation(self) -> str:
        live = await self._client.get(CONFIGMAPS, "default", INSTALLATION)
        return str(((live or {}).get("data") or {}).get("id") or "")


async def _follow(source: FolderSource) -> None:
    """Run a source until cancelled, whatever happens in it."""
    while True:
        try:
            await source.run()
        except Exception:
            log.exception("source.died", source=source.id, retry_seconds=RESTART_SECONDS)
            await asyncio.sleep(RESTART_SECONDS)
