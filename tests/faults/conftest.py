"""A cloud for each worker, and a new home with a running daemon for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.cloud import CloudProcess
from tests.support.world import World, running_world


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """The cloud's process: builds and deletes at once unless told otherwise."""
    with CloudProcess(tmp_path_factory.mktemp("cloud")) as process:
        yield process


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """The daemon's environment: `@pytest.mark.parametrize("settings", […], indirect=True)`, or `settings` as a module's table."""
    table: dict[str, str] = getattr(request.module, "SETTINGS", {})
    return table


@pytest.fixture
async def world(cloud: CloudProcess, tmp_path: Path, settings: dict[str, str]) -> AsyncIterator[World]:
    """A running daemon beside an empty, honest cloud."""
    async with running_world(cloud, tmp_path / "home", settings) as there:
        yield there
