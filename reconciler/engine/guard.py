"""What holds a planned step back: a create that may still show up, a refusal not long ago, too much being remedied at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from drivers.contract import Driver, DriverError, Step, Stop, Unknown, Wait
from reconciler.engine import breaker, record
from reconciler.engine.clock import Clock
from reconciler.engine.index import Index
from reconciler.engine.subject import Subject
from reconciler.metrics import METRICS
from specs.meta import Reason

log = structlog.get_logger()


@dataclass(slots=True)
class Guard:
    """Asked before each step. Its memory is a convenience: what it must not forget stands in the objects."""

    clock: Clock
    index: Index
    limits: breaker.Limits = field(default_factory=breaker.Limits)
    look_seconds: float = 30.0
    """How soon to look again at what cannot be told now, where the provider says nothing of it."""
    drivers: dict[str, dict[str, Driver[Any]]] = field(default_factory=dict)
    """Provider → driver name → driver, for the surveys."""
    newcomer: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a driver was met for the first time; the surveys clear it."""
    open: dict[str, str] = field(default_factory=dict)
    """Provider → why its breaker is open."""
    approved: dict[str, float] = field(default_factory=dict)
    """Provider → until when (monotonic) a person allowed mass remediation."""
    _wanting: dict[str, set[str]] = field(default_factory=dict)

    def meet(self, provider: str, drivers: Mapping[str, Driver[Any]]) -> None:
        """Remember the drivers of a provider."""
        known = self.drivers.setdefault(provider, {})
        for driver in drivers.values():
            if driver.name not in known:
                self.newcomer.set()
            known[driver.name] = driver

    def forget_empty(self) -> list[str]:
        """Let go of the providers that no object lives in any more; returns the names of their drivers."""
        gone = [provider for provider in self.drivers if not self.index.keys_of(provider)]
        for provider in gone:
            for memory in (self.open, self.approved, self._wanting):
                memory.pop(provider, None)
            METRICS.breaker_open.labels(provider).set(0)
        return [name for provider in gone for name in self.drivers.pop(provider)]

    def converged(self, subject: Subject) -> None:
        """This object wants no remedy any more."""
        if wanting := self._wanting.get(subject.provider):
            wanting.difference_update(subject.own_refs)

    def approve(self, provider: str, seconds: float) -> None:
        """A person allows mass remediation for a while."""
        self.approved[provider] = self.clock.monotonic() + seconds

    async def hold(
        self, subject: Subject, step: Step, settled: record.Settled, drivers: Mapping[str, Driver[Any]]
    ) -> Wait | Stop | None:
        """Why this step must not be taken now; None if it may."""
        if step.verb == "create" and (left := settled.open_until.get(step.part)):
            message = f"an earlier create of {step.part} got no answer; waiting until it shows or certainly did not happen"
            return Wait(Reason.VERIFYING, message, min(left, max(1.0, drivers[step.part].settle_seconds / 10)))
        if subject.deleting:
            return None
        if held := record.may_try(subject.status, step.part, subject.generation, subject.now):
            return held
        if step.remedies or (step.verb == "create" and step.part in record.recorded(subject.status)):
            return await self._breaker(subject, step)
        return None

    def wait_for(self, error: DriverError) -> Wait:
        """The provider could not be asked: say what it said, and look again when it says, or soon."""
        return Wait(error.reason, str(error), error.retry_after or self.look_seconds)

    async def _breaker(self, subject: Subject, step: Step) -> Wait | None:
        provider = subject.provider
        surveys = await asyncio.gather(*(driver.survey() for driver in self.drivers[provider].values()))
        listed: set[str] = set()
        for survey in surveys:
            if isinstance(survey, Unknown):
                return self.wait_for(survey.error)
            listed |= survey.refs
        on_record = self.index.refs(provider)
        wanting = self._wanting.setdefault(provider, set())
        wanting.add(step.ref or record.recorded(subject.status).get(step.part) or "")
        wanting &= on_record.keys()
        why = breaker.verdict(on_record, (on_record.keys() - listed) | wanting, self.limits)
        if why is None or self.approved.get(provider, 0.0) > self.clock.monotonic():
            self.open.pop(provider, None)
            METRICS.breaker_open.labels(provider).set(0)
            return None
        if provider not in self.open:
            log.error("breaker.opened", provider=provider, why=why)
        self.open[provider] = why
        METRICS.breaker_open.labels(provider).set(1)
        message = f"{why} at {provider}: nothing is replaced until most are back, or until `anneal confirm --breaker {provider}`"
        return Wait(Reason.BREAKER_OPEN, message, self.look_seconds)
