"""The harnesses of what is only looked at: this machine, tables, models, Rays that are there. None is made or removed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.contract import Driver, Fence
from drivers.local.driver import LocalDriver
from drivers.local.models import StoreDriver
from drivers.local.tables import Tables
from drivers.ray.local import EndpointDriver
from tests.contract.harness import Hook

NOTHING_TO_FAKE = "it is somebody else's: nothing of it is made, and what it shows is tested with the driver"


class Local:
    """Every hook that needs something made or broken is declared impossible here, once."""

    cannot = dict.fromkeys(Hook, NOTHING_TO_FAKE)
    secret = ""

    def __init__(self, name: str = "local", part: str = "host", make: Callable[[], Driver[Any]] = LocalDriver) -> None:
        self.name, self.part, self._make = name, part, make

    def reset(self) -> None:
        """The world stays as it is."""

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The one driver."""
        return self._make()


def _store() -> StoreDriver:
    folder = Path(tempfile.gettempdir())
    return StoreDriver(str(folder), folder / "anneal-no-cache")


LOOKED_AT = [
    Local(),
    Local("local-table", "table", lambda: Tables().at(tempfile.gettempdir())),
    Local("local-model", "model", _store),
    Local("ray-endpoint", "endpoint", EndpointDriver),
]
"""One harness for each."""
