"""A broker and a store that are there already: used by their URLs from a Secret, and by others when that changes."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis

from reconciler.client import SECRETS
from tests.support.daemon import until
from tests.support.swarmlab import SwarmLab
from tests.support.swarmstage import PATIENCE, answers_at, crowd, on_stage, on_swarm, served_good
from tests.support.theatre import NAME, House, Stage, quiet

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1500)]
THEIRS, PORT = "theirs", 6390
FIRST, SECOND = "tulip-of-yesterday", "rose-of-today"


@pytest.fixture(scope="module")
def server(lab: SwarmLab) -> Iterator[redis.Redis]:
    """Somebody's Redis on the first node, with a password."""
    api = lab.api()
    words = ["redis-server", "--port", str(PORT), "--bind", "0.0.0.0", "--requirepass", FIRST, "--dir", "/tmp"]
    ports = [{"Protocol": "tcp", "TargetPort": PORT, "PublishedPort": PORT, "PublishMode": "host"}]
    node = lab.state(1)["NodeID"]
    spec = {
        "Name": THEIRS, "EndpointSpec": {"Mode": "dnsrr", "Ports": ports},
        "TaskTemplate": {
            "ContainerSpec": {"Image": lab.images["redis"], "Command": words},
            "Placement": {"Constraints": [f"node.id=={node}"]},
        },
    }  # fmt: skip
    made = api._result(api._post_json(api._url("/services/create"), data=spec), True)["ID"]
    try:
        yield redis.Redis(lab.addresses[1], PORT, password=FIRST, socket_timeout=10)
    finally:
        api.remove_service(made)


def url(lab: SwarmLab, password: str) -> str:
    """Where that Redis is."""
    return f"redis://:{password}@{lab.addresses[1]}:{PORT}/0"


def secret(text: str) -> dict[str, Any]:
    """A Secret with this URL."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": THEIRS},
        "data": {"url": b64encode(text.encode()).decode()},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, server: redis.Redis, lab: SwarmLab) -> AsyncIterator[Stage]:
    """`good` is served with that Redis as broker and as store."""
    async with on_stage(house, lab) as there:
        await there.lab.client.create(SECRETS, "default", secret(url(lab, FIRST)))
        given = {"credentialsRef": {"secretKeyRef": {"name": THEIRS, "key": "url"}}}
        await served_good(there, on_swarm(lab, broker=given, store=given))
        yield there


def ours(lab: SwarmLab, kind: str) -> set[str]:
    """The names of the deployment's things of a kind, by their parts."""
    rows = getattr(lab.api(), kind)(filters={"label": ["anneal.dev/part"]})
    return {row["Spec"]["Labels"]["anneal.dev/part"] for row in rows}


async def test_nothing_is_made_that_is_there_already(at: Stage, lab: SwarmLab, server: redis.Redis) -> None:
    """Every node answers; there is no RabbitMQ and no Redis of the deployment's own; its keys are in the one that was given; and
    that one's password stands in no service, config or status."""
    assert all(answers_at(lab, n) for n in lab.addresses)
    assert not {part for part in ours(lab, "services") if part.startswith(("service/broker", "service/store"))}
    assert "secret/password" not in ours(lab, "secrets")
    assert server.keys(f"anneal:default:{NAME}:*")
    services = lab.api().services(filters={"label": ["anneal.dev/part"]})
    configs = [b64decode(row["Spec"]["Data"]) for row in lab.api().configs()]
    assert FIRST not in str([services, configs, await at.deployment()])


async def test_another_password_is_taken_over_without_a_failed_request(at: Stage, lab: SwarmLab, server: redis.Redis) -> None:
    """The new one is allowed beside the old one, the Secret edited, the old one forbidden once nobody uses it: all through, who
    asks is answered."""
    before = {part for part in ours(lab, "secrets") if part.startswith(("secret/broker-", "secret/store-"))}
    with crowd(lab, rate=20) as load:
        await until(lambda: load.answered > 20, PATIENCE, lambda: "nobody is answered")
        server.execute_command("ACL", "SETUSER", "default", f">{SECOND}")
        await at.lab.client.patch(SECRETS, "default", THEIRS, {"data": secret(url(lab, SECOND))["data"]})

        def replaced() -> bool:
            named = set[str]()
            for row in lab.api().services(filters={"label": ["anneal.dev/part"]}):
                if "preflight" not in row["Spec"]["Name"]:
                    named |= {one["SecretName"] for one in row["Spec"]["TaskTemplate"]["ContainerSpec"].get("Secrets") or ()}
            return bool(named) and not any(name.endswith(part.replace("/", "-")) for name in named for part in before)

        await until(replaced, PATIENCE, lambda: "the services keep the old one")
        await at.until(quiet, PATIENCE)
        await asyncio.to_thread(server.execute_command, "ACL", "SETUSER", "default", f"<{FIRST}")
        asked = load.answered
        await until(lambda: load.answered > asked + 50, PATIENCE, lambda: f"nobody is answered any more: {load.failures[-1:]}")
    assert load.failures == []
    assert all(answers_at(lab, n) for n in lab.addresses)
