"""What the tests of serving share: models that were really trained, and a deployment that really runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from tests.support import serving
from tests.support.serving import Deployment, Model, deployed


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model store."""
    return tmp_path_factory.mktemp("serving") / "models"


@pytest.fixture(scope="session")
def species(store: Path) -> Model:
    """Penguins by species: missing values, categories, three classes."""
    return serving.train(store, *serving.penguins(), LogisticRegression(max_iter=500))


@pytest.fixture(scope="session")
def other_species(store: Path) -> Model:
    """The same, another digest."""
    return serving.train(store, *serving.penguins(), LogisticRegression(C=0.01, max_iter=500))


@pytest.fixture(scope="session")
def price(store: Path) -> Model:
    """Diamonds by price: a regression."""
    return serving.train(store, *serving.diamonds(), Ridge(), task="regression")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, store: Path, species: Model) -> Iterator[Deployment]:
    """A deployment with one worker, shared by the tests of a module that change nothing in it."""
    with deployed(tmp_path_factory.mktemp("up"), store, species) as running:
        yield running


def row(model: Model, i: int = 0) -> dict[str, Any]:
    """A held-out row."""
    return {name: values[i] for name, values in model.held_out.items()}


def tensors(model: Model, count: int = 1) -> dict[str, Any]:
    """Held-out rows as an inference request."""
    datatypes = {str: "BYTES", float: "FP64", int: "INT64", bool: "BOOL"}
    inputs = []
    for name, values in model.held_out.items():
        kind = next((type(value) for value in values if value is not None), float)
        inputs.append({"name": name, "shape": [count], "datatype": datatypes[kind], "data": values[:count]})
    return {"inputs": inputs}
