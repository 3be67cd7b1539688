"""From names to ids: one question for all who ask it at the same time, and none that is older."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drivers.contract import InvalidConfiguration
from drivers.openstack.client import CloudClient
from drivers.openstack.lookup import Selector, find

SMALL = Selector("flavor", name="small")


class Flavors(CloudClient):
    """Answers when it is let."""

    def __init__(self, *names: str) -> None:
        super().__init__("test", dict, lambda: None)
        self.names, self.asked, self.open = list(names), 0, asyncio.Event()

    async def rows(self, doing, service, path, table, query=None) -> list[dict[str, Any]]:
        self.asked += 1
        await self.open.wait()
        return [{"id": f"id-{number}", "name": name} for number, name in enumerate(self.names)]


async def test_fifty_who_ask_at_once_are_one_question():
    """Each gets an answer of its own; who asks later asks anew, for names move."""
    cloud = Flavors("large", "small")
    waiting = [asyncio.create_task(find(cloud, SMALL)) for _ in range(50)]
    await asyncio.sleep(0)
    cloud.open.set()
    answers = await asyncio.gather(*waiting)
    assert answers == [{"id": "id-1", "name": "small"}] * 50
    assert len({id(answer) for answer in answers}) == 50
    assert cloud.asked == 1
    cloud.names.reverse()
    assert await find(cloud, SMALL) == {"id": "id-0", "name": "small"}
    assert cloud.asked == 2


async def test_one_who_gives_up_takes_the_answer_from_nobody():
    """Cancelled or not: the others wait on."""
    cloud = Flavors("small")
    first, second = (asyncio.create_task(find(cloud, SMALL)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    cloud.open.set()
    assert (await second)["id"] == "id-0"


@pytest.mark.parametrize("names", [(), ("small", "small")], ids=["none", "two"])
async def test_what_is_not_one_is_refused_for_all_who_asked(names):
    """InvalidConfiguration, which names what was looked for."""
    cloud = Flavors(*names)
    cloud.open.set()
    found = await asyncio.gather(*(find(cloud, SMALL) for _ in range(3)), return_exceptions=True)
    assert {type(error) for error in found} == {InvalidConfiguration}
    assert all('flavor called "small"' in str(error) for error in found)
