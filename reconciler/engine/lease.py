"""The leader lease (coordination.k8s.io/v1, as client-go keeps it) and the fence that every mutating call passes.

A lease alone does not fence: a process that was stopped for a minute still believes that it leads. So the fence compares the
clock that goes on while a process is stopped with the end of the lease as of the last renewal, right before each send.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from drivers.contract import LeaseLost
from reconciler.client import LEASES, ApiError, ApiUnavailable, Client, Object
from reconciler.engine.clock import Clock, from_text, to_text_micro

log = structlog.get_logger()


def boot_time() -> float:
    """Seconds since boot, counting suspend: the one clock that a stopped process cannot be fooled by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Lease:
    """Held by at most one daemon. `seconds` is how long a silent holder keeps it."""

    client: Client
    clock: Clock
    identity: str
    seconds: float = 15.0
    namespace: str = "default"
    name: str = "anneal-leader"
    exclusive: bool = False
    """True where a lock on the home already rules out a second daemon: then a lease left behind is taken over at once."""
    holder: str = ""
    _until: float = field(default=0.0)

    @property
    def held(self) -> bool:
        """Whether this daemon leads, as of now."""
        return boot_time() < self._until

    def fence(self) -> None:
        """Raise LeaseLost unless this daemon leads, with a margin for the request to arrive."""
        if boot_time() >= self._until - self.seconds * 0.2:
            raise LeaseLost(f'lost the lease "{self.name}" (last holder: {self.holder or "nobody"}); nothing was sent')

    async def acquire(self) -> None:
        """Wait until this daemon leads."""
        while True:
            try:
                if await self._attempt():
                    log.info("lease.acquired", identity=self.identity)
                    return
            except ApiError as error:
                log.warning("lease.unavailable", error=str(error))
            await asyncio.sleep(self.seconds / 5)

    async def keep(self) -> None:
        """Renew until it is lost; returns then."""
        while self.held:
            await asyncio.sleep(self.seconds / 3)
            try:
                if not await self._attempt():
                    break
            except ApiError as error:
                log.warning("lease.not_renewed", error=str(error))
        self._until = 0.0
        log.error("lease.lost", holder=self.holder)

    async def release(self) -> None:
        """Give it up, so that the next daemon need not wait."""
        if not self.held:
            return
        self._until = 0.0
        body = {"spec": {"holderIdentity": "", "renewTime": None}}
        try:
            async with asyncio.timeout(self.seconds / 3):
                await self.client.patch(LEASES, self.namespace, self.name, body)
        except (ApiError, TimeoutError) as error:
            log.debug("lease.not_released", error=str(error))

    async def _attempt(self) -> bool:
        """Try, but not for long: an API server that is silent would keep us from noticing that the lease is over."""
        try:
            async with asyncio.timeout(self.seconds / 3):
                return await self._try()
        except TimeoutError as error:
            raise ApiUnavailable(f"no answer within {self.seconds / 3:.1f} s") from error

    async def _try(self) -> bool:
        asked = boot_time()
        live = await self.client.get(LEASES, self.namespace, self.name)
        if live is not None and not self._free(live):
            return False
        if live is None:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": self._spec(0),
            }
            written = self.client.create(LEASES, self.namespace, body)
        else:
            spec = live.get("spec") or {}
            mine = spec.get("holderIdentity") == self.identity
            patch = {
                "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
                "spec": self._spec(int(spec.get("leaseTransitions") or 0) + (not mine)),
            }
            if mine:
                del patch["spec"]["acquireTime"]
            written = self.client.patch(LEASES, self.namespace, self.name, patch)
        try:
            await written
        except ApiError as error:
            if error.code == 409:
                return False
            raise
        self._until = asked + self.seconds
        self.holder = self.identity
        return True

    def _free(self, live: Object) -> bool:
        spec = live.get("spec") or {}
        self.holder = spec.get("holderIdentity") or ""
        if self.exclusive or self.holder in ("", self.identity) or not spec.get("renewTime"):
            return True
        duration = timedelta(seconds=float(spec.get("leaseDurationSeconds") or self.seconds))
        return from_text(spec["renewTime"]) + duration < self.clock.now()

    def _spec(self, transitions: int) -> Object:
        now = to_text_micro(self.clock.now())
        duration = max(1, round(self.seconds))
        return {"holderIdentity": self.identity, "leaseDurationSeconds": duration, "acquireTime": now, "renewTime": now} | {
            "leaseTransitions": transitions
        }
