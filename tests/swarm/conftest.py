"""The real Swarm that these tests run on: brought up once for all of them, taken away at the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from reconciler.client import Client
from tests.support.daemon import DaemonProcess
from tests.support.swarmlab import TALLY, SwarmLab

INSTANCE = int(os.environ.get("ANNEAL_SWARM", "99"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.swarm)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if TALLY.nodes:
        print(TALLY)


@pytest.fixture(scope="session")
def lab() -> Iterator[SwarmLab]:
    """Three nodes, all of them managers, with all images."""
    made = SwarmLab(INSTANCE)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def bare() -> Iterator[SwarmLab]:
    """Four engines without a Swarm, beside the other ones."""
    made = SwarmLab(INSTANCE - 10, nodes=4, managers=0, with_images=False)
    made.up()
    yield made
    made.down()


@pytest.fixture
def engines(bare: SwarmLab) -> Iterator[SwarmLab]:
    """Four engines, each alone: before the test, and after it."""
    bare.alone()
    yield bare
    bare.alone()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """A daemon that looks every second."""
    process = DaemonProcess(tmp_path / "home", env={"ANNEAL_CALL_SECONDS": "30"})
    await process.start()
    yield process
    process.stop()
    process.kill()


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    """A client of its API server."""
    async with daemon.client() as made:
        yield made
