"""Fault 18: the cloud says that there is no room, or not so fast, or not for you."""

from __future__ import annotations

import pytest

from tests.support.cloud import fault
from tests.support.daemon import condition_of, until
from tests.support.world import MACHINES, World, because, message

SETTINGS = {"ANNEAL_RETRY_SCALE": "0.01"}
ROOMS = {
    "Nova: 403": (fault("quota", path="^/servers"), "56 of 60 cores"),
    "Neutron: 409 OverQuota": (fault("over_quota", path="^/ports"), "50 of 50 in use"),
    "Cinder: 413": (fault("too_large", path="^/servers"), "Maximum number of volumes allowed (10)"),
}


@pytest.mark.parametrize(("rule", "words"), ROOMS.values(), ids=ROOMS)
async def test_a_quota_is_told_with_its_numbers(rule: dict, words: str, world: World) -> None:
    """QuotaExceeded, in the cloud's words; once there is room the Machine gets Ready without an edit."""
    world.admin.faults(rule)
    await world.create("m", 1)
    obj = await world.until("m", because("QuotaExceeded"))
    assert words in message(obj)
    assert condition_of(obj, "Progressing")["status"] == "True"
    world.admin.faults()
    await world.ready("m", 20)
    assert world.total() == {"servers": 1, "ports": 1}


async def test_a_real_quota(world: World) -> None:
    """Room for two of three: two get Ready, the third waits, and gets its server when the quota is raised."""
    world.admin.settings(quotas={"cores": 2})
    for name in "abc":
        await world.create(name)
    await until(lambda: len(world.admin.servers()) == 2)
    waiting = [name for name in "abc" if not await _is_ready(world, name)]
    await world.until(waiting[-1], because("QuotaExceeded"))
    world.admin.settings(quotas={"cores": 10})
    for name in "abc":
        await world.ready(name, 20)
    assert len(world.admin.creates("servers")) == 3


async def test_a_policy_is_another_matter(world: World) -> None:
    """403 for a policy is Forbidden, not a quota, and says so in the cloud's words."""
    world.admin.faults(fault("forbidden", method="POST"))
    await world.create("m")
    obj = await world.until("m", because("Forbidden"))
    assert "Policy doesn't allow" in message(obj)


async def test_retry_after_is_honoured(world: World) -> None:
    """429 with Retry-After: 3: the next attempt comes no sooner."""
    world.admin.faults(fault("rate_limited", method="POST", count=1, retry_after=3))
    await world.create("m")
    obj = await world.until("m", because("RateLimited"))
    assert message(obj)
    await world.ready("m", 20)
    first, second = [entry for entry in world.admin.log() if entry["method"] == "POST"]
    assert second["time"] - first["time"] >= 3.0


async def test_reads_that_come_too_fast(world: World) -> None:
    """429 on reads: nothing is concluded from it, and it passes by itself."""
    await world.create("m", 1)
    await world.ready("m")
    requests = len(world.admin.log())
    world.admin.faults(fault("rate_limited", method="GET", retry_after=1))
    await until(lambda: sum(world.admin.hits()) >= 6)
    assert len(world.admin.log()) == requests
    world.admin.faults()
    await world.ready("m", 20)


class TestWithProductionPauses:
    """The pauses as they are in production."""

    @pytest.fixture
    def settings(self) -> dict[str, str]:
        """No shortening."""
        return {"ANNEAL_RETRY_SCALE": "1"}

    @pytest.mark.parametrize("name", ["quota", "forbidden"])
    async def test_refusals_are_not_repeated_fast(self, name: str, world: World) -> None:
        """One attempt, and the next in a minute or more: also over a restart, and whatever else wakes the Machine."""
        world.admin.faults(fault(name, method="POST"))
        await world.create("m")
        await world.until("m", because("QuotaExceeded" if name == "quota" else "Forbidden"))
        world.daemon.kill()
        await world.daemon.start()
        await world.annotate("m", "look", "again")
        await world.client.patch(MACHINES, "default", "m", {"metadata": {"labels": {"look": "again"}}})
        await world.rounds(3)
        assert len(world.admin.log()) == 1


async def _is_ready(world: World, name: str) -> bool:
    return condition_of(await world.get(name)).get("status") == "True"
