"""The one loop that every kind goes through. Level-triggered: it gets a key, never an event.

The order of a pass is the safety of the whole: read the object fresh → paused? → finalizer and resolved inputs stored →
observe all parts → settle what was intended → breaker → plan → for one step: store the intent → act → store the reference →
status, only if it changed → requeue or wait for an event. It may be called at any time, any number of times, and after a
crash at any line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from reconciler.engine import breaker, record, verdicts
from reconciler.engine.clock import Clock
from reconciler.engine.events import Recorder
from reconciler.engine.index import Index
from reconciler.engine.kind import Key, Kind, Verdict
from reconciler.engine.subject import Subject
from reconciler.metrics import METRICS
from specs.meta import Reason

log = structlog.get_logger()

DELETE_PAUSE = 0.1
"""Seconds before looking again after a delete: clouds take a moment, and asking at once only asks twice."""

PENDING = (
    Verdict("Ready", "False", Reason.PENDING, "its inputs are stored, nothing was created yet"),
    Verdict("Progressing", "True", Reason.PENDING),
)


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
    limits: breaker.Limits = field(default_factory=breaker.Limits)
    breakers: dict[str, str] = field(default_factory=dict)
    """Provider → why its breaker is open."""
    approved: dict[str, float] = field(default_factory=dict)
    """Provider → until when (monotonic) a person allowed mass remediation."""
    drivers: dict[str, dict[str, Driver[Any]]] = field(default_factory=dict)
    """Provider → driver name → driver, for the surveys."""
    _wanting: dict[str, set[str]] = field(default_factory=dict)

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
            if error.code in (404, 409, 422):  # changed or gone meanwhile: look again at what is there now
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
        self.index.record(key, kind.provider(model), _refs(obj.get("status") or {}, kind.imported(model)))

    async def say_broken(self, key: Key, error: BaseException) -> None:
        """A kind's code raised: say so on the object. Its text may hold anything, so only its class is told."""
        obj = await self.client.get(ours(key.plural), key.namespace, key.name)
        if obj is None:
            return
        subject = Subject(self.client, self.kinds[key.plural], key, obj, self.installation, self.clock.now())
        message = (
            f"{type(error).__name__} while reconciling; what exists is left as it is; see `anneal logs {key.plural}/{key.name}`"
        )
        kept = [v for v in _verdicts(subject) if v.type not in ("Ready", "Progressing")]
        said = [
            Verdict("Ready", "False", Reason.INTERNAL_ERROR, message),
            Verdict("Progressing", "True", Reason.INTERNAL_ERROR, message),
        ]
        subject.status = record.with_conditions(subject.status, [*said, *kept], subject.generation, subject.now)
        await subject.write_status()

    async def preview(self, key: Key, obj: dict[str, Any], after: float) -> Plan:
        """Observe and plan for this object without acting: what `anneal plan` prints is what a pass would do."""
        subject = Subject(self.client, self.kinds[key.plural], key, obj, self.installation, self.clock.now())
        subject.parse()
        drivers = await subject.kind.drivers(subject.model)
        exists = bool(obj["metadata"].get("uid"))
        seen = await self._observe(subject, drivers, after) if exists else dict.fromkeys(drivers, record.ABSENT)
        subject.status = dict(record.settle(subject.status, seen, {}, subject.now).status)
        plan = subject.kind.teardown if subject.deleting else subject.kind.plan
        return plan(subject.model, seen, subject.now)

    async def _pass(self, subject: Subject, after: float) -> Again:
        if subject.paused:
            return await self._say_paused(subject)
        try:
            subject.parse()
        except ValidationError as error:
            return await self._say_invalid(subject, error)
        if subject.deleting and not subject.finalized:
            return Again()
        kind, model = subject.kind, subject.model
        if not subject.deleting and not subject.finalized and kind.finalizes(model):
            await subject.write_finalizers(present=True)
        if not subject.deleting:
            await self._resolve(subject)
        try:
            drivers = await kind.drivers(model)
        except DriverError as error:
            return await self._finish(subject, {}, _wait_for(error))
        for driver in drivers.values():
            self.drivers.setdefault(kind.provider(model), {})[driver.name] = driver
        seen = await self._observe(subject, drivers, after)
        settled = record.settle(subject.status, seen, {p: d.settle_seconds for p, d in drivers.items()}, subject.now)
        subject.status = dict(settled.status)
        self.index.record(subject.key, kind.provider(model), self._own_refs(subject))
        plan = (kind.teardown if subject.deleting else kind.plan)(model, seen, subject.now)
        if isinstance(plan, tuple):
            plan = await self._gate(subject, plan, settled, drivers)
        if isinstance(plan, tuple):
            return await self._act(subject, plan, seen, drivers[plan[0].part])
        if subject.deleting and isinstance(plan, Done):
            return await self._let_go(subject, settled)
        return await self._finish(subject, seen, plan)

    async def _resolve(self, subject: Subject) -> None:
        """Store the inputs before anything is made from them."""
        resolved = subject.kind.resolve(subject.model)
        if resolved is None or subject.status.get("resolved") == resolved:
            return
        first = not subject.status.get("resolved")
        subject.status["resolved"] = dict(resolved)
        if first:
            subject.status = record.with_conditions(subject.status, PENDING, subject.generation, subject.now)
        await subject.write_status()

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

    def _own_refs(self, subject: Subject) -> frozenset[str]:
        return _refs(subject.status, subject.kind.imported(subject.model))

    async def _gate(
        self, subject: Subject, steps: tuple[Step, ...], settled: record.Settled, drivers: Mapping[str, Driver[Any]]
    ) -> Plan:
        """Hold the first step back where an earlier create may still show up, was refused, or too much is being remedied."""
        step, provider = steps[0], subject.kind.provider(subject.model)
        if step.verb == "create" and (left := settled.open_until.get(step.part)):
            message = f"an earlier create of {step.part} got no answer; waiting until it shows or certainly did not happen"
            return Wait(Reason.VERIFYING, message, min(left, max(1.0, drivers[step.part].settle_seconds / 10)))
        if not subject.deleting and (held := record.may_try(subject.status, step.part, subject.generation, subject.now)):
            return held
        remedial = step.remedies or (step.verb == "create" and step.part in record.recorded(subject.status))
        if remedial and not subject.deleting and (why := await self._breaker(provider, step, subject)):
            return why
        return steps

    async def _breaker(self, provider: str, step: Step, subject: Subject) -> Wait | None:
        surveys = await asyncio.gather(*(driver.survey() for driver in self.drivers[provider].values()))
        listed: set[str] = set()
        for survey in surveys:
            if isinstance(survey, Unknown):
                return _wait_for(survey.error)
            listed |= survey.refs
        wanting = self._wanting.setdefault(provider, set())
        ref = step.ref or record.recorded(subject.status).get(step.part) or ""
        wanting.add(ref)
        on_record = self.index.refs(provider)
        wanting &= on_record.keys()
        why = breaker.verdict(on_record, (on_record.keys() - listed) | wanting, self.limits)
        if why is None or self.approved.get(provider, 0.0) > self.clock.monotonic():
            self.breakers.pop(provider, None)
            METRICS.breaker_open.labels(provider).set(0)
            return None
        if provider not in self.breakers:
            log.error("breaker.opened", provider=provider, why=why)
        self.breakers[provider] = why
        METRICS.breaker_open.labels(provider).set(1)
        message = f"{why} at {provider}: nothing is replaced until most are back, or until `anneal confirm --breaker {provider}`"
        return Wait(Reason.BREAKER_OPEN, message, 30.0)

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
        self._judge(subject, seen, steps)
        if not await subject.write_status():
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
        if isinstance(error, Ambiguous) and step.verb == "create":
            return Again(0.5)
        if isinstance(error, Ambiguous):
            raise Failed(f"{step.verb} {step.part} got no answer: {error}", error.retry_after)
        if step.verb == "create":
            subject.status = record.without_intent(subject.status, step.part)
        if step.verb != "delete" and not subject.deleting:
            subject.status = record.with_failure(subject.status, step.part, error, subject.generation, subject.now)
            held = record.may_try(subject.status, step.part, subject.generation, subject.now) or _wait_for(error)
            return await self._finish(subject, seen, held)
        await self._finish(subject, seen, Wait(error.reason, f"cannot {step.verb} {step.part}: {error}", 0))
        raise Failed(f"cannot {step.verb} {step.part}: {error}", error.retry_after)

    async def _let_go(self, subject: Subject, settled: record.Settled) -> Again:
        """Everything was seen to be absent: drop the finalizer, unless a create may still show up."""
        if settled.open_until:
            part, left = max(settled.open_until.items(), key=lambda item: item[1])
            waiting = Wait(
                Reason.DELETING, f"a create of {part} got no answer; waiting until it shows or certainly did not", left
            )
            return await self._finish(subject, {}, waiting)
        who = _who(subject)  # what a server answers to the write that ends an object is its own affair
        await subject.write_finalizers(present=False)
        log.info("object.gone", **who)
        return Again()

    async def _finish(self, subject: Subject, seen: Seen, plan: Plan) -> Again:
        """Say how things stand, only if that changed, and when to look again."""
        if isinstance(plan, Done):
            subject.status = record.forget_failures(subject.status, subject.now)
            if wanting := self._wanting.get(subject.kind.provider(subject.model)):
                wanting.difference_update(self._own_refs(subject))
        before = _ready(subject.obj.get("status") or {})
        self._judge(subject, seen, plan)
        if await subject.write_status() and (now := _ready(subject.status)) != before and now:
            self.recorder.ready(subject.obj, now)
        return Again(plan.seconds) if isinstance(plan, Wait | Done) else Again()

    def _judge(self, subject: Subject, seen: Seen, plan: Plan) -> None:
        kind, model = subject.kind, subject.model
        if seen:
            subject.status |= kind.status(model, seen, plan)
        engines = [verdicts.progressing(plan), verdicts.observed(seen)]
        if subject.deleting:
            engines.append(verdicts.deleting(plan))
        both = verdicts.combined(kind.verdicts(model, seen, plan), engines)
        subject.status = record.with_conditions(subject.status, both, subject.generation, subject.now)

    async def _say_paused(self, subject: Subject) -> Again:
        kept = [v for v in _verdicts(subject) if v.type not in ("Paused", "Progressing")]
        message = "paused by annotation: nothing is looked at, nothing is changed; remove the annotation to go on"
        paused = [Verdict("Paused", "True", Reason.PAUSED, message), Verdict("Progressing", "False", Reason.PAUSED, message)]
        if not kept:
            kept = [Verdict("Ready", "Unknown", Reason.PAUSED, message)]
        subject.status = record.with_conditions(subject.status, [*kept, *paused], subject.generation, subject.now)
        await subject.write_status()
        return Again()

    async def _say_invalid(self, subject: Subject, error: ValidationError) -> Again:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(item) for item in first["loc"])
        message = f"the stored object does not validate: {where}: {first['msg']}; what exists is left as it is; correct the spec"
        said = [
            Verdict("Ready", "False", Reason.INVALID_SPEC, message),
            Verdict("Progressing", "False", Reason.INVALID_SPEC, message),
        ]
        if subject.deleting:
            said.append(Verdict("Deleting", "False", Reason.DELETION_BLOCKED, message))
        subject.status = record.with_conditions(subject.status, said, subject.generation, subject.now)
        await subject.write_status()
        return Again()


def _wait_for(error: DriverError) -> Wait:
    return Wait(error.reason, str(error), error.retry_after or 30.0)


def _refs(status: Mapping[str, Any], imported: Mapping[str, str]) -> frozenset[str]:
    """The ids of what is ours and should be there: not what was imported, not what is being deleted."""
    rows = record.rows(status, "parts")
    return frozenset(row["ref"] for row in rows if row["name"] not in imported and not row.get("deleting"))


def _verdicts(subject: Subject) -> list[Verdict]:
    rows = record.rows(subject.status, "conditions")
    return [Verdict(row["type"], row["status"], Reason(row["reason"]), row["message"]) for row in rows]


def _ready(status: Mapping[str, Any]) -> dict[str, Any] | None:
    for row in record.rows(status, "conditions"):
        if row["type"] == "Ready":
            return {key: row[key] for key in ("status", "reason", "message")}
    return None


def _who(subject: Subject) -> dict[str, str]:
    meta = subject.obj["metadata"]
    return {"plural": subject.key.plural, "namespace": subject.key.namespace, "name": subject.key.name, "uid": meta["uid"]}
