"""The real services of OpenStack, brought up once for all tests here (tests/openstack/cloud/up)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import Driver
from tests.openstack.harness import HARNESSES, RealCloud
from tests.openstack.project import own_project
from tests.openstack.proxy import FaultProxy
from tests.openstack.real import Real
from tests.openstack.world import ENV, CloudWorld, running
from tests.support.daemon import DaemonProcess

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("OS_ROOT") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anneal-openstack")
LAST: dict[str, Any] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "harness" in metafunc.fixturenames:
        needed = set(getattr(metafunc.function, "needs", ()))
        able = [harness for harness in HARNESSES if not needed & set(harness.cannot)]
        metafunc.parametrize("harness", able, ids=lambda harness: harness.name, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.openstack)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """The cloud, with a project for these tests alone. If it was up already it stays up."""
    done = subprocess.run(
        [HERE / "cloud" / "up"], env=os.environ | {"OS_ROOT": str(ROOT)}, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with own_project(ROOT / "clouds.yaml", tmp_path_factory.mktemp("clouds")) as there:
        yield there
        LAST.update(made=there.made(), left=there.total())


def pytest_unconfigure() -> None:
    """The very last line: what was made, and what of it is left."""
    if LAST:
        said = ", ".join(f"{count} {name}" for name, count in LAST["made"].items())
        left = ", ".join(f"{count} {name}" for name, count in LAST["left"].items()) or "nothing"
        print(f"made {said}; left: {left}")


@pytest.fixture(scope="session")
def proxies(real: Real) -> Iterator[dict[str, FaultProxy]]:
    """What stands before Nova, Neutron and Cinder."""
    made = {service: FaultProxy(real.endpoint(service)) for service in ("compute", "network", "block_storage")}
    yield made
    for proxy in made.values():
        proxy.close()


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], DaemonProcess]]:
    """Daemons by name; one that was left in order serves the next test too, another is replaced by one with a new home."""
    daemons: dict[str, DaemonProcess] = {}

    def home(name: str) -> DaemonProcess:
        if name not in daemons or not daemons[name].alive:
            daemons[name] = DaemonProcess(tmp_path_factory.mktemp(name) / "home", ENV)
        return daemons[name]

    yield home
    for daemon in daemons.values():
        daemon.kill()


@pytest.fixture
async def world(
    real: Real, proxies: dict[str, FaultProxy], homes: Callable[[str], DaemonProcess], tmp_path: Path
) -> AsyncIterator[CloudWorld]:
    """A daemon that reaches Nova, Neutron and Cinder through proxies."""
    for proxy in proxies.values():
        proxy.honest()
        proxy.log.clear()
    clouds = real.yaml_for(tmp_path / "clouds.yaml", {name: proxy.url for name, proxy in proxies.items()})
    try:
        async with running(real, homes("proxied"), clouds) as there:
            yield there
            for proxy in proxies.values():
                proxy.honest()
    finally:
        for proxy in proxies.values():
            proxy.honest()


@pytest.fixture
def harness(request: pytest.FixtureRequest, real: Real, proxies: dict[str, FaultProxy]) -> Iterator[RealCloud]:
    chosen: RealCloud = request.param
    chosen.use(real, proxies)
    chosen.reset()
    yield chosen
    chosen.honest(wait=False)


@pytest.fixture
async def make(harness: RealCloud) -> AsyncIterator[Callable[..., Driver[Any]]]:
    """Makes drivers, and closes them."""
    drivers: list[Driver[Any]] = []

    def new(**options: Any) -> Driver[Any]:
        drivers.append(harness.driver(**options))
        return drivers[-1]

    yield new
    for driver in drivers:
        await driver.close()


@pytest.fixture
def driver(make: Callable[..., Driver[Any]]) -> Driver[Any]:
    return make()


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves the project as it found it."""
    yield
    if "real" in request.fixturenames:
        request.getfixturevalue("real").clear()
