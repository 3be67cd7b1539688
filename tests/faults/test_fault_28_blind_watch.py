"""Fault 28: the watch hears nothing, though nothing was said to be over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.proxy import Proxy
from tests.support.apiprocess import ApiProcess
from tests.support.cloud import CloudProcess
from tests.support.daemon import until
from tests.support.world import World, ask, external_world

SETTINGS = {"ANNEAL_LEASE_SECONDS": "1.5"}


async def readyz(world: World) -> tuple[int, str]:
    """What the daemon says of itself."""
    return await ask(world.daemon, "/readyz")


async def started(world: World) -> None:
    """The daemon runs, leads and sees, and has one Machine."""
    await world.daemon.start()
    await until(lambda: is_ready(world))
    await world.create("m", 1)
    await world.ready("m")


async def is_ready(world: World) -> bool:
    """Whether /readyz says so."""
    return (await readyz(world))[0] == 200


async def is_blind(world: World) -> bool:
    """Whether /readyz says that it is not."""
    return (await readyz(world))[0] == 503


async def test_a_cut_cable(apart: World, between: Proxy) -> None:
    """Nothing goes through and nothing is closed: it is noticed, told, and afterwards no deletion was missed."""
    await started(apart)
    between.silent()
    await until(lambda: is_blind(apart))
    await apart.delete("m")
    await apart.create("n")
    between.silent(False)
    await apart.gone("m", 30)
    await apart.ready("n", 30)
    await until(lambda: is_ready(apart))
    assert apart.total() == {"servers": 1}


async def test_a_deaf_watch(apart: World, between: Proxy) -> None:
    """Only the open watches are silent, all else answers: it is noticed, and nothing is missed."""
    await started(apart)
    between.mute_watches()
    opened = between.watches
    await apart.delete("m")
    await apart.create("n")
    await apart.gone("m", 30)
    await apart.ready("n", 30)
    await until(lambda: between.watches > opened, say=lambda: "the watches were not opened anew")


async def test_too_old(apart: World, between: Proxy) -> None:
    """410 Gone in the stream: listed anew, nothing missed, and the daemon lives."""
    await started(apart)
    for number in range(3):
        await between.say_gone()
        await apart.create(f"n-{number}")
        await apart.ready(f"n-{number}", 30)
    await apart.delete("m")
    await apart.gone("m", 30)
    assert apart.daemon.alive


@pytest.mark.parametrize("sabotage", ["kopf", "handler"])
async def test_a_task_dies(sabotage: str, cloud: CloudProcess, api: ApiProcess, tmp_path: Path) -> None:
    """What watches dies, or what is told chokes: it is started again, and nothing is missed."""
    cloud.admin.reset()
    trigger = tmp_path / "trigger"
    env = SETTINGS | {"ANNEAL_SABOTAGE": f"{sabotage}:{trigger}"}
    async with external_world(cloud, tmp_path / "home", api.kubeconfig, env=env) as world:
        world.daemon.module = "tests.faults.sabotaged"
        await started(world)
        trigger.touch()
        await world.create("n")
        await world.ready("n", 30)
        await world.delete("m")
        await world.gone("m", 30)
        assert world.daemon.alive
        assert not trigger.exists(), "it did not die"


async def test_ready_says_when_nothing_can_be_listed(apart: World, between: Proxy) -> None:
    """Not ready before the first lists, ready after them."""
    between.silent()
    await apart.daemon.start(wait=False)
    assert not apart.daemon.home.pidfile.exists()
    between.silent(False)
    await until(lambda: apart.daemon.home.pidfile.exists(), 40)
    await until(lambda: is_ready(apart))
