"""Runs each test of the contract once per harness that can do what the test needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from drivers.contract import Driver
from tests.contract.folders import Folders
from tests.contract.harness import Harness
from tests.contract.harnesses import HARNESSES
from tests.contract.simulated import Simulated
from tests.contract.units import Units
from tests.support.cloud import CloudProcess


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "harness" in metafunc.fixturenames:
        needed = set(getattr(metafunc.function, "needs", ()))
        able = [harness for harness in HARNESSES if not needed & set(harness.cannot)]
        metafunc.parametrize("harness", able, ids=lambda harness: harness.name, indirect=True)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    with CloudProcess(tmp_path_factory.mktemp("cloud")) as process:
        yield process


@pytest.fixture
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    chosen = request.param
    if isinstance(chosen, Simulated):
        chosen.admin = request.getfixturevalue("cloud").admin
    chosen.reset()
    yield chosen
    if isinstance(chosen, Units | Folders):
        chosen.end()


@pytest.fixture
async def make(harness: Harness) -> AsyncIterator[Callable[..., Driver[Any]]]:
    """Makes drivers, and closes them."""
    made: list[Driver[Any]] = []

    def new(**options: Any) -> Driver[Any]:
        made.append(harness.driver(**options))
        return made[-1]

    yield new
    for driver in made:
        await driver.close()


@pytest.fixture
def driver(make: Callable[..., Driver[Any]]) -> Driver[Any]:
    return make()
