"""A resync that finds nothing to do: calls to the cloud, writes of status, and CPU, for 100, 1,000 and 10,000 machines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.api import Api
from bench.crowd import Crowd
from bench.figure import Figure, Options
from bench.meter import Meter
from bench.processes import daemon
from tests.support.cloud import running_cloud

NEVER = 1e6
SETTLE = 3.0


@dataclass(frozen=True)
class Resync:
    """What one resync took."""

    calls: int
    changed: int
    cpu_ms: float
    seconds: float


async def run(options: Options) -> list[Figure]:
    """Grow the crowd step by step; at each size start the daemon with a resync due soon after it has settled."""
    sizes = [options.scaled(number) for number in (100, 1000, 10_000)]
    results: dict[int, Resync] = {}
    with running_cloud(options.folder, build_seconds=0.0) as cloud:
        crowd = Crowd(options.folder / "home", cloud)
        for size in sizes:
            options.say(f"growing to {size} machines")
            await crowd.grow(size)
            options.say(f"resync of {size} machines")
            results[size] = await _resync(crowd, pause=15.0 + size / 150)
    return list(_figures(results))


def _figures(results: dict[int, Resync]) -> Iterator[Figure]:
    (few, least), *_ = results.items()
    *_, (many, most) = results.items()
    baseline, what = f"the same with {few} machines", "machines, no-op resync"
    for size, result in results.items():
        yield Figure(
            f"resync-{size}", f"{size} {what}: calls to the cloud", result.calls, "calls", least.calls, baseline, least.calls
        )
    yield Figure("resync-writes", f"{many} {what}: objects written", most.changed, "objects", 0.0, baseline, least.changed)
    yield Figure("resync-cpu", f"{many} {what}: CPU each", most.cpu_ms / many, "ms", None, baseline, least.cpu_ms / few)


async def _resync(crowd: Crowd, pause: float) -> Resync:
    """Start the daemon, let it settle, and look at what the first resync does; the next one must be far away."""
    async with daemon(crowd.home, resync_seconds=pause, poll_seconds=NEVER) as running, Api.of(crowd.home) as api:
        assert running.process is not None
        begun = time.monotonic()
        await Meter(running.process.pid).quiet(rounds=4)
        if time.monotonic() - begun > pause - SETTLE:
            raise RuntimeError(f"the daemon was still busy after {pause:.0f} s: no resync can be told apart")
        versions, reads = await crowd.versions(api), crowd.cloud.admin.reads()
        meter = Meter(running.process.pid)
        idle = meter.cpu()
        while crowd.cloud.admin.reads() == reads:
            await asyncio.sleep(0.5)
            if time.monotonic() - begun > pause + 30:
                raise RuntimeError("no resync was seen")
        seen = time.monotonic()
        await meter.quiet(share=8.0, rounds=2)
        calls = sum(crowd.cloud.admin.reads().values()) - sum(reads.values())
        taken, seconds = meter.cpu() - idle, time.monotonic() - seen
        after = await crowd.versions(api)
    changed = sum(1 for name in versions.keys() | after.keys() if versions.get(name) != after.get(name))
    return Resync(calls, changed, 1e3 * taken, seconds)
