"""Somebody whose requests are accepted, to be answered later: every one of them must be, whatever happens meanwhile."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import requests

PATIENCE = 180.0
LATER = {"Prefer": "respond-async"}


@dataclass(slots=True)
class Accepting:
    """Posts so often from entering the block to leaving it; on leaving, waits until all that was accepted is answered."""

    url: str
    row: dict[str, Any]
    every: float = 0.2
    """Seconds between two."""
    accepted: list[str] = field(default_factory=list)
    """Where their answers will be."""
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    """What was not accepted, or accepted and lost."""
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Accepting:
        self._thread = threading.Thread(target=self._post, name="accepting")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()
        end, left = time.monotonic() + PATIENCE, self.accepted
        while left and time.monotonic() < end:
            if left := [where for where in left if not self._is_answered(where)]:
                time.sleep(0.2)
        self.answered = len(self.accepted) - len(left)
        self.failures += [f"accepted and not answered: {where}: {_said(where)}" for where in left]

    def stop(self) -> None:
        """Post no more; answers are waited for on leaving."""
        self._over.set()

    def _post(self) -> None:
        with requests.Session() as session:
            while not self._over.wait(self.every):
                try:
                    said = session.post(f"{self.url}/predict", json=self.row, headers=LATER, timeout=30)
                except requests.RequestException as error:
                    self.failures.append(f"not accepted: {type(error).__name__}: {error}")
                    continue
                if said.status_code == 202:
                    self.accepted.append(f"{self.url}{said.json()['location']}")
                else:
                    self.failures.append(f"not accepted: {said.status_code}: {said.text[:200]}")

    def _is_answered(self, where: str) -> bool:
        try:
            answer = requests.get(where, timeout=30)
        except requests.RequestException:
            return False
        return answer.status_code == 200 and answer.json()["state"] == "SUCCEEDED"


def _said(where: str) -> str:
    """How a request stands, for whoever reads the failure."""
    try:
        return requests.get(where, timeout=30).text[:500]
    except requests.RequestException as error:
        return repr(error)
