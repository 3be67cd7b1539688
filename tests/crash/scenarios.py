"""What the sweep crashes: one short piece of a Machine's life each, with how to begin it and how to tell that it is over.

`points` is how many crash points a clean run passes; test_sweep.py checks that it is not less than what a run learns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from reconciler.client import ApiError, Object
from tests.support.world import MACHINES, World, settled

PAIR = {"key": "role", "value": "worker"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`begin` may be called again after a crash: it is what a person, or a script, would repeat."""

    points: int
    begin: Callable[[World, str], Awaitable[Any]]
    over: Callable[[Object | None], bool]
    exists: bool = True
    """Whether the Machine is there and Ready before it begins."""


async def create(world: World, name: str) -> None:
    """Ask for a Machine with two ports and an address."""
    try:
        await world.create(name, 2, floatingIP=True, serverMetadata=[PAIR])
    except ApiError as error:
        if error.code != 409:
            raise


async def change(world: World, name: str) -> None:
    """Change what can be changed in place."""
    await world.edit(name, serverMetadata=[{"key": "role", "value": "head"}], floatingIP=False)


async def replace(world: World, name: str) -> None:
    """Change what only another server can have."""
    await world.edit(name, flavor="large", ports=[{"network": "net-1"}])


async def delete(world: World, name: str) -> None:
    """Ask for deletion."""
    await world.client.delete(MACHINES, "default", name)


def gone(obj: Object | None) -> bool:
    """There is no such Machine."""
    return obj is None


def quiet(obj: Object | None) -> bool:
    """It is Ready, and nothing more will happen."""
    return obj is not None and settled(obj)


SCENARIOS = {
    "create": Scenario(17, create, quiet, exists=False),
    "change": Scenario(5, change, quiet),
    "replace": Scenario(16, replace, quiet),
    "delete": Scenario(9, delete, gone),
}
