"""The harness of this machine, which cannot be made, broken or removed for a test."""

from __future__ import annotations

from typing import Any

from drivers.contract import Driver, Fence
from drivers.local.driver import LocalDriver
from tests.contract.harness import Hook

NOTHING_TO_FAKE = "this machine is always there, and nothing is asked over a network"


class Local:
    """Every hook that needs something made or broken is declared impossible here, once."""

    name = "local"
    part = "host"
    cannot = dict.fromkeys(Hook, NOTHING_TO_FAKE)
    secret = ""

    def reset(self) -> None:
        """The machine stays as it is."""

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The one driver."""
        return LocalDriver()
