"""A model that is too large for a Swarm's config: it travels through the registry, and needs the daemon only once."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.daemon import until
from tests.support.serving import large_model
from tests.support.swarmlab import SwarmLab
from tests.support.swarmstage import CLUSTERS, PATIENCE, answers_at, kill_one, on_stage, on_swarm, running, said
from tests.support.theatre import NAME, House, Stage, cleared, quiet, status

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1500)]
REGISTRY_PORT = 5001


@pytest.fixture(scope="module")
def large(house: House) -> str:
    """A model of several MB."""
    return large_model(house[0].home.models)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, large: str, lab: SwarmLab) -> AsyncIterator[Stage]:
    """The forest is served by a Swarm that has a registry of its own."""
    registry = {"image": lab.images["registry"], "port": REGISTRY_PORT}
    async with on_stage(house, lab, registry=registry) as there:
        await there.lab.create("ModelVersion", NAME, digest=large)
        spec = on_swarm(lab)
        spec["predictor"]["model"] = {"modelVersionRef": {"name": NAME}}
        await there.lab.create("ModelDeployment", NAME, **spec)
        await there.until(lambda obj: status(obj).get("digest") == large and quiet(obj), PATIENCE)
        yield there


def packages(lab: SwarmLab) -> list[int] | None:
    """The sizes of all models in the Swarm's registry; None while it does not answer."""
    swarm, found = lab.api().inspect_swarm()["ID"], []
    base = f"http://{lab.addresses[1]}:{REGISTRY_PORT}/v2/anneal/models-{swarm}"
    try:
        with urllib.request.urlopen(f"{base}/tags/list", timeout=10) as answer:
            tags = json.load(answer)["tags"] or []
        for tag in tags:
            ask = urllib.request.Request(
                f"{base}/manifests/{tag}", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}
            )
            with urllib.request.urlopen(ask, timeout=10) as answer:
                found += [layer["size"] for layer in json.load(answer)["layers"]]
    except urllib.error.HTTPError as error:
        return found if error.code == 404 else [-1]
    except OSError:
        return None
    return found


async def test_it_is_served_from_the_registry(at: Stage, lab: SwarmLab) -> None:
    """Every node answers with it; the managers keep a pointer of a few hundred bytes, the registry keeps the megabytes."""
    await until(lambda: all(answers_at(lab, n) for n in lab.addresses), PATIENCE, lambda: "not every node answers")
    (config,) = [row for row in lab.api().configs() if "config-model" in row["Spec"]["Name"]]
    assert len(config["Spec"]["Data"]) < 1000
    (size,) = packages(lab) or ()
    assert size > 500_000


async def test_workers_come_back_without_the_daemon_though_their_node_is_gone(at: Stage, lab: SwarmLab) -> None:
    """Daemon dead, a node's power cut: both workers are up on what is left of the Swarm, and answer."""
    obj = await at.deployment()
    cluster = await at.lab.get(CLUSTERS, NAME)
    homes = set(status(obj)["pins"].values()) | {lab.state(1)["NodeID"]}  # the registry is at home on the first
    assert status(cluster)["registry"] == f"{lab.addresses[1]}:{REGISTRY_PORT}"
    ids = {n: lab.state(n)["NodeID"] for n in lab.addresses}
    lost = next(n for n, ident in ids.items() if ident not in homes)
    other = next(n for n in lab.addresses if n != lost)
    at.daemon.kill()
    await asyncio.to_thread(lab.kill, lost)
    try:
        api = lab.api(other)

        def back() -> bool:
            rows = api.tasks(filters={"desired-state": "running"})
            up = [row for row in rows if row["Status"]["State"] == "running" and row.get("NodeID") != ids[lost]]
            return sum("serving.worker" in str(row["Spec"]["ContainerSpec"].get("Command")) for row in up) == 2

        await until(back, PATIENCE, lambda: "the workers are not up elsewhere")
        await until(lambda: answers_at(lab, other), PATIENCE, lambda: "nobody is answered")
    finally:
        await asyncio.to_thread(lab.start, lost)
        await at.daemon.start()
    await at.until(quiet, PATIENCE)


async def test_a_worker_that_starts_while_the_registry_is_away_waits_and_says_so(at: Stage, lab: SwarmLab) -> None:
    """With the daemon dead, so that nobody brings the registry back: the worker's log tells what it waits for; the other worker
    answers meanwhile; once the registry is back, so is the worker."""
    at.daemon.kill()
    api = lab.api()
    try:
        await asyncio.to_thread(scaled, api, "registry", 0)
        await until(lambda: not running(lab, "registry"), PATIENCE, lambda: "the registry does not go")
        await asyncio.to_thread(kill_one, lab, "workers-1")
        await until(lambda: "model.awaited" in said(lab, "workers-1"), PATIENCE, lambda: said(lab, "workers-1")[-3000:])
        await until(lambda: answers_at(lab, 2), PATIENCE, lambda: "the other worker does not answer")
        await asyncio.to_thread(scaled, api, "registry", 1)
        await until(lambda: running(lab, "workers-1") == 2, PATIENCE, lambda: "the worker does not come back")
    finally:
        await at.daemon.start()
    await at.until(quiet, PATIENCE)


async def test_what_is_deleted_leaves_nothing_in_the_registry(at: Stage, lab: SwarmLab) -> None:
    """The last one: with the deployment its model goes from the registry, too."""
    await until(lambda: packages(lab), PATIENCE, lambda: "the registry does not answer")
    await cleared(at)
    await until(lambda: packages(lab) == [], PATIENCE, lambda: "the registry holds it still")


def scaled(api: Any, part: str, replicas: int) -> None:
    """Change a service's replicas, behind the daemon's back."""
    rows = api.services(filters={"label": [f"anneal.dev/part={part}"]})
    (row,) = rows
    spec = row["Spec"] | {"Mode": {"Replicated": {"Replicas": replicas}}}
    url = api._url("/services/{0}/update", row["ID"])
    api._raise_for_status(api._post_json(url, data=spec, params={"version": row["Version"]["Index"]}))
