"""One cloud and one home for each worker: the sweep is hundreds of runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.sweep import Bench, Stand
from tests.support.cloud import CloudProcess


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    """The cloud's process: builds and deletes at once."""
    with CloudProcess(tmp_path_factory.mktemp("cloud")) as process:
        yield process


@pytest.fixture(scope="session")
def stand(cloud: CloudProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """What the runs share."""
    there = Stand(cloud, tmp_path_factory.mktemp("sweep"))
    yield there
    there.discard()


@pytest.fixture
def bench(stand: Stand) -> Bench:
    """Plays scenarios."""
    return Bench(stand)
