"""Quota use in `anneal status`: one read for all who ask, and nobody waits for a cloud that is silent."""

from __future__ import annotations

import asyncio

import pytest

from drivers.contract import Unreachable
from drivers.openstack.quota import Use
from reconciler.engine.clock import SystemClock
from reconciler.quotas import Quotas


class Cloud:
    """Counts how often it is asked, and answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = False

    async def read(self, account: str) -> list[Use]:
        self.asked.append(account)
        await self.open.wait()
        if self.away:
            raise Unreachable("cannot read the quotas: nobody there")
        return [Use("cores", len(self.asked), 8)]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


async def test_one_read_serves_all_who_ask(cloud):
    """At once or one after the other: the cloud is asked once in a while, however many ask us."""
    quotas = Quotas(cloud.read, SystemClock())
    answers = await asyncio.gather(*(quotas.of(["a"]) for _ in range(20)))
    answers += [await quotas.of(["a"])]
    assert cloud.asked == ["a"]
    assert {(row["error"], str(row["quotas"])) for (row,) in answers} == {
        (None, str([{"resource": "cores", "used": 1, "limit": 8}]))
    }
    await quotas.of(["a", "b"])
    assert cloud.asked == ["a", "b"]


async def test_a_silent_cloud_holds_up_nobody(cloud):
    """Who asks is told that there is no answer yet; the answer that comes later serves the next one."""
    quotas = Quotas(cloud.read, SystemClock(), patience=0.0)
    cloud.open.clear()
    (row,) = await quotas.of(["a"])
    assert (row["error"], row["quotas"]) == ("no answer yet", [])
    cloud.open.set()
    while not (row := (await quotas.of(["a"]))[0])["quotas"]:
        await asyncio.sleep(0)
    assert (row["error"], cloud.asked) == (None, ["a"])


async def test_what_was_known_is_shown_beside_the_reason_why_it_is_not_newer(cloud):
    """A cloud that went away: the last figures with their time, and its words; when it is back these are gone."""
    quotas = Quotas(cloud.read, SystemClock(), keep_seconds=0.0)
    (before,) = await quotas.of(["a"])
    cloud.away = True
    (row,) = await quotas.of(["a"])
    assert (row["quotas"], row["asOf"]) == (before["quotas"], before["asOf"])
    assert "nobody there" in row["error"]
    cloud.away = False
    (row,) = await quotas.of(["a"])
    assert (row["error"], row["quotas"][0]["used"]) == (None, 3)


async def test_accounts_that_nobody_uses_any_more_are_forgotten(cloud):
    """No Machine lives there: nothing is said of it, and nothing is asked."""
    quotas = Quotas(cloud.read, SystemClock())
    await quotas.of(["a"])
    assert await quotas.of([]) == []
    await quotas.of(["a"])
    assert cloud.asked == ["a", "a"]
