"""Fixtures of whatever asks a deployment: models that were really trained, and a deployment that really runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import serving
from tests.support.serving import Deployment, Model, deployed


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model store."""
    return tmp_path_factory.mktemp("serving") / "models"


@pytest.fixture(scope="session")
def species(store: Path) -> Model:
    """Penguins by species: missing values, categories, three classes."""
    from sklearn.linear_model import LogisticRegression

    return serving.train(store, *serving.penguins(), LogisticRegression(max_iter=500))


@pytest.fixture(scope="session")
def other_species(store: Path) -> Model:
    """The same, another digest."""
    from sklearn.linear_model import LogisticRegression

    return serving.train(store, *serving.penguins(), LogisticRegression(C=0.01, max_iter=500))


@pytest.fixture(scope="session")
def price(store: Path) -> Model:
    """Diamonds by price: a regression."""
    from sklearn.linear_model import Ridge

    return serving.train(store, *serving.diamonds(), Ridge(), task="regression")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, store: Path, species: Model) -> Iterator[Deployment]:
    """A deployment with one worker, shared by the tests of a module that change nothing in it."""
    with deployed(tmp_path_factory.mktemp("up"), store, species) as running:
        yield running
