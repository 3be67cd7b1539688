"""kill -9 in the middle of a sync: the next daemon ends where an undisturbed one would have."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from specs.meta import SOURCE_LABEL
from tests.sources.conftest import MACHINES, World, machine
from tests.support import apiserver

PROGRAM = """
import asyncio, sys
from pathlib import Path
from specs.meta import SOURCE_LABEL
from tests.sources.conftest import World
from tests.support import apiserver

async def main(home, folder):
    async with apiserver.running(home) as server:
        world = World(folder, server)
        async with world.followed():
            await world.has("a", "c", "d")

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""
POINTS = ["apply machine/default/c", "apply machine/default/d", "delete machine/default/b"]
ROOT = Path(__file__).parents[2]


def simulated(flavor):
    return {"simulated": {"endpoint": "http://127.0.0.1:1", "flavor": flavor}}


async def prepared(tmp_path):
    """A server that holds a, b and c of a folder which by now wants a, another c, and d."""
    folder = tmp_path / "specs"
    folder.mkdir()
    async with apiserver.running(tmp_path / "home") as server:
        world = World(folder, server)
        world.write("all.yaml", "a", "b", "c", **simulated("small"))
        async with world.followed():
            await world.has("a", "b", "c")
        before = {name: obj["metadata"]["uid"] for name, obj in (await world.machines()).items()}
    (folder / "all.yaml").write_text(machine("a", **simulated("small")))
    (folder / "c.yaml").write_text(machine("c", **simulated("large")))
    (folder / "d.yaml").write_text(machine("d", **simulated("small")))
    return folder, before


def disturbed(tmp_path, **env):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "home"), str(tmp_path / "specs")]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT), **env}, capture_output=True, timeout=60)


async def test_the_points_of_a_sync(tmp_path):
    """What the sweep below kills at: every write of a sync is a point, the deletes last."""
    await prepared(tmp_path)
    done = await asyncio.to_thread(disturbed, tmp_path, ANNEAL_CRASH_COUNT=str(tmp_path / "points"))
    assert done.returncode == 0, done.stderr.decode()
    labels = [json.loads(line)["label"] for line in (tmp_path / "points").read_text().splitlines()]
    assert set(POINTS) <= set(labels)
    assert labels[-1] == POINTS[-1]


@pytest.mark.parametrize("phase", ["before", "sent", "after"])
@pytest.mark.parametrize("k", [2, 3, 4])
async def test_killed_in_the_middle(tmp_path, k, phase):
    """Killed at the k-th write of a sync: a new daemon applies what is missing, deletes what is gone, and keeps the rest."""
    folder, before = await prepared(tmp_path)
    done = await asyncio.to_thread(disturbed, tmp_path, ANNEAL_CRASH_AT=f"{k}:{phase}")
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    async with apiserver.running(tmp_path / "home") as server:
        world = World(folder, server)
        async with world.followed() as status:
            await world.has("a", "c", "d")
            machines = await world.machines()
            flavors = {name: obj["spec"]["simulated"]["flavor"] for name, obj in machines.items()}
            assert flavors == {"a": "small", "c": "large", "d": "small"}
            assert machines["a"]["metadata"]["uid"] == before["a"]
            assert machines["c"]["metadata"]["uid"] == before["c"]
            await world.becomes("Synced")
            assert len((await world.client.list(MACHINES, labels=f"{SOURCE_LABEL}={status['id']}"))[0]) == 3
