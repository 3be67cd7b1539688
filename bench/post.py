"""A Machine is POSTed to the API → the driver's first call that changes something."""

from __future__ import annotations

import asyncio
import time

from bench.api import MACHINES, Api, simulated
from bench.figure import Figure, Options, medians
from bench.journal import Journal
from bench.processes import bare_server, daemon, operator
from tests.support.cloud import running_cloud

TARGET_MS = 40.0


async def run(options: Options) -> list[Figure]:
    """POST in turn to the daemon and to the bare API server with a kopf operator; the time is the cloud's."""
    home, other = options.folder / "home", options.folder / "other"
    with running_cloud(options.folder, build_seconds=0.0) as cloud:
        async with (
            daemon(home),
            Api.of(home) as api,
            bare_server(other) as (_, bare),
            operator(other, "post", CLOUD=cloud.url),
        ):
            await asyncio.sleep(3.0)  # kopf says nothing when it watches
            journal = Journal(cloud.state)
            samples: list[float] = []
            baseline: list[float] = []
            for number, body in enumerate(simulated(cloud.url, options.scaled(41, 5))):
                for client, times in ((api, samples), (bare, baseline)):
                    await asyncio.sleep(0.3 + 0.037 * (number % 10))
                    sent = time.time()
                    await client.post(MACHINES, body)
                    entry = await journal.next("POST")
                    times.append(1e3 * (entry["time"] - sent))
            journal.close()
    return [
        medians(
            "post",
            "POST of a Machine → first mutating call",
            "ms",
            samples,
            "kopf @on.create making the same call",
            baseline,
            target=TARGET_MS,
        )
    ]
