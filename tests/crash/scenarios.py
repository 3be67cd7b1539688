"""What the sweep crashes: one short piece of a Machine's life each, with how to begin it and how to tell that it is over.

`points` is how many crash points a clean run passes; test_sweep.py checks that it is not less than what a run learns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from reconciler.client import ApiError, ApiUnavailable, Object
from tests.support.daemon import machine
from tests.support.world import MACHINES, World, ask, settled

PAIR = {"key": "role", "value": "worker"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`begin` may be called again after a crash: it is what a person, or a script, would repeat."""

    points: int
    begin: Callable[[World, str], Awaitable[Any]]
    over: Callable[[Object | None], bool]
    before: Callable[[World, str], Awaitable[Any]] | None = None
    """Makes the Machine that it is about, if there is one before; it is Ready when the scenario begins."""


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


async def write_file(world: World, name: str) -> None:
    """Put a Machine into the folder that the daemon follows; have it follow the folder, if it does not yet."""
    folder = world.daemon.root / "specs"
    folder.mkdir(exist_ok=True)
    manifest = machine(name, simulated=world.spec(1))
    draft = folder / f".{name}"
    draft.write_text(yaml.safe_dump(manifest))
    draft.rename(folder / f"{name}.yaml")
    await follow(world, folder)


async def remove_file(world: World, name: str) -> None:
    """Take the Machine's file away."""
    (world.daemon.root / "specs" / f"{name}.yaml").unlink(missing_ok=True)


async def follow(world: World, folder: Path) -> None:
    """`anneal up -d DIR`; ApiUnavailable if the daemon dies over it."""
    try:
        status, text = await ask(world.daemon, "/anneal/v1/sources", {"path": str(folder)})
    except aiohttp.ClientError as error:
        raise ApiUnavailable(str(error)) from error
    assert status == 200, text


def gone(obj: Object | None) -> bool:
    """There is no such Machine."""
    return obj is None


def quiet(obj: Object | None) -> bool:
    """It is Ready, and nothing more will happen."""
    return obj is not None and settled(obj)


SCENARIOS = {
    "create": Scenario(17, create, quiet),
    "change": Scenario(5, change, quiet, before=create),
    "replace": Scenario(16, replace, quiet, before=create),
    "delete": Scenario(9, delete, gone, before=create),
    "file": Scenario(10, write_file, quiet),
    "no-file": Scenario(7, remove_file, gone, before=write_file),
}
