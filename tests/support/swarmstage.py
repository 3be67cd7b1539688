"""A theatre whose deployment is on the test Swarm: what tests of rollouts there play with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import requests
from selenium.webdriver.common.by import By

from reconciler.client import Object, ours
from tests.support.accepting import Accepting
from tests.support.browser import browser
from tests.support.load import Load
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.theatre import NAME, ROW, SEEDS, House, Stage, asked, cleared, experiment, quiet, stage, status

PORT = 8437
RATE = 100
PATIENCE = 500.0
CALM = {"minRequests": 20, "maxLatencyMs": 10_000}
"""What a revision's answers may be like where a machine has much else to do."""
DEPLOYMENTS, CLUSTERS = ours("modeldeployments"), ours("swarmclusters")


def on_swarm(lab: SwarmLab, replicas: int = 2, strategy: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A ModelDeployment's spec: on this Swarm, following the Experiment."""
    parts = {
        name: {"image": lab.images[image]} for name, image in (("broker", "rabbitmq"), ("store", "redis"), ("entry", "haproxy"))
    }
    strategy = {"analysis": CALM} | (strategy or {"bakeSeconds": 15})
    swarm = {"clusterRef": {"name": NAME}, "image": lab.images["serving"], "strategy": strategy, **parts}
    model = {"fromExperiment": {"name": NAME}}
    predictor = {"minReplicas": replicas, "model": model, "timeout": 30}
    return {"swarm": swarm | more, "web": {"workers": 1}, "predictor": predictor, "progressDeadlineSeconds": 240}


@asynccontextmanager
async def on_stage(house: House, lab: SwarmLab, **cluster: Any) -> AsyncIterator[Stage]:
    """Somebody at the daemon's desk, with this Swarm as SwarmCluster; deployment and Experiment are taken away at the end."""
    async with stage(*house) as there:
        if not await there.lab.get(CLUSTERS, NAME):
            await there.lab.create("SwarmCluster", NAME, endpoints=lab.endpoints, **cluster)
        try:
            yield there
        finally:
            await cleared(there)


async def served_good(at: Stage, spec: Mapping[str, Any]) -> None:
    """Have the Experiment end in `good`, and this deployment serve it."""
    await at.lab.create("Experiment", NAME, **experiment(SEEDS["good"]))
    await at.lab.create("ModelDeployment", NAME, **spec)
    await serves(at, "good")


async def serves(at: Stage, model: str) -> Object:
    """Wait until this model is served on the Swarm, and nothing more is to do."""
    digest = at.models[model]
    return await at.until(lambda obj: status(obj).get("digest") == digest and quiet(obj), PATIENCE)


async def failed(at: Stage, reason: str, revision: int) -> dict[str, Any]:
    """Wait until a revision failed for this reason; its row."""

    def row(obj: Object) -> dict[str, Any] | None:
        rows = [row for row in status(obj).get("revisions", ()) if row["revision"] >= revision and row["state"] == "Failed"]
        return next((row for row in rows if row.get("reason") == reason), None)

    found = await at.until(lambda obj: row(obj) and quiet(obj), PATIENCE)
    answer = row(found)
    assert answer is not None
    return answer


@contextmanager
def crowd(lab: SwarmLab, node: int = 2, rate: float = RATE) -> Iterator[Load]:
    """So many requests a second to one node's port, from the block's beginning to its end, counted in the suite's tally.

    Five a second more are accepted to be answered later: one that is not, or not answered in the end, is a failure, too.
    """
    url = f"http://{lab.addresses[node]}:{PORT}"
    load, later = Load(url, ROW, rate=rate), Accepting(url, ROW)
    with later, load:
        yield load
    load.failures.extend(later.failures)
    TALLY.requests += load.answered + later.answered + len(load.failures)
    TALLY.failed += len(load.failures)


def predicted_by_browser(url: str) -> str:
    """What the page answers to somebody who clicks: the example that it is filled with, predicted."""
    with browser() as chromium:
        chromium.get(url)
        chromium.driver.find_element(By.XPATH, "//button[normalize-space()='Predict']").click()
        return str(chromium.one("#answer").text)


def kill_one(lab: SwarmLab, part: str) -> None:
    """kill -9 of one running container of a service, wherever it runs."""
    for n in lab.addresses:
        api = lab.api(n)
        for row in api.containers(filters={"name": f"service-{part}", "status": "running"}):
            api.kill(row["Id"])
            return
    raise AssertionError(f"no container of {part} runs")


def running(lab: SwarmLab, part: str) -> int:
    """How many containers of a service run and are well."""
    rows = [row for n in lab.addresses for row in lab.api(n).containers(filters={"name": f"-{part}."})]
    return sum(row["State"] == "running" and "starting" not in row["Status"] for row in rows)


def answers_at(lab: SwarmLab, node: int) -> bool:
    """Whether a node's port answers."""
    try:
        return bool(asked(f"http://{lab.addresses[node]}:{PORT}").status_code == 200)
    except requests.RequestException:
        return False


def said(lab: SwarmLab, part: str) -> str:
    """What all tasks of a service have printed."""
    (row,) = lab.api().services(filters={"label": [f"anneal.dev/part=service/{part}"]})
    found = lab.api().service_logs(row["ID"], stdout=True, stderr=True)
    return (found if isinstance(found, bytes) else b"".join(found)).decode("utf-8", "replace")
