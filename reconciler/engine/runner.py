"""Workers around the engine: they take keys from the queue, and surveys, relists and timers put keys in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from drivers.contract import Driver, LeaseLost, Survey, Unknown
from reconciler.client import ApiUnavailable
from reconciler.engine.engine import Again, Engine, Failed
from reconciler.engine.kind import Key
from reconciler.engine.workqueue import WorkQueue
from reconciler.metrics import METRICS

log = structlog.get_logger()

REMEMBER_SECONDS = 600.0
"""Longer than any list call takes."""


@dataclass(slots=True)
class Runner:
    """Keeps `workers` passes going. Everything it knows can be learned again from lists."""

    engine: Engine
    workers: int = 16
    poll_seconds: float = 60.0
    pass_seconds: float = 120.0
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    trouble: str = ""
    """Why the last pass could not read or store; empty once one can."""
    _after: dict[Key, float] = field(default_factory=dict)
    _acted: dict[Key, float] = field(default_factory=dict)
    """Key → when the last pass that may have changed something ended."""
    _prints: dict[str, dict[str, int] | None] = field(default_factory=dict)

    def wake(self, key: Key, after: float | None = None) -> None:
        """Look at this object soon; an observation as old as `after` will do, by default none older than this call.

        Of several wake-ups the latest time counts. An observation is never older than what we last did to the object ourselves.
        """
        wanted = self.engine.clock.monotonic() if after is None else after
        self._after[key] = max(wanted, self._after.get(key, wanted))
        self.queue.add(key)

    def wake_all(self, keys: Iterable[Key], after: float | None = None) -> None:
        """Look at all these objects soon."""
        for key in keys:
            self.wake(key, after)

    async def run(self) -> None:
        """Work until cancelled."""
        METRICS.queue_depth.set_function(lambda: self.queue.depth)
        METRICS.queue_busy.set_function(lambda: self.queue.busy)
        async with asyncio.TaskGroup() as group:
            for number in range(self.workers):
                group.create_task(self._work(), name=f"worker-{number}")
            group.create_task(self._survey_forever(), name="surveys")
            group.create_task(self.engine.recorder.run(), name="events")

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._one(key)
            except asyncio.CancelledError:  # the lease was lost: should we lead again, this pass is not forgotten
                self.wake(key)
                raise
            finally:
                self.queue.done(key)

    async def _one(self, key: Key) -> None:
        clock = self.engine.clock
        started = clock.monotonic()
        after = max(self._after.pop(key, started), self._acted.get(key, 0.0))
        outcome = "error"
        acted = True
        try:
            with structlog.contextvars.bound_contextvars(plural=key.plural, namespace=key.namespace, name=key.name):
                async with asyncio.timeout(self.pass_seconds):
                    again = await self.engine.reconcile(key, after)
            self._requeue(key, again)
            acted = again.seconds is not None
            outcome, self.trouble = "ok", ""
        except LeaseLost as error:
            outcome = "fenced"
            log.warning("engine.fenced", key=str(key), error=str(error))
            self.queue.add_after(key, 1.0)
        except Failed as error:
            self.trouble = str(error) if isinstance(error.__cause__, ApiUnavailable) else self.trouble
            METRICS.retries.labels(key.plural).inc()
            delay = self.queue.retry(key)
            if error.retry_after:
                self.queue.add_after(key, max(delay, error.retry_after))
            log.warning("engine.failed", key=str(key), error=str(error), retry_in=round(delay, 1))
        except TimeoutError:
            log.error("engine.timeout", key=str(key), seconds=self.pass_seconds, retry_in=round(self.queue.retry(key), 1))
        except Exception as error:  # one poisoned object must not stop the others
            log.exception("engine.broken", key=str(key), retry_in=round(self.queue.retry(key), 1))
            await self._say_broken(key, error)
        finally:
            if acted:
                self._acted[key] = clock.monotonic()
            METRICS.reconciled(key.plural, outcome, clock.monotonic() - started)

    def _requeue(self, key: Key, again: Again) -> None:
        self.queue.forget(key)
        if again.seconds is None:
            return
        if again.seconds <= 0:
            self.wake(key)
        else:
            self.queue.add_after(key, again.seconds * (1.0 + 0.1 * random.random()))  # noqa: S311 - spreads load, guards nothing

    async def _say_broken(self, key: Key, error: Exception) -> None:
        try:
            await self.engine.say_broken(key, error)
        except Exception as failed:  # saying that it is broken must not break more
            log.warning("engine.cannot_say", key=str(key), error=repr(failed))

    async def _survey_forever(self) -> None:
        """One list call per driver and round wakes exactly the objects whose parts changed outside.

        A driver just met is listed at once: with nothing to compare with, a list later would wake every object again.
        """
        newcomer = self.engine.guard.newcomer
        next_round = self._next_round()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_round):
                    await newcomer.wait()
            if newcomer.is_set():
                newcomer.clear()
                await self.survey(only_new=True)
                continue
            next_round = self._next_round()
            await self.survey()
            past = self.engine.clock.monotonic() - REMEMBER_SECONDS
            self._acted = {key: when for key, when in self._acted.items() if when > past}

    def _next_round(self) -> float:
        """When all are surveyed again, by the event loop's clock; jittered, so that no two daemons ask in step."""
        spread = 0.9 + 0.2 * random.random()  # noqa: S311 - spreads load, guards nothing
        return asyncio.get_running_loop().time() + self.poll_seconds * spread

    async def survey(self, *, only_new: bool = False) -> dict[str, float]:
        """Survey every driver once, or those never surveyed; returns provider → the time of its oldest survey, where it answered.

        All at once: a provider that is silent keeps no other from being looked at.
        """
        guard = self.engine.guard
        for driver in guard.forget_empty():
            self._prints.pop(driver, None)
        providers = [p for p, drivers in guard.drivers.items() if not only_new or not drivers.keys() <= self._prints.keys()]
        times = await asyncio.gather(*(self._survey(provider, list(guard.drivers[provider].values())) for provider in providers))
        return {provider: taken for provider, taken in zip(providers, times, strict=True) if taken is not None}

    async def _survey(self, provider: str, drivers: list[Driver[Any]]) -> float | None:
        answers = await asyncio.gather(*(driver.survey() for driver in drivers))
        for driver, answer in zip(drivers, answers, strict=True):
            self._compare(provider, driver.name, answer)
        surveys = [answer for answer in answers if isinstance(answer, Survey)]
        if len(surveys) < len(answers):
            return None
        taken = min(survey.taken for survey in surveys)
        self.wake_all(self.engine.index.importers(provider) | self._missing(provider, surveys), taken)
        return taken

    def _missing(self, provider: str, surveys: list[Survey]) -> set[Key]:
        """Whose parts on record are in no list: also those that came and went between two lists, which look alike."""
        listed = frozenset[str]().union(*(survey.refs for survey in surveys))
        return {key for ref, key in self.engine.index.refs(provider).items() if ref not in listed}

    def _compare(self, provider: str, driver: str, answer: Survey | Unknown) -> None:
        before = self._prints.get(driver)
        if isinstance(answer, Unknown):
            if before is not None or driver not in self._prints:
                log.warning("survey.failed", driver=driver, error=str(answer.error))
                self.wake_all(self.engine.index.keys_of(provider))
            self._prints[driver] = None
            return
        new = dict(answer.prints)
        self._prints[driver] = new
        if before is None:
            self.wake_all(self.engine.index.keys_of(provider), answer.taken)
            return
        for uid in before.keys() | new.keys():
            if before.get(uid) != new.get(uid) and (key := self.engine.index.by_uid(uid)):
                self.wake(key, answer.taken)
