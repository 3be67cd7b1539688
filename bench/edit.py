"""A spec file is saved → the driver's first call that changes something."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import yaml

from bench.api import Api, machine, ready
from bench.figure import Figure, Options, medians
from bench.journal import Journal
from bench.processes import daemon, program
from tests.support.cloud import CloudProcess, running_cloud
from tests.support.daemon import until

TARGET_MS = 100.0


async def run(options: Options) -> list[Figure]:
    """Edit in turn a file that the daemon follows and one that a bare loop follows; the time is the cloud's."""
    specs = options.folder / "specs"
    specs.mkdir()
    ours, theirs = specs / "machine.yaml", options.folder / "baseline.yaml"
    with running_cloud(options.folder, build_seconds=0.0) as cloud:
        server = cloud.admin.create("servers", name="baseline", metadata={})
        _save(ours, cloud, 0)
        _save(theirs, cloud, 0)
        async with (
            daemon(options.folder / "home") as running,
            Api.of(running.root) as api,
            program("bench.baselines.follow", str(theirs), cloud.url, server),
        ):
            await api.post("/anneal/v1/sources", {"path": str(specs)})
            await until(lambda: _all_ready(api), 30)
            samples, baseline = await _measure(options, cloud, ours, theirs)
    return [
        medians(
            "edit",
            "spec file saved → first mutating call",
            "ms",
            samples,
            "bare inotify loop that calls the cloud itself",
            baseline,
            target=TARGET_MS,
        )
    ]


async def _all_ready(api: Api) -> bool:
    machines = await api.machines()
    return bool(machines) and all(map(ready, machines))


async def _measure(options: Options, cloud: CloudProcess, ours: Path, theirs: Path) -> tuple[list[float], list[float]]:
    journal = Journal(cloud.state)
    samples: list[float] = []
    baseline: list[float] = []
    for number in range(1, options.scaled(41, 5) + 1):
        for file, times in ((ours, samples), (theirs, baseline)):
            await asyncio.sleep(0.3 + 0.037 * (number % 10))  # not in step with anything that ticks
            saved = time.time()
            _save(file, cloud, number)
            entry = await journal.next("PATCH")
            times.append(1e3 * (entry["time"] - saved))
    journal.close()
    return samples, baseline


def _save(file: Path, cloud: CloudProcess, number: int) -> None:
    spec = {"endpoint": cloud.url, "serverMetadata": [{"key": "edit", "value": str(number)}]}
    file.write_text(yaml.safe_dump(machine("edited", simulated=spec)))
