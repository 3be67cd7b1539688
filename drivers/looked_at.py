"""The base of drivers of things that are only looked at: never made, never changed, never removed."""

from __future__ import annotations

import time

from drivers.contract import Intent, InvalidConfiguration, Step, Survey, Unknown


class LookedAt:
    """Refuses every change. Subclasses have a name, and observe."""

    name = ""
    settle_seconds = 0.0

    async def apply(self, step: Step, intent: Intent) -> str:
        """Refuse."""
        raise InvalidConfiguration(f"cannot {step.verb} {step.part}: it is only looked at; nothing was done")

    async def destroy(self, ref: str) -> None:
        """Refuse."""
        raise InvalidConfiguration(f"cannot delete {ref}: it is only looked at; nothing was done")

    async def survey(self) -> Survey | Unknown:
        """Nothing here carries our tag."""
        return Survey(time.monotonic(), frozenset(), {})

    async def close(self) -> None:
        """Nothing to close."""
