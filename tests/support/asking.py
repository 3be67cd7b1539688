"""Clients of a deployment: one that asks, one that asks and comes back later, and many that ask all the time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import requests

from tests.support.serving import Deployment, Model

LATER = {"Prefer": "respond-async"}


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


def ask(up: Deployment, model: Model, **values: Any) -> requests.Response:
    """Ask and wait, with some values of the first held-out row changed."""
    return requests.post(f"{up.url}/predict", json={**row(model), **values}, timeout=120)


def later(up: Deployment, values: dict[str, Any]) -> str:
    """Ask without waiting; where to look."""
    answer = requests.post(f"{up.url}/predict", json=values, headers=LATER, timeout=30)
    assert answer.status_code == 202, answer.text
    return up.url + answer.headers["Location"]


def ended(up: Deployment, where: str) -> dict[str, Any]:
    """The answer, once it is there."""
    up.until(lambda: requests.get(where, timeout=30).status_code == 200)
    found: dict[str, Any] = requests.get(where, timeout=30).json()
    return found


class Load:
    """Clients that ask all the time and keep account of what they got."""

    def __init__(self, deployment: Deployment, model: Model, clients: int = 8) -> None:
        self.codes: Counter[Any] = Counter()
        self._over = threading.Event()
        self._deployment, self._row = deployment, row(model)
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._over.is_set():
                try:
                    answer = session.post(f"{self._deployment.url}/predict", json=self._row, timeout=90)
                    self.codes[answer.status_code, answer.json().get("model", {}).get("revision")] += 1
                except requests.RequestException as error:
                    self.codes[type(error).__name__, None] += 1

    def until(self, true: Callable[[], bool]) -> None:
        """Go on until something holds."""
        self._deployment.until(true)

    def more(self, count: int = 50) -> None:
        """Go on for some more answers."""
        goal = self.total + count
        self.until(lambda: self.total >= goal)

    @property
    def total(self) -> int:
        """Answers so far."""
        return sum(self.codes.values())
