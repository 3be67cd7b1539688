"""The real Swarm that these tests run on: brought up once for all of them, taken away at the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from reconciler.client import Client
from tests.support.daemon import DaemonProcess
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.theatre import House, theatre

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
INSTANCE = int(os.environ.get("ANNEAL_SWARM", "99")) - WORKER
"""Each process of the tests has a Swarm of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.swarm)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["tally"] = asdict(TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a process of the tests saw is added to what the others did."""
    for name, count in getattr(node, "workeroutput", {}).get("tally", {}).items():
        setattr(TALLY, name, getattr(TALLY, name) + count)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if TALLY.nodes and not hasattr(config, "workeroutput"):
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


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A daemon for all tests of a file, and models that were made before."""
    with theatre(tmp_path_factory.mktemp("t"), {"ANNEAL_CALL_SECONDS": "30"}) as there:
        yield there


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
