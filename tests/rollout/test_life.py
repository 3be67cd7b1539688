"""More workers and fewer, down and up, and the end: with people who ask all the while."""

from __future__ import annotations

import pytest

from drivers.local.processes import leftovers
from reconciler.client import ours
from tests.support.daemon import until
from tests.support.theatre import Load, Stage, asked, quiet, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_more_workers_and_fewer_without_a_lost_request(at: Stage) -> None:
    """1, 3, 1 and a change of the model: every single request is answered."""
    load = Load(status(await at.deployment())["url"])
    with load.on():
        for count in (3, 1):
            await load.more()
            await at.edit("modeldeployments", {"predictor": {"minReplicas": count}})
            await at.until(lambda obj, count=count: quiet(obj) and status(obj)["readyReplicas"] == count)
            assert sum(part.startswith("worker/") for part in at.processes()) == count
        await load.more()
        await at.show("better")
        await at.serves("better")
        await load.more()
    assert load.wrong == []
    assert load.answered > 100


async def test_down_and_up_again(at: Stage) -> None:
    """`down --keep-running` leaves who serves alone; `down` ends all; up again, it is the same revision on the same port."""
    await at.show("better")
    before = await at.serves("better")
    url, serving = status(before)["url"], at.processes()
    assert at.cli("down", "--keep-running").code == 0
    assert not at.daemon.alive
    assert asked(url).status_code == 200
    assert at.processes() == serving
    down = at.cli("down")
    assert "local process" in down.out
    assert at.processes() == {}
    await at.daemon.start()
    after = await at.until(lambda obj: quiet(obj) and at.processes())
    await until(lambda: asked(url).status_code == 200, 30)
    keys = ("url", "revision", "digest", "revisions")
    assert [status(after).get(key) for key in keys] == [status(before).get(key) for key in keys]
    assert at.processes().keys() == serving.keys()
    assert not set(at.processes().values()) & set(serving.values())


async def test_what_is_deleted_leaves_nothing(at: Stage) -> None:
    """Processes, folders, ports: all gone; the models stay in the store."""
    home = at.daemon.home
    pids, folders = at.processes(), [home.units / row["name"] for row in at.lab.units()]
    assert pids
    for plural in ("modeldeployments", "experiments"):
        assert at.cli("delete", plural, "penguins", "--timeout=60s").code == 0
    assert at.processes() == {}
    assert [pid for folder in folders for pid in leftovers(folder)] == []
    assert list(home.serving.iterdir()) == []
    assert list(home.runs.iterdir()) == []
    assert {row["tag"]["part"] for row in at.lab.units()} == {"profile"}
    assert (await at.lab.client.list(ours("modelversions")))[0] == []
    assert sorted(f"sha256:{path.name}" for path in home.models.iterdir()) == sorted(at.models.values())
