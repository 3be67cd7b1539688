"""10,000 objects and nothing to do: what the daemon costs for being there."""

from __future__ import annotations

import asyncio

from bench.crowd import Crowd
from bench.figure import Figure, Options
from bench.meter import Meter
from bench.processes import bare_server, daemon, operator
from tests.support.cloud import running_cloud

TARGET_PERCENT, TARGET_MB = 1.0, 300.0


async def run(options: Options) -> list[Figure]:
    """Grow the crowd, start the daemon on it, let it settle, then look for a while."""
    count, seconds = options.scaled(10_000), 20.0 if options.quick else 90.0
    with running_cloud(options.folder, build_seconds=0.0) as cloud:
        crowd = Crowd(options.folder / "home", cloud)
        options.say(f"growing {count} machines")
        await crowd.grow(count)
        options.say("idle daemon")
        async with daemon(crowd.home) as running:
            assert running.process is not None
            share, rss = await _watch(seconds, running.process.pid)
    options.say("idle kopf")
    async with bare_server(crowd.home) as (server, _), operator(crowd.home, "event") as kopf:
        kopf_share, kopf_rss = await _watch(seconds, server.pid, kopf.pid)
    baseline = "kopf @on.event keeping a dict, and the same API server"
    return [
        Figure("idle-cpu", f"{count} machines, idle: CPU", share, "% of a core", TARGET_PERCENT, baseline, kopf_share),
        Figure("idle-memory", f"{count} machines, idle: resident memory", rss, "MB", TARGET_MB, baseline, kopf_rss),
    ]


async def _watch(seconds: float, *pids: int) -> tuple[float, float]:
    """CPU share and memory over so many seconds, once they have settled, the first survey included (33 s)."""
    await asyncio.sleep(40.0)
    await Meter(*pids).quiet(share=3.0, rounds=5)
    meter = Meter(*pids)
    await asyncio.sleep(seconds)
    return meter.share(), meter.rss()
