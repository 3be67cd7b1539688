"""A home with many machines of the simulated cloud, all Ready: grown once, used by what measures many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.api import Api, ready, simulated
from bench.meter import Meter
from bench.processes import daemon
from tests.support.cloud import CloudProcess


@dataclass
class Crowd:
    """The home of a daemon that is stopped between its measurements."""

    home: Path
    cloud: CloudProcess
    count: int = 0

    async def grow(self, count: int) -> float:
        """Have so many machines, all Ready; returns the CPU milliseconds that each new one took."""
        async with daemon(self.home) as running, Api.of(self.home) as api:
            assert running.process is not None
            meter = Meter(running.process.pid)
            await api.create_all(simulated(self.cloud.url, count, self.count))
            await meter.quiet()
            taken = meter.taken()
            waiting = [obj["metadata"]["name"] for obj in await api.machines() if not ready(obj)]
            if waiting:
                raise RuntimeError(f"{len(waiting)} of {count} machines are not Ready, such as {waiting[:3]}")
        grown, self.count = count - self.count, count
        return 1e3 * taken / grown

    async def versions(self, api: Api) -> dict[str, str]:
        """The resourceVersion of every machine."""
        return {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in await api.machines()}
