"""Quota use per account of a cloud, for `anneal status`: read when somebody asks, kept a while, one read for all who ask.

Reconciling does not need it: what a quota refuses the cloud says itself. So a daemon that nobody asks reads none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.contract import DriverError
from drivers.openstack.quota import Use
from reconciler.engine.clock import Clock, to_text

KEEP_SECONDS = 30.0
"""How old a figure may be that is shown."""
PATIENCE = 3.0
"""How long who asks waits. The read goes on, for the next one."""


@dataclass(slots=True)
class _Known:
    uses: Sequence[Use] = ()
    at: float | None = None
    """Of the monotonic clock; None before the first answer."""
    as_of: str | None = None
    error: str | None = None
    reading: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Quotas:
    """What was read of each account. `read` asks the cloud of an account; it raises DriverError."""

    read: Callable[[str], Awaitable[Sequence[Use]]]
    clock: Clock
    keep_seconds: float = KEEP_SECONDS
    patience: float = PATIENCE
    _known: dict[str, _Known] = field(default_factory=dict)

    async def of(self, accounts: Iterable[str]) -> list[dict[str, Any]]:
        """For each account: what is used of what, as of when; and why that is not newer, if it could not be read."""
        names = sorted(accounts)
        self._known = {name: self._known.get(name) or _Known() for name in names}
        if tasks := [task for name in names if (task := self._refresh(name))]:
            await asyncio.wait(tasks, timeout=self.patience)
        return [self._said(name) for name in names]

    def _refresh(self, name: str) -> asyncio.Task[None] | None:
        known = self._known[name]
        if known.reading is not None and not known.reading.done():
            return known.reading
        if known.at is not None and time.monotonic() - known.at < self.keep_seconds:
            return None
        known.reading = asyncio.create_task(self._look(name, known), name=f"quotas-{name}")
        return known.reading

    async def _look(self, name: str, known: _Known) -> None:
        try:
            uses = await self.read(name)
        except DriverError as error:
            known.error = str(error)
        else:
            known.uses, known.at, known.as_of, known.error = uses, time.monotonic(), to_text(self.clock.now()), None

    def _said(self, name: str) -> dict[str, Any]:
        known = self._known[name]
        waiting = "no answer yet" if known.reading is not None and not known.reading.done() else None
        rows = [{"resource": use.resource, "used": use.used, "limit": use.limit} for use in known.uses]
        return {"account": name, "asOf": known.as_of, "error": known.error or waiting, "quotas": rows}
