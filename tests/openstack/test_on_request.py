"""What a person asks for, on the real cloud: a rebuild, the unhealthy replaced, user data by role, quotas in the status."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable

import pytest

from specs.meta import REBUILD_ANNOTATION
from tests.openstack.real import Real
from tests.openstack.world import MACHINES, CloudWorld, running
from tests.support.daemon import DaemonProcess
from tests.support.world import ask, because, parts

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def world(real: Real, homes: Callable[[str], DaemonProcess]) -> AsyncIterator[CloudWorld]:
    async with running(real, homes("direct")) as there:
        yield there


async def test_a_rebuild_is_done_once_and_in_place(world: CloudWorld, real: Real) -> None:
    """The same server, port and address list; Nova's own record holds one rebuild, though metadata change before and after."""
    await world.create("m", serverMetadata=[{"key": "a", "value": "b"}])
    before = parts(await world.ready("m"))
    for value in ("first", "first", None):
        await world.client.patch(MACHINES, "default", "m", {"metadata": {"annotations": {REBUILD_ANNOTATION: value}}})
        await world.until("m", lambda _: actions(real, before["server"]).count("rebuild") == 1)
        await world.ready("m")
    await world.edit("m", serverMetadata=[{"key": "a", "value": "c"}])
    await world.until("m", lambda _: real.sdk.compute.get_server(before["server"]).metadata.get("a") == "c")
    assert parts(await world.ready("m")) == before
    assert actions(real, before["server"]).count("rebuild") == 1
    assert len((await world.of("m"))["servers"]) == 1


async def test_one_that_stays_stopped_is_replaced_if_the_spec_says_so(world: CloudWorld, real: Real) -> None:
    """Ready=False for its timeout: another server on the same port, and never a second one beside it."""
    check = {"unhealthyConditions": [{"type": "Ready", "timeoutSeconds": 2}], "maxUnhealthy": "1"}
    await world.create("m", spec={"machineHealthCheck": check})
    await world.create("untouched")
    before, other = parts(await world.ready("m")), parts(await world.ready("untouched"))
    for ref in (before["server"], other["server"]):
        real.sdk.compute.stop_server(ref)
    await world.until("untouched", because("Stopped"))
    await world.until("m", because("BreakerOpen"))
    real.sdk.compute.start_server(other["server"])
    await world.ready("untouched")
    await world.until("m", lambda obj: parts(obj).get("server") not in (None, before["server"]))
    after = parts(await world.ready("m"))
    assert after["port/0"] == before["port/0"]
    there = await world.of("m")
    assert (len(there["servers"]), len(there["ports"])) == (1, 1)
    assert parts(await world.ready("untouched")) == other


async def test_nova_takes_the_user_data_of_a_role(world: CloudWorld, real: Real) -> None:
    """As it was rendered, both parts of it."""
    ray = {"version": "2.60.0", "headAddress": "10.0.0.4"}
    await world.create("m", cloudInit={"role": "rayWorker", "ray": ray}, userData="#!/bin/sh\ntrue\n")
    server = parts(await world.ready("m"))["server"]
    shown = real.admin.compute.get_server(server).user_data
    text = base64.b64decode(shown).decode()
    assert "ray start --address=10.0.0.4:6379" in text
    assert "#!/bin/sh\ntrue\n" in text


async def test_the_status_tells_what_is_used_of_the_quotas(world: CloudWorld, real: Real) -> None:
    """As Nova and Neutron tell it themselves, and without a Machine having to ask for it."""
    await world.create("m")
    await world.ready("m")
    _, text = await ask(world.daemon, "/anneal/v1/status")
    (cloud,) = json.loads(text)["clouds"]
    assert cloud["error"] is None
    told = {row["resource"]: (row["used"], row["limit"]) for row in cloud["quotas"]}
    limits = real.sdk.compute.get("/limits", microversion="2.79").json()["limits"]["absolute"]
    assert told["instances"] == (1, limits["maxTotalInstances"])
    assert told["cores"] == (limits["totalCoresUsed"], limits["maxTotalCores"])
    ports = real.sdk.network.get_quota(real.project, details=True).ports
    assert told["ports"] == (ports["used"], ports["limit"])


def actions(real: Real, server: str) -> list[str]:
    """What was done to a server, by Nova's record."""
    return [row.action for row in real.sdk.compute.server_actions(server)]
