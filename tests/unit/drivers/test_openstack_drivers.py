"""What the OpenStack drivers send, and what they make of an answer: against a client that only remembers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from drivers.contract import Absent, Conflict, Intent, InvalidConfiguration, Present, Step, Survey, Unknown
from drivers.openstack.client import Answer
from drivers.openstack.keys import KeyDriver
from drivers.openstack.lookup import Selector, find
from drivers.openstack.marks import described, mark, others, plain, read
from drivers.openstack.network import AddressDriver, GroupDriver, PortDriver
from drivers.openstack.servers import ServerDriver
from drivers.openstack.volumes import VolumeDriver
from tests.contract.harness import INSTALLATION, owner

OURS = owner()


class Cloud:
    """Answers reads from a table and keeps what was sent."""

    name = "test"

    def __init__(self, rows: dict[str, list[dict[str, Any]]] | None = None, answer: Any = None) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.tables, self.answer, self.asked = rows or {}, answer or {"thing": {"id": "new"}}, []

    async def write(self, doing: str, service: str, method: str, path: str, body: Any = None) -> Answer:
        self.sent.append((method, path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer(200, self.answer)

    async def read(self, doing: str, service: str, path: str, query: Any = None) -> Answer:
        return Answer(404, None)

    async def rows(self, doing: str, service: str, path: str, table: str, query: Any = None) -> list[Any]:
        self.asked.append((path, dict(query or {})))
        if isinstance(rows := self.tables.get(table, []), Exception):
            raise rows
        return rows

    async def close(self) -> None:
        """Nothing to close."""


def make(kind: Any, cloud: Cloud) -> Any:
    return kind(cloud, installation=INSTALLATION, settle_seconds=1.0)


CREATES = [
    (ServerDriver, "server", {"flavorRef": "f"}, lambda body: set(mark(OURS, "server")) <= set(body["server"]["tags"])),
    (PortDriver, "port/1", {"network_id": "n"}, lambda body: read(body["port"]["description"].split()).part == "port/1"),
    (AddressDriver, "address", {}, lambda body: read(body["floatingip"]["description"].split()).owner == OURS.uid),
    (GroupDriver, "group/0", {}, lambda body: read(body["security_group"]["description"].split()).owner == OURS.uid),
    (VolumeDriver, "volume/root", {"size": 1}, lambda body: body["volume"]["metadata"]["anneal-part"] == "volume/root"),
]


@pytest.mark.parametrize(("kind", "part", "change", "tagged"), CREATES, ids=[row[0].singular for row in CREATES])
async def test_a_create_is_one_call_that_carries_name_and_tag(kind, part, change, tagged):
    """Whose it is travels in the create itself."""
    cloud = Cloud()
    assert await make(kind, cloud).apply(Step("create", part, "", change), Intent(OURS, part, "the-name")) == "new"
    ((method, _, body),) = cloud.sent
    assert method == "POST"
    assert tagged(body)


async def test_a_key_carries_its_tag_in_its_name():
    """Nova knows no tags of key pairs, and takes the name for the id."""
    cloud = Cloud(answer={"keypair": {"name": "made"}})
    assert (
        await make(KeyDriver, cloud).apply(Step("create", "key", "", {"public_key": "k"}), Intent(OURS, "key", "the-name"))
        == "made"
    )
    name = cloud.sent[0][2]["keypair"]["name"]
    there = Cloud({"keypairs": [{"keypair": {"name": name, "public_key": "k"}}, {"keypair": {"name": "somebody_s"}}]})
    seen = await make(KeyDriver, there).observe(OURS, None, time.monotonic(), "key")
    assert isinstance(seen, Present)
    assert seen.live.name == "the-name"


async def test_a_server_without_ports_gets_none():
    """Nova would make one itself, and nobody would remove it."""
    cloud = Cloud()
    await make(ServerDriver, cloud).apply(Step("create", "server", "", {"group": "g"}), Intent(OURS, "server", "n"))
    assert cloud.sent[0][2]["server"]["networks"] == "none"
    assert cloud.sent[0][2]["os:scheduler_hints"] == {"group": "g"}


async def test_a_second_word_on_a_resize_is_no_wrong_spec():
    """Nova says "bad request" when it is confirming already: look again, do not stop for good."""
    cloud = Cloud(answer=InvalidConfiguration("Instance has not been resized."))
    with pytest.raises(Conflict):
        await make(ServerDriver, cloud).apply(
            Step("update", "server", "", {"confirmResize": None}, ref="s"), Intent(OURS, "server", "n")
        )


async def test_a_cell_that_is_down_is_not_an_empty_one():
    """Nova then shows rows without tags: nothing is concluded from them."""
    driver = make(ServerDriver, Cloud({"servers": [{"id": "s", "status": "UNKNOWN"}]}))
    assert isinstance(await driver.observe(OURS, None, time.monotonic(), "server"), Unknown)
    assert await make(ServerDriver, Cloud()).observe(OURS, "gone", time.monotonic(), "server") == Absent()


async def test_a_cloud_without_block_storage_has_no_volumes_of_ours():
    """A survey of it is empty, so that it keeps nothing else from being judged; to look for one is refused."""
    driver = make(VolumeDriver, Cloud({"volumes": InvalidConfiguration("no such service")}))  # type: ignore[dict-item]
    assert isinstance(await driver.survey(), Survey)
    assert isinstance(await driver.observe(OURS, None, time.monotonic(), "volume/root"), Unknown)


async def test_a_name_must_match_exactly_one():
    """None, or several: refused, with what was looked for. Nova's own name filter is not trusted: it is a regular expression."""
    rows = [{"id": "1", "name": "a.b"}, {"id": "2", "name": "axb"}, {"id": "3", "name": "twin"}, {"id": "4", "name": "twin"}]
    cloud: Any = Cloud({"flavors": rows})
    assert await find(cloud, Selector("flavor", name="a.b")) == {"id": "1", "name": "a.b"}
    with pytest.raises(InvalidConfiguration, match='called "nope"'):
        await find(cloud, Selector("flavor", name="nope"))
    with pytest.raises(InvalidConfiguration, match="2 match"):
        await find(cloud, Selector("flavor", name="twin"))


def test_marks_and_a_persons_words_share_a_description():
    """What a person wrote comes back as it was; our words are told apart."""
    text = described("up link", mark(OURS, "port/0"))
    assert plain(text) == "up link"
    assert read(text.split()).part == "port/0"
    assert plain(described("", mark(OURS, "port/0"))) == ""
    assert others(["b", *mark(OURS, "server", "d"), "a"]) == ("a", "b")
    assert all(
        len(tag) <= 60 and not set(tag) & set(",/") for tag in mark(owner(uid="0" * 36, installation="1" * 36), "volume/data-x")
    )


async def test_the_order_of_a_list_is_no_change():
    """Neutron shows the rules of a group in another order each time: nobody is woken by that, but by another rule."""
    rules = [
        {"id": str(n), "direction": "egress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": n, "port_range_max": n}
        for n in (22, 80, 443)
    ]
    row = {"id": "1", "name": "a", "created_at": "2026-01-01T00:00:00Z", "description": " ".join(mark(OURS, "group/0"))}

    async def prints(shown: list[dict[str, Any]]) -> dict[str, int]:
        survey = await make(GroupDriver, Cloud({"security_groups": [row | {"security_group_rules": shown}]})).survey()
        assert isinstance(survey, Survey)
        return survey.prints

    assert await prints(rules) == await prints(rules[::-1]) != await prints(rules[:2])


@pytest.mark.parametrize("kind", [PortDriver, AddressDriver, GroupDriver, KeyDriver, VolumeDriver])
async def test_what_cannot_be_narrowed_is_listed_once_for_all_who_ask(kind):
    """Neutron and Cinder know no filter by our mark: fifty questions at once are one list, not fifty of everything."""
    cloud = Cloud()
    driver, now = make(kind, cloud), time.monotonic()
    seen = await asyncio.gather(*(driver.observe(owner(str(number)), None, now) for number in range(50)))
    assert {type(answer) for answer in seen} == {Absent}
    assert len(cloud.asked) == 1
    await driver.close()
