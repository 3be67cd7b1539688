"""1,000 new objects to Ready: CPU of daemon and server together, per object."""

from __future__ import annotations

from pathlib import Path

from bench.api import Api, Object, local, ready, simulated
from bench.figure import Figure, Options
from bench.meter import Meter
from bench.processes import bare_server, daemon, operator
from tests.support.cloud import running_cloud

TARGET_MS = 8.0


async def run(options: Options) -> list[Figure]:
    """Create them, wait until nothing happens any more, and look at the CPU that was taken."""
    count = options.scaled(1000)
    options.say(f"{count} local machines")
    ours = await _anneal(options.folder / "local", local(count))
    options.say(f"{count} machines, kopf")
    kopf = await _kopf(options.folder / "kopf", local(count))
    with running_cloud(options.folder, build_seconds=0.0) as cloud:
        options.say(f"{count} machines of the simulated cloud")
        far = await _anneal(options.folder / "simulated", simulated(cloud.url, count))
    baseline = "kopf @on.create with one status patch, and the same API server"
    return [
        Figure("bulk", f"{count} new local machines to Ready, CPU each", ours, "ms", TARGET_MS, baseline, kopf),
        Figure("bulk-simulated", f"{count} new cloud machines to Ready, CPU each", far, "ms", None, baseline, kopf),
    ]


async def _anneal(home: Path, bodies: list[Object]) -> float:
    async with daemon(home) as running, Api.of(home) as api:
        assert running.process is not None
        return await _cpu_each(api, Meter(running.process.pid), bodies, ready)


async def _kopf(home: Path, bodies: list[Object]) -> float:
    async with bare_server(home) as (server, api), operator(home, "status") as kopf:
        return await _cpu_each(api, Meter(server.pid, kopf.pid), bodies, _handled)


async def _cpu_each(api: Api, meter: Meter, bodies: list[Object], done: object) -> float:
    await meter.quiet()
    before = meter.cpu()
    await api.create_all(bodies)
    await meter.quiet()
    taken = meter.cpu() - before
    assert callable(done)
    machines = await api.machines()
    missing = [obj["metadata"]["name"] for obj in machines if not done(obj)]
    if missing or len(machines) != len(bodies):
        raise RuntimeError(f"{len(missing)} of {len(machines)} machines are not done, such as {missing[:3]}")
    return 1e3 * taken / len(bodies)


def _handled(obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("instanceState"))
