"""A folder of YAML is desired state: it is read, compared with what the API server holds of it, and applied; again and again.

A pass may run at any time and end anywhere: the next one starts from what the files and the server say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from reconciler.client import ApiError, Client, Object, ResourceId
from reconciler.engine.clock import Clock, to_text
from reconciler.metrics import METRICS
from reconciler.sources import report
from reconciler.sources.claims import Claims
from reconciler.sources.ledger import Ledger
from reconciler.sources.objects import KIND_OF, RESOURCES, Key, Live, Wanted
from reconciler.sources.pauses import Pauses
from reconciler.sources.plan import Index, SyncPlan, Words, fingerprint, index, plan_sync
from reconciler.sources.record import Record
from reconciler.sources.report import Recorder, Report
from reconciler.sources.scan import File, Scan, Unreadable, scan
from reconciler.sources.status import Problem, SourceStatus
from reconciler.sources.watch import watch
from reconciler.sources.writer import Writer, each
from specs.meta import SOURCE_LABEL

log = structlog.get_logger()

RECENT_SECONDS = 60.0
BUSY_SECONDS = 0.02
GOING_SECONDS = 1.0
"""An object that is wanted but still being deleted is looked at this often."""
NOTHING = Index({}, {})


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a source looks. In seconds."""

    rescan: float = 60.0
    """The folder, though nothing was heard of it."""
    relist: float = 300.0
    """The server, though nothing was heard of it."""
    settle: float = 0.5
    """A file must be missing for so long before its objects are: editors rename, and `git checkout` takes its time."""


class FolderSource:
    """One folder. `run` follows it; `notify` tells it of its objects; `status` says how it stands."""

    def __init__(
        self,
        path: Path,
        client: Client,
        *,
        id: str,
        clock: Clock,
        recorder: Recorder,
        claims: Claims | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.id, self.path = id, path
        self.record = Record(client, id, path)
        self.status = SourceStatus(id, str(path))
        self.first = asyncio.Event()
        """Set once every file was applied or reported."""
        self._client, self._clock, self._pace = client, clock, pace or Pace()
        self._claims = Claims() if claims is None else claims
        self._writer = Writer(client, id, self._claims)
        self._lock, self._wake = asyncio.Lock(), asyncio.Event()
        self._files: Mapping[str, File] = {}
        self._busy: dict[str, float] = {}
        self._desired = NOTHING
        self._ledger = Ledger(id)
        self._listed: float | None = None
        self._removed: deque[float] = deque()
        self._applied: dict[Key, bytes] = {}
        self._refused: dict[Key, tuple[bytes, tuple[Problem, ...]]] = {}
        self._refusals, self._restores = Pauses(), Pauses(free=5, base=0.5, cap=30.0)
        self._plan = SyncPlan()
        self._shown: tuple[Live, ...] = ()
        self._report = Report(id, str(path), recorder)
        self._changed = 0
        self._failures = 0

    # --- what others call ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the folder until cancelled. An API server that does not answer is tried again, ever more slowly."""
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(self.path, self._wake.set), name=f"watch {self.id}")
            while True:
                self._wake.clear()
                async for attempt in AsyncRetrying(
                    retry=retry_if_exception_type(ApiError),
                    wait=wait_exponential_jitter(multiplier=0.2, max=15.0, jitter=0.2),
                    before_sleep=self._unavailable,
                    reraise=True,
                ):
                    with attempt:
                        await self._sync_safely()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._rest()):
                        await self._wake.wait()

    async def sync_once(self) -> SourceStatus:
        """Make one pass and return how things stand. ApiError if the API server does not answer."""
        async with self._lock:
            started = self._clock.monotonic()
            scanned = await self._pass()
            await self._conclude(scanned)
            METRICS.source_syncs.labels(self.status.state).inc()
            METRICS.source_sync_seconds.observe(self._clock.monotonic() - started)
            if not self._busy:
                self.first.set()
            return self.status

    def notify(self, resource: ResourceId, obj: Object, deleted: bool = False) -> None:
        """Something happened to an object: wake up if it is ours and not as the files want it. Cheap; safe to call for any."""
        kind = KIND_OF.get(resource)
        if kind is None:
            return
        meta = obj["metadata"]
        key = Key(kind, meta.get("namespace") or "", meta["name"])
        want = self._desired.wanted.get(key)
        ours = want is not None or key in self._ledger.objects or (meta.get("labels") or {}).get(SOURCE_LABEL) == self.id
        if not ours:
            return
        match self._ledger.hear(key, obj, want, deleted):
            case "drift":
                self._wake.set()
            case "vacant" if want is not None:
                self._refusals.forget(key)
                self._wake.set()

    async def confirm(self, *, dry_run: bool = False) -> list[str]:
        """Agree to the removals that wait, exactly those that the last dry run showed if there was one; return their names.

        What vanishes later is not covered by it.
        """
        async with self._lock:
            if dry_run or not self._shown:
                self._shown = self._plan.pending
            agreed = self._shown
            if not dry_run:
                self._shown = ()
                if agreed:
                    await self.record.save_confirmed({fingerprint(obj) for obj in agreed})
                    log.info("source.confirmed", source=self.id, removals=len(agreed))
                    self._wake.set()
            return [str(obj.key) for obj in agreed]

    async def forget(self) -> None:
        """Let go of all objects, which stay as they are, and of the record. Can be repeated after a crash."""
        async with self._lock:
            await self.record.ensure()
            await self.record.save_leaving()
            found = [obj async for _, obj in self._writer.list_all()]
            await each(found, self._writer.let_go)
            await self.record.remove()
            self._claims.keep(self.id, ())

    # --- one pass -----------------------------------------------------------------------------------------------------

    async def _pass(self) -> Scan | Unreadable:
        if self._listed is None or self._clock.monotonic() - self._listed >= self._pace.relist:
            await self._list()
        await self._look_at_the_going()
        scanned = await self._read()
        broken: dict[str, Words | None] = {name: file.words for name, file in self._files.items() if file.problems}
        if isinstance(scanned, Unreadable):
            broken["."] = None
        else:
            broken |= dict.fromkeys((*scanned.unreadable, *scanned.busy))
        self._desired = index(want for file in self._files.values() for want in file.documents)
        now = self._clock.monotonic()
        self._plan = plan = plan_sync(
            self._desired,
            self._ledger.objects,
            source=self.id,
            broken=broken,
            young=self._ledger.young(self._desired.wanted, now, self._pace.settle),
            confirmed=self.record.confirmed,
            recent=self._recent(now),
        )
        await self._writer.apply_all(self._due(plan.applies, now), self._ledger.objects.get, self._applied_one)
        confirmed = self.record.confirmed
        await self._writer.delete_all(plan.deletes, lambda obj, came: self._deleted_one(obj, came, confirmed))
        if confirmed and not (plan.pending or plan.waiting or plan.deletes):
            await self.record.save_confirmed(())
        self._tidy()
        return scanned

    async def _read(self) -> Scan | Unreadable:
        try:
            scanned = await asyncio.to_thread(scan, self.path, self.id, self._files, self._busy, self.record.mounts)
        except Unreadable as error:
            self._failures += 1
            return error
        self._failures = 0
        now = self._clock.monotonic()
        self._busy = {name: self._busy.get(name, now) for name in scanned.busy}
        unread = {name: file for name, file in self._files.items() if _within(name, scanned.unreadable)}
        self._files = {**unread, **scanned.files}
        if not scanned.unreadable:
            await self.record.save_mounts(scanned.devices)
        return scanned

    async def _list(self) -> None:
        """Learn what the server holds of us."""
        await self.record.ensure()
        self._ledger.begin()
        found: dict[Key, Live] = {}
        async for obj, there in self._writer.list_all():
            found[there.key] = self._ledger.compared(obj, there, self._desired.wanted.get(there.key))
        self._ledger.listed(found)
        self._listed = self._clock.monotonic()

    async def _look_at_the_going(self) -> None:
        live = self._ledger.objects
        for key in self._going():
            obj = await self._client.get(RESOURCES[key.kind], key.namespace or None, key.name)
            if key in live and (obj is None or obj["metadata"]["uid"] != live[key].uid):
                del live[key]

    def _going(self) -> list[Key]:
        return [key for key, obj in self._ledger.objects.items() if obj.deleting and key in self._desired.wanted]

    def _recent(self, now: float) -> int:
        while self._removed and now - self._removed[0] > RECENT_SECONDS:
            self._removed.popleft()
        return len(self._removed)

    def _due(self, wants: Iterable[Wanted], now: float) -> list[Wanted]:
        """Leave out what was refused as it is, or restored time and again, until its pause is over."""
        due = []
        for want in wants:
            refused = self._refused.get(want.key)
            if refused and refused[0] == want.digest and not self._refusals.ready(want.key, now):
                continue
            if refused and refused[0] != want.digest:
                self._refusals.forget(want.key)
            if self._applied.get(want.key) == want.digest:
                if not self._restores.ready(want.key, now):
                    continue
                self._restores.tried(want.key, now)
            due.append(want)
        return due

    def _applied_one(self, want: Wanted, there: Live | None, problems: tuple[Problem, ...]) -> None:
        if problems:
            self._refused[want.key] = (want.digest, problems)
            self._refusals.tried(want.key, self._clock.monotonic())
            return
        self._refused.pop(want.key, None)
        self._refusals.forget(want.key)
        before = self._ledger.objects.get(want.key)
        self._changed += there is not None and (before is None or before.version != there.version)
        self._applied[want.key] = want.digest
        self._ledger.applied(want, there)

    def _deleted_one(self, obj: Live, came: Problem | bool, confirmed: frozenset[str]) -> None:
        if isinstance(came, Problem):
            self._refused[obj.key] = (b"", (came,))
            self._refusals.tried(obj.key, self._clock.monotonic())
            return
        self._refused.pop(obj.key, None)
        self._refusals.forget(obj.key)
        if not came:
            self._ledger.drop(obj.key)
            return
        if fingerprint(obj) not in confirmed:
            self._removed.append(self._clock.monotonic())
        self._report.pruned(self.record.stored, obj)
        self._ledger.going(obj.key)

    def _tidy(self) -> None:
        wanted, deleting = self._desired.wanted, {obj.key for obj in self._plan.deletes}
        for key in self._refused.keys() - wanted.keys() - deleting:
            del self._refused[key]
            self._refusals.forget(key)
        for key in self._applied.keys() - wanted.keys():
            del self._applied[key]
            self._restores.forget(key)
        self._claims.keep(self.id, {**wanted, **self._desired.duplicates})

    # --- what to say, and when to look again --------------------------------------------------------------------------

    async def _conclude(self, scanned: Scan | Unreadable) -> None:
        if self._changed:
            self._report.applied(self.record.stored, self._changed)
            self._changed = 0
        refused = [problem for _, problems in self._refused.values() for problem in problems]
        found = report.problems(self._files, self._desired.duplicates, refused, scanned)
        pending = tuple(str(obj.key) for obj in self._plan.pending)
        self.status = SourceStatus(
            self.id,
            str(self.path),
            report.state(found, len(pending)),
            len(self._files),
            self._ledger.count,
            to_text(self._clock.now()),
            tuple(problem for _, problem in found),
            pending,
        )
        METRICS.source_errors.labels(self.id).set(len(found))
        self._report.tell(self.record.stored, found, len(pending))
        await self.record.save_status(self.status)

    def _unavailable(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0.0
        said = getattr(error, "message", repr(error))
        problem = Problem(
            str(self.path), message=f"cannot reach the API server: {said}", hint="It is tried again until it answers."
        )
        self.status = replace(self.status, state="Errors", errors=(problem,))
        log.warning("source.api_unavailable", source=self.id, error=said, retry_seconds=round(pause, 1))
        METRICS.source_syncs.labels("Unavailable").inc()

    async def _sync_safely(self) -> None:
        """A bug in one pass must not end the source: say so and go on."""
        try:
            await self.sync_once()
        except ApiError:
            raise
        except Exception as error:
            log.exception("source.failed", source=self.id)
            message = f"{type(error).__name__} while syncing; nothing was deleted; see `anneal logs`"
            self.status = replace(self.status, state="Errors", errors=(Problem(str(self.path), message=message),))
            self._failures += 1
            self.first.set()

    def _rest(self) -> float:
        """Seconds until there is something to look at though nothing is heard."""
        now = self._clock.monotonic()
        waits: list[float] = [self._pace.rescan]
        if self._failures:
            waits.append(min(10.0, 0.5 * 2.0 ** min(self._failures, 10)))
        if self._busy:
            waits.append(BUSY_SECONDS)
        if self._plan.waiting:
            waits.append(self._pace.settle)
        if self._going():
            waits.append(GOING_SECONDS)
        waits += [pause for pauses in (self._refusals, self._restores) if (pause := pauses.next(now)) is not None]
        return max(0.001, min(waits))


def _within(name: str, places: Mapping[str, str]) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in places)
