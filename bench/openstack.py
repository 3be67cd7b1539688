"""Servers of a real OpenStack on this machine (`make openstack-up`): 50 at once, 200 that need nothing, from ACTIVE to Ready.

Nova's hypervisors only pretend, so what is measured is what the services and we take, on the same two cores.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from bench.api import MACHINES, Api, Object, machine, ready
from bench.figure import Figure, Options
from bench.meter import Meter
from bench.processes import ROOT, daemon
from tests.openstack.project import own_project
from tests.openstack.proxy import FaultProxy
from tests.openstack.real import Real

TIMES, CALLS, READY_SECONDS = 1.2, 5.0, 2.0
PATIENCE = 1800.0
NEVER = 1e6
UNLIMITED = {"instances": -1, "cores": -1, "ram": -1}


class Clocked(FaultProxy):
    """Stands before a service and notes when each request came and when it was answered."""

    def __post_init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        super().__post_init__()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        begun = time.monotonic()
        super().handle(request)
        self.spans.append((begun, time.monotonic()))


@asynccontextmanager
async def _project(options: Options) -> AsyncIterator[Real]:
    """A project of its own, without quotas, that is removed afterwards; the cloud is brought up if it is not."""
    root = Path(
        os.environ.get("OS_ROOT") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anneal-openstack"
    )
    command = [ROOT / "tests" / "openstack" / "cloud" / "up"]
    await asyncio.to_thread(subprocess.run, command, env=os.environ | {"OS_ROOT": str(root)}, check=True, stdout=sys.stderr)
    with own_project(root / "clouds.yaml", options.folder) as real:
        real.admin.compute.put(f"/os-quota-sets/{real.project}", json={"quota_set": UNLIMITED}).raise_for_status()
        quota = {"quota": {"port": -1}}
        real.admin.network.put(f"/quotas/{real.project}", json=quota).raise_for_status()
        yield real


async def create(options: Options) -> list[Figure]:
    """So many new servers, each with a port: by the bare script, by us, by the bare script; then some more, one at a time."""
    async with _project(options) as real:
        return await _create(options, real)


async def resync(options: Options) -> list[Figure]:
    """One resync of so many Machines that finds nothing to do, beside bare lists of the servers, over the same proxies."""
    async with _project(options) as real:
        return await _look(options, real)


async def _create(options: Options, real: Real) -> list[Figure]:
    count = options.scaled(50)
    options.say(f"{count} servers, bare")
    bare = [await _bare(real, count)]
    options.say(f"{count} servers, anneal")
    async with daemon(options.folder / "home") as process, Api.of(options.folder / "home") as api:
        assert process.process is not None
        await Meter(process.process.pid).quiet()
        begun = time.monotonic()
        await api.create_all(_bodies(real.clouds, count))
        await _all_ready(api, count)
        ours = time.monotonic() - begun
        delays = []
        for number in range(options.scaled(9, 3)):
            options.say(f"from ACTIVE to Ready, {number + 1}")
            delays.append(await _delay(api, real, f"one-{number}"))
        options.say("removing them")
        await _gone(api)
    options.say(f"{count} servers, bare, once more")
    bare.append(await _bare(real, count))
    return [
        Figure("openstack-create", f"{count} servers with a port each, created to Ready", ours, "s", None,
               "openstacksdk, 16 threads, to ACTIVE; before and after", statistics.mean(bare), TIMES, baseline_samples=bare),
        Figure("openstack-ready", "from ACTIVE in Nova to Ready, the longest of all", max(delays), "s", READY_SECONDS,
               "the median of all", statistics.median(delays), samples=delays),
    ]  # fmt: skip


async def _look(options: Options, real: Real) -> list[Figure]:
    count = options.scaled(200)
    home = options.folder / "many"
    async with _proxied(options, real) as (clouds, proxies):
        options.say(f"growing to {count} servers")
        async with daemon(home) as process, Api.of(home) as api:
            await api.create_all(_bodies(clouds, count))
            await _all_ready(api, count)
        pause = 30.0 + count / 4
        options.say(f"resync of {count}")
        async with daemon(home, resync_seconds=pause, poll_seconds=NEVER) as process, Api.of(home) as api:
            assert process.process is not None
            begun = time.monotonic()
            await Meter(process.process.pid).quiet(rounds=4)
            if time.monotonic() - begun > pause - 3.0:
                raise RuntimeError(f"the daemon was still busy after {pause:.0f} s: no resync can be told apart")
            spans = await _resync(proxies, pause + 60)
            lists = [await asyncio.to_thread(_bare_list, clouds, real.cloud, count) for _ in range(3)]
            options.say("removing them")
            await _gone(api)
    took = max(end for _, end in spans) - min(start for start, _ in spans)
    what, baseline = f"no-op resync of {count} machines", "one bare list of the servers, with details"
    return [
        Figure("openstack-resync-calls", f"{what}: calls to the cloud", len(spans), "calls", CALLS, baseline, 1.0),
        Figure("openstack-resync", f"{what}: first call to last answer", took, "s", None, baseline, statistics.median(lists),
               TIMES, baseline_samples=lists),
    ]  # fmt: skip


async def _bare(real: Real, count: int) -> float:
    command = [sys.executable, "-m", "bench.baselines.servers", str(real.clouds), str(count)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    await asyncio.to_thread(real.clear)
    return float(done.stdout)


def _bare_list(clouds: Path, cloud: str, count: int) -> float:
    """How long a person's own list takes, with the connection open already."""
    import openstack
    import yaml

    entry = yaml.safe_load(clouds.read_text())["clouds"][cloud]
    sdk: Any = openstack.connect(load_yaml_config=False, load_envvars=False, **entry)
    sdk.compute.find_flavor("m1.tiny")
    begun = time.monotonic()
    found = list(sdk.compute.servers(details=True))
    if len(found) != count:
        raise RuntimeError(f"{len(found)} servers, not {count}")
    return time.monotonic() - begun


async def _resync(proxies: list[Clocked], patience: float) -> list[tuple[float, float]]:
    """Wait for the next requests, and until none came for a while."""
    for proxy in proxies:
        proxy.spans.clear()
    begun = last = time.monotonic()
    known = 0
    while not known or time.monotonic() - last < 8.0:
        await asyncio.sleep(0.2)
        spans = [span for proxy in proxies for span in proxy.spans]
        if len(spans) > known:
            known, last = len(spans), time.monotonic()
        if time.monotonic() - begun > patience:
            raise RuntimeError("no resync was seen")
    return [span for proxy in proxies for span in proxy.spans]


async def _delay(api: Api, real: Real, name: str) -> float:
    """Seconds between the first look that shows a server ACTIVE and the first that shows its Machine Ready."""
    await api.post(MACHINES, machine(name, openstack=_spec(real.clouds)))
    active = asyncio.create_task(asyncio.to_thread(_active, real, f"anneal-default-{name}-"))
    now = 0.0
    while not now:
        await asyncio.sleep(0.02)
        now = time.monotonic() if ready(await api.get(f"{MACHINES}/{name}")) else 0.0
    return max(0.0, now - await active)


def _active(real: Real, stem: str) -> float:
    ident = None
    while True:
        if ident is None:
            rows = real.sdk.compute.get("/servers", microversion="2.79").json()["servers"]
            ident = next((row["id"] for row in rows if row["name"].startswith(stem)), None)
        elif real.sdk.compute.get(f"/servers/{ident}", microversion="2.79").json()["server"]["status"] == "ACTIVE":
            return time.monotonic()
        time.sleep(0.05)


@asynccontextmanager
async def _proxied(options: Options, real: Real) -> AsyncIterator[tuple[Path, list[Clocked]]]:
    made = {service: Clocked(real.endpoint(service)) for service in ("compute", "network")}
    try:
        urls = {name: proxy.url for name, proxy in made.items()}
        yield real.yaml_for(options.folder / "proxied.yaml", urls), list(made.values())
    finally:
        for proxy in made.values():
            proxy.close()


def _spec(clouds: Path) -> dict[str, Any]:
    by_name = {"flavor": {"filter": {"name": "m1.tiny"}}, "image": {"filter": {"name": "cirros"}}}
    ports = [{"network": {"filter": {"name": "private"}}}]
    return {"identityRef": {"file": str(clouds), "cloudName": "mini"}, **by_name, "ports": ports}


def _bodies(clouds: Path, count: int) -> list[Object]:
    return [machine(f"m-{number}", openstack=_spec(clouds)) for number in range(count)]


async def _all_ready(api: Api, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while sum(ready(obj) for obj in await api.machines()) < count:
        if time.monotonic() > end:
            raise RuntimeError(f"not all {count} machines are Ready after {PATIENCE:.0f} s")
        await asyncio.sleep(0.25)


async def _gone(api: Api) -> None:
    for obj in await api.machines():
        await api.delete(f"{MACHINES}/{obj['metadata']['name']}")
    end = time.monotonic() + PATIENCE
    while await api.machines():
        if time.monotonic() > end:
            raise RuntimeError("the machines do not go")
        await asyncio.sleep(0.5)
