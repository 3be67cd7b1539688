"""Sends what a plan says: server-side apply and guarded deletes, sixteen at once, each refusal turned into a Problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

import orjson
import structlog

from reconciler import crash
from reconciler.client import CONFIGMAPS, ApiError, ApiUnavailable, Client, Object
from reconciler.metrics import METRICS
from reconciler.sources.claims import Claims
from reconciler.sources.objects import RECORD_PREFIX, RESOURCES, STAGES, Key, Live, Wanted, live, manager
from reconciler.sources.status import Problem
from specs.kinds import BY_KIND
from specs.meta import SOURCE_FILE_ANNOTATION, SOURCE_LABEL

log = structlog.get_logger()
T = TypeVar("T")

CONCURRENCY = 16
PATIENCE = 4
"""So many objects may go without an answer before the whole API server counts as unavailable."""
_STAGE = {kind: number for number, stage in enumerate(STAGES) for kind in stage}


@dataclass(slots=True)
class Writer:
    """The writing side of one source."""

    client: Client
    source: str
    claims: Claims = field(default_factory=Claims)

    async def apply_all(
        self,
        wants: Iterable[Wanted],
        known: Callable[[Key], Live | None],
        done: Callable[[Wanted, Live | None, tuple[Problem, ...]], None],
    ) -> None:
        """Apply stage by stage; tell `done` what came of each object. ApiUnavailable once the server is plainly away."""
        silent = 0

        async def one(want: Wanted) -> None:
            nonlocal silent
            try:
                there, problems = await self._apply(want, known(want.key))
            except ApiUnavailable as error:
                silent += 1
                if silent >= PATIENCE:
                    raise
                there, problems = None, (_problem(want, f"cannot apply it: {error.message}", hint="It is tried again."),)
            done(want, there, problems)

        for _, stage in groupby(wants, key=lambda want: _STAGE[want.key.kind]):
            await each(stage, one)

    async def delete_all(self, objects: Iterable[Live], done: Callable[[Live, Problem | bool], None]) -> None:
        """Delete stage by stage; tell `done` of each whether we deleted it (False: gone, or not ours any more), or why not."""

        async def one(obj: Live) -> None:
            done(obj, await self._delete(obj))

        for _, stage in groupby(objects, key=lambda obj: _STAGE[obj.key.kind]):
            await each(stage, one)

    async def list_all(self) -> AsyncIterator[tuple[Object, Live]]:
        """Yield all objects of this source that the server holds."""
        for kind, resource in RESOURCES.items():
            items, _ = await self.client.list(resource, labels=f"{SOURCE_LABEL}={self.source}")
            for item in items:
                if found := live(kind, item, self.source):
                    yield item, found

    async def _apply(self, want: Wanted, known: Live | None) -> tuple[Live | None, tuple[Problem, ...]]:
        key = want.key
        if key.reserved:
            return None, (_problem(want, "anneal keeps its own records under this name; choose another"),)
        if (holder := self.claims.take(key, self.source)) != self.source:
            return None, (self._claimed(want, holder),)
        resource, namespace = RESOURCES[key.kind], key.namespace or None
        if known is None and (owner := await self._owner(want)):
            self.claims.refuse(key, self.source)
            return None, (self._claimed(want, owner),)
        body: Any = orjson.loads(want.body)
        try:
            async with crash.point("write", f"apply {key}"):
                there = await self.client.patch(
                    resource, namespace, key.name, body, "apply", manager=manager(self.source), force=True
                )
        except ApiUnavailable:
            raise
        except ApiError as error:
            return None, tuple(_refused(want, error))
        METRICS.source_applies.inc()
        found = live(key.kind, there, self.source)
        if known is None or found is None or found.version != known.version:
            log.info("source.applied", **_who(key), source=self.source, file=want.place, uid=there["metadata"]["uid"])
        return found, ()

    async def _owner(self, want: Wanted) -> str | None:
        """Name the other living source, if any, whose label the object carries."""
        there = await self.client.get(RESOURCES[want.key.kind], want.key.namespace or None, want.key.name)
        label = (((there or {}).get("metadata") or {}).get("labels") or {}).get(SOURCE_LABEL)
        if not label or label == self.source:
            return None
        record = await self.client.get(CONFIGMAPS, "default", f"{RECORD_PREFIX}{label}")
        return str(label) if record is not None else None

    def _claimed(self, want: Wanted, owner: str) -> Problem:
        return _problem(want, f'it belongs to the source "{owner}" already', hint="Keep it in one of the two folders only.")

    async def _delete(self, obj: Live) -> Problem | bool:
        key, resource, namespace = obj.key, RESOURCES[obj.key.kind], obj.key.namespace or None
        hint = "It is tried again."
        try:
            there = await self.client.get(resource, namespace, key.name)
            if there is None or there["metadata"]["uid"] != obj.uid or live(key.kind, there, self.source) is None:
                return False
            if self.claims.sought(key, self.source):
                await self.let_go(obj)
                log.info("source.handed_over", **_who(key), source=self.source, file=obj.file, uid=obj.uid)
                return False
            if key.kind == "Namespace" and (inside := await self._strangers(key.name)):
                message = f"cannot delete the namespace: it still holds {inside}, which did not come from this source"
                return Problem(obj.file, object=key.label, message=message, hint="Delete that first, or put the namespace back.")
            async with crash.point("write", f"delete {key}"):
                await self.client.delete(resource, namespace, key.name, uid=obj.uid)
        except ApiUnavailable:
            raise
        except ApiError as error:
            if error.code in (404, 409):
                return False
            return Problem(obj.file, object=key.label, message=f"cannot delete it: {error.message}", hint=hint)
        log.info("source.deleted", **_who(key), source=self.source, file=obj.file, uid=obj.uid, why="no file holds it any more")
        return True

    async def let_go(self, obj: Live) -> None:
        """Take our label, annotation and ownership of fields off, and nothing else. An object that is gone is fine."""
        resource, namespace = RESOURCES[obj.key.kind], obj.key.namespace or None
        there = await self.client.get(resource, namespace, obj.key.name)
        if there is None or there["metadata"]["uid"] != obj.uid:
            return
        others = [field for field in there["metadata"].get("managedFields") or () if field.get("manager") != manager(self.source)]
        meta = {
            "uid": obj.uid,
            "labels": {SOURCE_LABEL: None},
            "annotations": {SOURCE_FILE_ANNOTATION: None},
            "managedFields": others or [{}],
        }
        try:
            await self.client.patch(resource, namespace, obj.key.name, {"metadata": meta})
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _strangers(self, namespace: str) -> str | None:
        for kind in BY_KIND:
            items, _ = await self.client.list(RESOURCES[kind], namespace)
            for item in items:
                if live(kind, item, self.source) is None:
                    return f"{kind}/{item['metadata']['name']}"
        return None


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], limit: int = CONCURRENCY) -> None:
    """Do the work for every item, at most `limit` at once; the first exception ends it, once what is under way has ended."""
    todo: Iterator[T] = iter(items)
    failed: list[BaseException] = []

    async def worker() -> None:
        for item in todo:
            if failed:
                return
            try:
                await work(item)
            except Exception as error:
                failed.append(error)
                return

    await asyncio.gather(*(worker() for _ in range(limit)))
    if failed:
        raise failed[0]


def _refused(want: Wanted, error: ApiError) -> Iterator[Problem]:
    """Turn the server's refusal into problems, one for each cause."""
    causes = (error.status.get("details") or {}).get("causes") or []
    for cause in causes[:20]:
        yield _problem(want, cause.get("message") or error.message, path=(cause.get("field") or "").lstrip("."))
    if not causes:
        missing = error.code == 404 and want.key.namespace
        hint = f'Make the namespace "{want.key.namespace}": put a Namespace into the folder.' if missing else ""
        yield _problem(want, f"the API server refuses it: {error.message}", hint=hint)


def _problem(want: Wanted, message: str, *, path: str = "", hint: str = "") -> Problem:
    given = {"hint": hint} if hint else {}
    return Problem(want.file, want.line, 1, want.key.label, path, message, **given)


def _who(key: Key) -> dict[str, str]:
    return {"plural": RESOURCES[key.kind].plural, "namespace": key.namespace, "name": key.name}
