"""A cloud for each worker, and a new home with a running daemon for each test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from reconciler.client import ApiError
from reconciler.http_client import HttpClient
from tests.faults.proxy import Proxy, proxy
from tests.support.apiprocess import ApiProcess
from tests.support.cloud import CloudProcess
from tests.support.daemon import DaemonProcess
from tests.support.served import other_species, species, store, up
from tests.support.world import SWIFT, World, external_world

__all__ = ["other_species", "species", "store", "up"]  # of the faults of what is served


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """The cloud's process: builds and deletes at once unless told otherwise."""
    with CloudProcess(tmp_path_factory.mktemp("cloud")) as process:
        yield process


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """The daemon's environment: the module's table SETTINGS, if it has one."""
    table: dict[str, str] = getattr(request.module, "SETTINGS", {})
    return table


@pytest.fixture(scope="session")
def pool() -> Iterator[dict[str, DaemonProcess]]:
    """Daemons that run, by their settings: a test goes on with the one of the test before, if that left it tidy."""
    daemons: dict[str, DaemonProcess] = {}
    yield daemons
    for daemon in daemons.values():
        daemon.kill()


@pytest.fixture
async def world(
    cloud: CloudProcess, tmp_path: Path, settings: dict[str, str], pool: dict[str, DaemonProcess]
) -> AsyncIterator[World]:
    """A running daemon beside an empty, honest cloud."""
    name = str(sorted(settings.items()))
    cloud.admin.reset()
    daemon = pool.pop(name, None) or DaemonProcess(tmp_path / "home", SWIFT | settings)
    if not daemon.alive:
        await daemon.start()
    client = HttpClient.from_kubeconfig(daemon.home.kubeconfig)
    there = World(cloud, daemon, client)
    try:
        yield there
        if there.reusable and daemon.alive and not daemon.extra:
            with contextlib.suppress(AssertionError, ApiError):
                await there.tidy()
                pool[name] = daemon
    finally:
        if pool.get(name) is not daemon:
            daemon.kill()
        await client.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiProcess]:
    """An API server that outlives daemons."""
    with ApiProcess(tmp_path / "api") as process:
        yield process


@pytest.fixture
async def between(api: ApiProcess, tmp_path: Path) -> AsyncIterator[Proxy]:
    """What stands between the API server and the daemon of `apart`."""
    async with proxy(api.kubeconfig, tmp_path) as there:
        yield there


@pytest.fixture
async def apart(
    cloud: CloudProcess, tmp_path: Path, api: ApiProcess, between: Proxy, settings: dict[str, str]
) -> AsyncIterator[World]:
    """A daemon, not started yet, whose API server is elsewhere, behind the proxy. Our client goes there directly."""
    cloud.admin.reset()
    async with external_world(cloud, tmp_path / "home", api.kubeconfig, between.kubeconfig, settings) as there:
        yield there
