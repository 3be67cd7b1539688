"""The driver of this machine: always there, nothing to create, nothing to remove."""

from __future__ import annotations

import time

from drivers.contract import Intent, InvalidConfiguration, Owner, Present, Step, Survey
from drivers.local.facts import Cached, Facts

REF = "this-machine"


class LocalDriver:
    """Any number of objects may be this machine."""

    name = "local/machine"
    settle_seconds = 0.0

    def __init__(self) -> None:
        self._facts = Cached()

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Present[Facts]:
        """It is there: somebody had to ask."""
        return Present(REF, self._facts(after))

    async def apply(self, step: Step, intent: Intent) -> str:
        """Refuse: this machine cannot be made or changed."""
        raise InvalidConfiguration(f"cannot {step.verb} {step.part}: this machine is only looked at; use another provider")

    async def destroy(self, ref: str) -> None:
        """Refuse: this machine stays."""
        raise InvalidConfiguration(f"cannot delete {ref}: this machine is only looked at; nothing was done")

    async def survey(self) -> Survey:
        """Nothing carries a tag here, and nobody needs waking."""
        return Survey(time.monotonic(), frozenset({REF}), {})

    async def close(self) -> None:
        """Nothing to close."""
