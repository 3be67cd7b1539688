"""Configs, secrets and networks: what an engine goes on to list of what the Swarm has removed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from drivers.contract import Absent, Owner, Present
from drivers.swarm import tags
from drivers.swarm.items import NETWORKS, ItemDriver

OWNER = Owner("here", "ModelDeployment", "default", "penguins", "u-1")


class Lingering:
    """A manager that lists a network which it was told to remove, as long as a container in it is being stopped."""

    name = "swarm"
    row = {"Id": "n-1", "Name": "net", "Labels": tags.labels(OWNER, "network"), "Created": "2026-11-22T00:00:00Z"}

    def __init__(self) -> None:
        self.removals = 0

    async def read(self, _doing: str, _call: Callable[[Any], Any]) -> list[dict[str, Any]]:
        return [self.row]

    async def look(self, _doing: str, _call: Callable[[Any], Any]) -> dict[str, Any]:
        return self.row

    async def remove(self, _doing: str, _call: Callable[[Any], Any]) -> None:
        self.removals += 1


@pytest.mark.parametrize("ref", [None, "n-1"])
async def test_what_the_swarm_removed_is_gone_though_an_engine_lists_it(ref: str | None) -> None:
    """Looked for by tag and by id; nothing waits for containers that stop, and nothing is removed a second time."""
    docker = Lingering()
    driver = ItemDriver(docker, NETWORKS, installation="here")  # type: ignore[arg-type]
    assert isinstance(await driver.observe(OWNER, ref, time.monotonic(), "network"), Present)
    await driver.destroy("n-1")
    assert isinstance(await driver.observe(OWNER, ref, time.monotonic(), "network"), Absent)
    assert docker.removals == 1
