"""One theatre for each file of tests: a daemon with a table and models; each test begins with the model `good` being served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.theatre import SEEDS, House, Stage, cleared, deployment, experiment, stage, theatre


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The theatre of this file."""
    with theatre(tmp_path_factory.mktemp("t")) as there:
        yield there


@pytest.fixture
async def empty(house: House) -> AsyncIterator[Stage]:
    """Nothing is served, nothing is searched."""
    async with stage(*house) as there:
        yield there
        await cleared(there)


@pytest.fixture
async def at(empty: Stage) -> Stage:
    """`good` is served."""
    await empty.lab.create("Experiment", "penguins", **experiment(SEEDS["good"]))
    await empty.lab.create("ModelDeployment", "penguins", **deployment())
    await empty.serves("good")
    return empty
