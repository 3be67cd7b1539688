"""The one loop that every kind goes through. Level-triggered: it gets a key, never an event.

The order of a pass is the safety of the whole: read the object fresh → paused? → finalizer and resolved inputs stored →
observe all parts → settle what was intended → breaker → plan → for one step: store the intent → act → store the reference →
status, only if it changed → requeue or wait for an event. It may be called at any time, any number of times, and after a
crash at any line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from drivers.contract import (
    Ambiguous,
    Done,
    Driver,
    DriverError,
    Foreign,
    Intent,
    LeaseLost,
    Plan,
    Present,
    Seen,
    Step,
    Unknown,
    Wait,
)
from reconciler import crash
from reconciler.client import ApiError, ApiUnavailable, Client, ours
from reconciler.engine import breaker, record, saying
from reconciler.engine.clock import Clock
from reconciler.engine.events import Recorder
from reconciler.engine.guard import Guard
from reconciler.engine.index import Index
from reconciler.engine.kind import Key, Kind, Resolves, Spares
from reconciler.engine.subject import Subject
from reconciler.metrics import METRICS
from specs.meta import Reason

log = structlog.get_logger()

DELETE_PAUSE = 0.1
"""Seconds before looking again after a delete: clouds take a moment, and asking at once only asks twice."""


@dataclass(frozen=True, slots=True)
class Again:
    """The pass is over; look again after `seconds` (0: at once; None: when something changes)."""

    seconds: float | None = None


class Failed(Exception):
    """The pass could not be finished; it is tried again with back-off, and not before `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(slots=True)
class Engine:
    """Reconciles one key at a time per key, many keys at once. Holds nothing that a restart would miss."""

    client: Client
    clock: Clock
    kinds: Mapping[str, Kind[Any]]
    installation: str
    recorder: Recorder
    index: Index = field(default_factory=Index)
    limits: InitVar[breaker.Limits | None] = None
    look_seconds: InitVar[float] = 30.0
    """How soon to look again at what cannot be told now."""
    retry_scale: float = 1.0
    """Stretches the pauses after a provider's refusals; below 1 for tests."""
    since: datetime | None = None
    """When this daemon began to lead."""
    guard: Guard = field(init=False)

    def __post_init__(self, limits: breaker.Limits | None, look_seconds: float) -> None:
        self.guard = Guard(self.clock, self.index, limits or breaker.Limits(), look_seconds)

    async def reconcile(self, key: Key, after: float) -> Again:
        """One pass. Observations are not older than `after`. Raises Failed, LeaseLost, or what a kind's code raised."""
        kind = self.kinds[key.plural]
        obj = await self.client.get(ours(key.plural), key.namespace, key.name)
        if obj is None:
            self.index.forget(key)
            return Again()
        subject = Subject(self.client, kind, key, obj, self.installation, self.clock.now())
        try:
            return await self._pass(subject, after)
        except ApiUnavailable as error:
            raise Failed(f"the API server did not answer: {error}") from error
        except ApiError as error:
            if error.code in (404, 409):  # changed or gone meanwhile: look again at what is there now
                log.debug("engine.conflict", key=str(key), error=error.message)
                return Again(0)
            raise Failed(f"the API server refused: {error.message}") from error

    def learn(self, key: Key, obj: dict[str, Any]) -> None:
        """Take an object into the index: what it refers to, who owns it, and what it has outside."""
        meta = obj["metadata"]
        owners = [owner["uid"] for owner in meta.get("ownerReferences") or []]
        kind = self.kinds[key.plural]
        try:
            model = kind.resource.parse(obj)
        except ValidationError:
            self.index.update(key, meta["uid"], (), owners)
            return
        self.index.update(key, meta["uid"], kind.references(model), owners)
        imported = kind.imported(model)
        refs = record.own_refs(obj.get("status") or {}, imported)
        self.index.record(key, kind.provider(model), refs, imports=bool(imported))

    async def say_broken(self, key: Key, error: BaseException) -> None:
        """A kind's code raised: say so on the object. Its text may hold anything, so only its class is told."""
        obj = await self.client.get(ours(key.plural), key.namespace, key.name)
        if obj is None:
            return
        subject = Subject(self.client, self.kinds[key.plural], key, obj, self.installation, self.clock.now())
        saying.broken(subject, error)
        await subject.write_status()

    async def preview(self, key: Key, obj: dict[str, Any], after: float) -> Plan:
        """Observe and plan for this object without acting: what `anneal plan` prints is what a pass would do."""
        subject = Subject(self.client, self.kinds[key.plural], key, obj, self.installation, self.clock.now())
        subject.parse()
        if not subject.deleting and isinstance(subject.kind, Resolves) and (resolved := await _inputs(subject)) is not None:
            subject.obj = {**obj, "status": {**(obj.get("status") or {}), "resolved": dict(resolved)}}
            subject.parse()
        drivers = await subject.kind.drivers(subject.model)
        exists = bool(obj["metadata"].get("uid"))
        seen = await self._observe(subject, drivers, after) if exists else dict.fromkeys(drivers, record.ABSENT)
        subject.status = dict(record.settle(subject.status, seen, {}, subject.now).status)
        plan = subject.kind.teardown if subject.deleting else subject.kind.plan
        return plan(subject.model, seen, subject.now)

    async def _pass(self, subject: Subject, after: float) -> Again:
        if subject.paused:
            saying.paused(subject)
            await subject.write_status()
            return Again()
        try:
            subject.parse()
        except ValidationError:
            saying.invalid(subject)
            await subject.write_status()
            return Again()
        if subject.deleting and not subject.finalized:
            return Again()
        kind, model = subject.kind, subject.model
        if not subject.deleting and not subject.finalized and kind.finalizes(model):
            await subject.write_finalizers(present=True)
        try:
            if not subject.deleting:
                await self._resolve(subject)
            model = subject.model
            drivers = await kind.drivers(model)
        except DriverError as error:
            if subject.deleting and not subject.on_record:
                return await self._let_go(subject)
            return await self._finish(subject, {}, self.guard.wait_for(error))
        self.guard.meet(subject.provider, drivers)
        seen = await self._observe(subject, drivers, after)
        times = {part: driver.settle_seconds for part, driver in drivers.items()}
        settled = record.settle(subject.status, seen, times, subject.now, self.since)
        subject.status = dict(settled.status)
        self.index.record(subject.key, subject.provider, subject.own_refs, imports=bool(kind.imported(model)))
        plan = (kind.teardown if subject.deleting else kind.plan)(model, seen, subject.now)
        if isinstance(plan, tuple) and (held := await self.guard.hold(subject, plan[0], settled, drivers)):
            plan = held
        if isinstance(plan, tuple) and plan[0].remedies and isinstance(kind, Spares) and (spared := await kind.spare(model)):
            plan = replace(spared, seconds=min(spared.seconds, self.guard.look_seconds))
        if isinstance(plan, tuple):
            return await self._act(subject, plan, seen, drivers[plan[0].part])
        if subject.deleting and isinstance(plan, Done):
            return await self._wait_or_let_go(subject, settled)
        if subject.deleting and not subject.on_record and any(isinstance(answer, Unknown) for answer in seen.values()):
            return await self._let_go(subject)  # what has neither parts nor intents has nothing outside: no need to look
        return await self._finish(subject, seen, plan)

    async def _resolve(self, subject: Subject) -> None:
        """Store the inputs before anything is made from them."""
        resolved = await _inputs(subject)
        if resolved is None or subject.status.get("resolved") == resolved:
            return
        first = not subject.status.get("resolved")
        subject.status["resolved"] = dict(resolved)
        if first:
            saying.pending(subject)
        await subject.write_status()
        subject.parse()

    async def _observe(self, subject: Subject, drivers: Mapping[str, Driver[Any]], after: float) -> Seen:
        imported = subject.kind.imported(subject.model)
        refs = record.recorded(subject.status) | dict(imported)
        owner = subject.owner
        answers = await asyncio.gather(*(d.observe(owner, refs.get(part), after, part) for part, d in drivers.items()))
        seen = dict(zip(drivers, answers, strict=True))
        for part in imported:
            match seen.get(part):
                case Foreign(ref=ref, live=live) if live is not None:
                    seen[part] = Present(ref, live)
        return seen

    async def _act(self, subject: Subject, steps: tuple[Step, ...], seen: Seen, driver: Driver[Any]) -> Again:
        """Make one call: what is about to happen is stored before, what came of it after."""
        step, part = steps[0], steps[0].part
        intent = Intent(subject.owner, part, subject.owner.external_name(part))
        if step.verb == "create":
            subject.status = record.with_intent(subject.status, part, intent.name, subject.now)
        elif step.verb == "delete" and step.ref == record.recorded(subject.status).get(part):
            subject.status = record.with_deletion(subject.status, part, step.ref or "")
            if step.remedies:
                subject.status = record.with_remedy(
                    subject.status, part, Reason.SERVER_FAILED, step.why, subject.generation, subject.now
                )
        before = subject.obj.get("status") or {}
        saying.outcome(subject, seen, steps)
        if await subject.write_status():
            self.recorder.remarks(subject.obj, before)
        else:
            await subject.check_current()
        try:
            async with crash.point("call", f"{step.verb} {part} {subject.key}"):
                ref = await self._send(driver, step, intent)
        except LeaseLost:
            raise
        except DriverError as error:
            return await self._refused(subject, step, seen, error)
        log.info(f"{part.partition('/')[0]}.{step.verb}d", **_who(subject), part=part, ref=ref, why=step.why)
        self.recorder.step(subject.obj, step)
        if step.verb == "create":
            subject.status = record.with_part(subject.status, part, ref or "")
            await subject.write_status()
        return Again(DELETE_PAUSE if step.verb == "delete" else 0)

    async def _send(self, driver: Driver[Any], step: Step, intent: Intent) -> str | None:
        started, outcome = self.clock.monotonic(), "error"
        try:
            if step.verb != "delete":
                ref: str | None = await driver.apply(step, intent)
            elif step.ref:
                ref = step.ref
                await driver.destroy(step.ref)
            else:
                raise AssertionError(f"a delete of {step.part} without the id of what was observed")
            outcome = "ok"
            return ref
        except DriverError as error:
            outcome = str(error.reason)
            raise
        finally:
            METRICS.called(driver.name.partition("@")[0], step.verb, outcome, self.clock.monotonic() - started)

    async def _refused(self, subject: Subject, step: Step, seen: Seen, error: DriverError) -> Again:
        """A call failed. Ambiguous: the intent stays. Otherwise nothing happened: count it, say it, come back later."""
        log.warning("step.failed", **_who(subject), part=step.part, verb=step.verb, reason=str(error.reason), error=str(error))
        self.recorder.failure(subject.obj, step, error)
        if isinstance(error, Ambiguous) and step.verb == "create":  # it was sent until now: the time to show up begins now
            name = subject.owner.external_name(step.part)
            subject.status = record.with_intent(subject.status, step.part, name, self.clock.now())
            await subject.write_status()
            return Again(0.5)
        if isinstance(error, Ambiguous):
            raise Failed(f"{step.verb} {step.part} got no answer: {error}", error.retry_after)
        if step.verb == "create":
            subject.status = record.without_intent(subject.status, step.part)
        if step.verb != "delete" and not subject.deleting:
            subject.status = record.with_failure(
                subject.status, step.part, error, subject.generation, subject.now, self.retry_scale
            )
            held = record.may_try(subject.status, step.part, subject.generation, subject.now) or self.guard.wait_for(error)
            return await self._finish(subject, seen, held)
        await self._finish(subject, seen, Wait(error.reason, f"cannot {step.verb} {step.part}: {error}", 0))
        raise Failed(f"cannot {step.verb} {step.part}: {error}", error.retry_after)

    async def _wait_or_let_go(self, subject: Subject, settled: record.Settled) -> Again:
        """Everything was seen to be absent: let go, unless a create may still show up."""
        if settled.open_until:
            part, left = max(settled.open_until.items(), key=lambda item: item[1])
            waiting = Wait(
                Reason.DELETING, f"a create of {part} got no answer; waiting until it shows or certainly did not", left
            )
            return await self._finish(subject, {}, waiting)
        return await self._let_go(subject)

    async def _let_go(self, subject: Subject) -> Again:
        """Nothing is left outside: drop the finalizer."""
        who = _who(subject)  # what a server answers to the write that ends an object is its own affair
        await subject.write_finalizers(present=False)
        log.info("object.gone", **who)
        return Again()

    async def _finish(self, subject: Subject, seen: Seen, plan: Plan) -> Again:
        """Say how things stand, only if that changed, and when to look again."""
        if isinstance(plan, Done):
            subject.status = record.forget_failures(subject.status, subject.now)
            self.guard.converged(subject)
        before = subject.obj.get("status") or {}
        saying.outcome(subject, seen, plan)
        if await subject.write_status():
            self.recorder.remarks(subject.obj, before)
            if (now := _ready(subject.status)) != _ready(before) and now:
                self.recorder.ready(subject.obj, now)
        return Again(plan.seconds) if isinstance(plan, Wait | Done) else Again()


async def _inputs(subject: Subject) -> Mapping[str, Any] | None:
    """The inputs that parts are made from, out of the object or asked for outside."""
    if isinstance(subject.kind, Resolves):
        return await subject.kind.look_up(subject.model)
    return subject.kind.resolve(subject.model)


def _ready(status: Mapping[str, Any]) -> dict[str, Any] | None:
    for row in record.rows(status, "conditions"):
        if row["type"] == "Ready":
            return {key: row[key] for key in ("status", "reason", "message")}
    return None


def _who(subject: Subject) -> dict[str, str]:
    meta = subject.obj["metadata"]
    return {"plural": subject.key.plural, "namespace": subject.key.namespace, "name": subject.key.name, "uid": meta["uid"]}
