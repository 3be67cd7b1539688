"""From a finished model to all new workers of a real three-node Swarm that serve; beside it, an image built for each model.

The Swarm is that of the tests, brought up on this machine as root; the model was made before, so that nothing is measured of its
training. Each rollout is watched by its steps: preflight, workers, switch.
"""

from __future__ import annotations

import asyncio
import io
import os
import statistics
import tarfile
import time
from collections.abc import Mapping
from typing import Any

import requests

from bench.figure import Figure, Options, medians
from drivers.swarm.image import files
from tests.support.daemon import condition_of
from tests.support.swarmlab import SwarmLab
from tests.support.swarmstage import CLUSTERS, DEPLOYMENTS, PORT, on_swarm, serves
from tests.support.theatre import NAME, ROW, SEEDS, House, Stage, cleared, experiment, stage, status, theatre

SECONDS = 15.0
NODES, ROUNDS, PATIENCE = 3, 5, 300.0
WATCH_SECONDS = 0.02
BASELINE = "an image with the model in it, built without cache and pushed, per model"


async def run(options: Options) -> list[Figure]:
    """Models that take one another's place, and one image."""
    lab = SwarmLab(int(os.environ.get("ANNEAL_SWARM", "99")), NODES, NODES)
    options.say("brings the Swarm up")
    await asyncio.to_thread(lab.up)
    try:
        return await asyncio.to_thread(_all, options, lab)
    finally:
        await asyncio.to_thread(lab.down)


def _all(options: Options, lab: SwarmLab) -> list[Figure]:
    with theatre(options.folder, {"ANNEAL_CALL_SECONDS": "30"}) as house:
        rounds = asyncio.run(_rounds(options, lab, house))
    options.say("builds and pushes an image with the model in it")
    image = [_image(lab) for _ in range(1 if options.quick else 2)]
    out = [medians("swarm-rollout", f"a finished model to all workers of {NODES} nodes that serve it", "s",
                   [row["served"] for row in rounds], BASELINE, image, target=SECONDS)]  # fmt: skip
    for name in ("preflight", "workers", "table"):
        values = [row[name] for row in rounds]
        out.append(Figure(f"swarm-rollout-{name}", f"of it, until {STEPS[name]}", statistics.median(values), "s", samples=values))
    return out


async def _rounds(options: Options, lab: SwarmLab, house: House) -> list[dict[str, float]]:
    """One model takes another's place, again and again; seconds to each step."""
    rounds: list[dict[str, float]] = []
    async with stage(*house) as at:
        await at.lab.create("SwarmCluster", NAME, endpoints=lab.endpoints)
        await at.lab.until(NAME, lambda obj: condition_of(obj).get("status") == "True", PATIENCE, CLUSTERS)
        await at.lab.create("Experiment", NAME, **experiment(SEEDS["worst"]))
        await at.lab.create("ModelDeployment", NAME, **on_swarm(lab, replicas=NODES, strategy={"bakeSeconds": 0}))
        await serves(at, "worst")
        for number in range(2 if options.quick else ROUNDS):
            model = ("better", "good")[number % 2]
            found = await _once(at, lab, model)
            options.say(f"{model}: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.items()))
            rounds.append(found)
            await serves(at, model)
        await cleared(at)
    return rounds


STEPS = {
    "preflight": "the preflight is begun",
    "workers": "its workers are begun",
    "table": "the routing table names it",
}


async def _once(at: Stage, lab: SwarmLab, model: str) -> dict[str, float]:
    """Have the Experiment end with this model; seconds from then to each step, the last being that every node serves it."""
    await at.edit("modeldeployments", {"rollout": {"promote": at.models[model]}})
    old = status(await at.deployment()).get("revision")
    await at.show(model)
    digest = at.models[model]
    await at.lab.until(NAME, lambda obj: ((obj.get("status") or {}).get("model") or {}).get("digest") == digest, PATIENCE)
    begun, seen = time.monotonic(), dict[str, float]()
    while "served" not in seen:
        if time.monotonic() > begun + PATIENCE:
            raise RuntimeError(f"{model} is not served after {PATIENCE:.0f} s: {status(await at.deployment())}")
        obj = await at.lab.client.get(DEPLOYMENTS, "default", NAME) or {}
        for name, true in _reached(obj, digest, int(old or 0)).items():
            if true:
                seen.setdefault(name, time.monotonic() - begun)
        if "table" in seen and await asyncio.to_thread(_served_everywhere, lab, digest):
            seen["served"] = time.monotonic() - begun
        await asyncio.sleep(WATCH_SECONDS)
    return seen


def _reached(obj: Mapping[str, Any], digest: str, old: int) -> dict[str, bool]:
    there = status(dict(obj))
    row = next((r for r in there.get("revisions", ()) if r["digest"] == digest and r["revision"] > old), None)
    parts = {part["name"] for part in there.get("parts", ())}
    number = row["revision"] if row else None
    return {
        "preflight": f"service/preflight-{number}" in parts,
        "workers": f"service/workers-{number}" in parts,
        "table": there.get("digest") == digest,
    }


def _served_everywhere(lab: SwarmLab, digest: str) -> bool:
    """Whether every node's port answers with this model, and every worker of it runs."""
    for address in lab.addresses.values():
        answer = requests.post(f"http://{address}:{PORT}/predict", json=ROW, timeout=10)
        if answer.status_code != 200 or answer.json()["model"]["digest"] != digest:
            return False
    rows = lab.api().tasks(filters={"desired-state": "running"})
    running = [
        row["NodeID"] for row in rows
        if row["Status"]["State"] == "running" and digest in (row["Spec"]["ContainerSpec"].get("Command") or ())
        and "serving.worker" in row["Spec"]["ContainerSpec"]["Command"]
    ]  # fmt: skip
    return len(running) >= NODES


def _image(lab: SwarmLab) -> float:
    """Seconds to build the serving image with a model beside it, from nothing but its base, and to push it."""
    begun, out = time.monotonic(), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in (*files(), ("app/model.bin", os.urandom(50_000))):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    api, name = lab.api(seconds=900), lab.images["serving"].partition("@")[0] + "-per-model"
    arguments = {"BASE": lab.images["python"]}
    lines = api.build(
        fileobj=io.BytesIO(out.getvalue()),
        custom_context=True,
        tag=f"{name}:b",
        nocache=True,
        rm=True,
        decode=True,
        buildargs=arguments,
    )
    for line in (*lines, *api.push(name, "b", stream=True, decode=True)):
        if "error" in line:
            raise RuntimeError(f"cannot build and push {name}: {line['error']}")
    return time.monotonic() - begun
