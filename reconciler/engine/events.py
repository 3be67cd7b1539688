"""Kubernetes Events: what anneal did and what went wrong, for `kubectl describe`. Best effort, never in the way of a pass."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from drivers.contract import DriverError, Step
from reconciler.client import EVENTS, ApiError, Client, Object
from reconciler.engine.clock import Clock, to_text
from reconciler.engine.verdicts import VERBS
from specs.meta import Reason

log = structlog.get_logger()

ON_THE_WAY = frozenset(
    {
        Reason.PENDING, Reason.CREATING, Reason.BUILDING, Reason.UPDATING, Reason.REPLACING, Reason.DELETING, Reason.VERIFYING,
        Reason.STARTING, Reason.FETCHING, Reason.TRAINING, Reason.CHECKING, Reason.ROLLING_OUT, Reason.DEPENDENCY_NOT_READY,
    }
)  # fmt: skip
"""Not ready, and nothing is wrong."""
DECIDED = frozenset({Reason.NOT_BETTER, Reason.AWAITS_PROMOTION})
"""An answer, and not trouble."""
ENGINES = frozenset({"Ready", "Progressing", "Observed", "Deleting", "Paused"})
"""Conditions that every object has, and events of their own."""

BACKLOG = 10_000
REMEMBERED = 5_000


@dataclass(slots=True)
class Recorder:
    """Collects events and writes them in the background; the same event again raises its count."""

    client: Client
    clock: Clock
    _backlog: asyncio.Queue[tuple[Object, str, str, str]] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    _counts: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def step(self, obj: Object, step: Step) -> None:
        """A step was taken."""
        self.say(obj, "Normal", str(VERBS[step.verb]), f"{step.verb}d {step.part}: {step.why}")

    def failure(self, obj: Object, step: Step, error: DriverError) -> None:
        """A step failed."""
        self.say(obj, "Warning", str(error.reason), f"cannot {step.verb} {step.part}: {error}")

    def ready(self, obj: Object, condition: Mapping[str, Any]) -> None:
        """The Ready condition changed."""
        fine = condition["status"] == "True" or condition["reason"] in ON_THE_WAY
        kind = "Normal" if fine else "Warning"
        self.say(obj, kind, condition["reason"], condition["message"] or f"Ready is {condition['status']}")

    def remarks(self, obj: Object, before: Mapping[str, Any]) -> None:
        """What it says of itself besides Ready, and did not say `before`: a revision that failed, a model that is not better."""
        after = (obj.get("status") or {}).get("conditions") or ()
        known = {(row["reason"], row["message"]) for row in before.get("conditions") or ()}
        ready = next((row["reason"] for row in after if row["type"] == "Ready"), None)
        for row in after:
            said = (row["reason"], row["message"])
            if row["status"] != "False" or row["type"] in ENGINES or said in known or row["reason"] in (ready, *ON_THE_WAY):
                continue
            known.add(said)
            self.say(obj, "Normal" if row["reason"] in DECIDED else "Warning", row["reason"], row["message"])

    def say(self, obj: Object, kind: str, reason: str, message: str) -> None:
        """Record one event about an object. If the backlog is full it is dropped: events are not state."""
        try:
            self._backlog.put_nowait((obj, kind, reason, message))
        except asyncio.QueueFull:
            log.debug("event.dropped", reason=reason)

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            obj, kind, reason, message = await self._backlog.get()
            try:
                await self._write(obj, kind, reason, message)
            except ApiError as error:
                log.debug("event.not_written", reason=reason, error=str(error))
            except (KeyError, TypeError) as error:  # an object without the usual metadata
                log.debug("event.malformed", reason=reason, error=repr(error))

    async def _write(self, obj: Object, kind: str, reason: str, message: str) -> None:
        meta, now = obj["metadata"], to_text(self.clock.now())
        message = message[:1024]
        namespace = meta.get("namespace") or "default"
        digest = hashlib.sha256(f"{meta['uid']}\0{reason}\0{message}".encode()).hexdigest()[:16]
        name = f"{meta['name'][:200]}.{digest}"
        if name in self._counts:
            count = self._counts[name] + 1
            try:
                await self.client.patch(EVENTS, namespace, name, {"count": count, "lastTimestamp": now})
            except ApiError as error:
                if error.code != 404:
                    raise
            else:
                self._remember(name, count)
                return
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "namespace": namespace,
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "anneal"},
            "reportingComponent": "anneal.dev/reconciler",
        }
        try:
            await self.client.create(EVENTS, namespace, body)
        except ApiError as error:
            if error.code != 409:
                raise
            live = await self.client.get(EVENTS, namespace, name)
            count = int((live or {}).get("count") or 0) + 1
            await self.client.patch(EVENTS, namespace, name, {"count": count, "lastTimestamp": now})
            self._remember(name, count)
        else:
            self._remember(name, 1)

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        while len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
