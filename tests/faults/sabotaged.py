"""The daemon with a fault planted in it: ANNEAL_SABOTAGE=<what>:<file>. The fault strikes once the file exists."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from reconciler import daemon, informer
from reconciler.kinds.machine import MachineKind

WHAT, _, FILE = os.environ["ANNEAL_SABOTAGE"].partition(":")


def armed(*, once: bool = True) -> bool:
    """Whether the fault is to strike now."""
    file = Path(FILE)
    if not file.exists():
        return False
    if once:
        file.unlink()
    return True


def kopf_dies() -> None:
    """kopf exits with an error."""
    honest = informer.kopf.operator

    async def operator(**options: Any) -> None:
        async def wait_for_it() -> None:
            while not armed():
                await asyncio.sleep(0.02)
            raise RuntimeError("kopf is dead")

        async with asyncio.TaskGroup() as group:
            group.create_task(honest(**options))
            group.create_task(wait_for_it())

    informer.kopf.operator = operator


def handler_chokes() -> None:
    """What is told of a change raises."""
    honest = daemon.Daemon._heard

    def heard(self: Any, *args: Any) -> None:
        if armed():
            raise RuntimeError("choked")
        honest(self, *args)

    daemon.Daemon._heard = heard  # type: ignore[method-assign]


def plan_raises() -> None:
    """plan() raises for every Machine whose name begins with "poison"."""
    honest = MachineKind.plan

    def plan(self: MachineKind, obj: Any, *args: Any) -> Any:
        if obj.metadata.name.startswith("poison"):
            raise ZeroDivisionError(f"secret-in-a-traceback {obj.metadata.name}")
        return honest(self, obj, *args)

    MachineKind.plan = plan  # type: ignore[method-assign]


{"kopf": kopf_dies, "handler": handler_chokes, "plan": plan_raises}[WHAT]()

if __name__ == "__main__":
    sys.exit(daemon.main())
