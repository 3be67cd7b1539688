"""A model that is too large for a Swarm's config, where models are kept in a bucket: workers fetch it from there themselves."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from reconciler.client import SECRETS
from tests.support.bucket import Bucket
from tests.support.daemon import until
from tests.support.serving import large_model
from tests.support.swarmlab import SwarmLab
from tests.support.swarmstage import PATIENCE, answers_at, kill_one, on_stage, on_swarm, running
from tests.support.theatre import NAME, House, Stage, cleared, quiet, status, theatre

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1500)]
DAEMONS, FIRST, SECOND = "AKIADAEMON", "AKIAFIRST", "AKIASECOND"
SECRET = "bucket"


@pytest.fixture(scope="module")
def bucket(lab: SwarmLab) -> Iterator[Bucket]:
    """A bucket that the nodes reach, and who may read it."""
    with Bucket(DAEMONS, lab.host) as made:
        made.access_keys.add(FIRST)
        yield made


@pytest.fixture(scope="module")
def large(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of several MB, in the bucket and nowhere else."""
    folder = tmp_path_factory.mktemp("bucket")
    digest = large_model(folder)
    package = folder / digest.removeprefix("sha256:")
    bucket.objects |= {f"ours/{package.name}/{file.name}": file.read_bytes() for file in package.iterdir()}
    return digest


@pytest.fixture(scope="module")
def house(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A daemon that keeps its models in the bucket."""
    folder = tmp_path_factory.mktemp("t")
    file = folder / "aws"
    file.write_text(bucket.profile(DAEMONS))
    told = {"AWS_CONFIG_FILE": str(file), "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    with theatre(folder, told | {"ANNEAL_MODEL_STORE": "s3://models/ours", "ANNEAL_CALL_SECONDS": "30"}) as there:
        yield there


def secret(bucket: Bucket, key: str) -> dict[str, Any]:
    """A Secret with what workers need."""
    data = {"credentials": b64encode(bucket.profile(key).encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(house: House, bucket: Bucket, large: str, lab: SwarmLab) -> AsyncIterator[Stage]:
    """The model is served; there is no registry."""
    async with on_stage(house, lab) as there:
        await there.lab.client.create(SECRETS, "default", secret(bucket, FIRST))
        await there.lab.create("ModelVersion", NAME, digest=large)
        given = {"credentialsRef": {"secretKeyRef": {"name": SECRET, "key": "credentials"}}}
        spec = on_swarm(lab, models=given)
        spec["predictor"]["model"] = {"modelVersionRef": {"name": NAME}}
        await there.lab.create("ModelDeployment", NAME, **spec)
        await there.until(lambda obj: status(obj).get("digest") == large and quiet(obj), PATIENCE)
        yield there


async def fetched_anew(lab: SwarmLab, bucket: Bucket) -> None:
    """A worker is killed: the one in its place fetches the model, and answers."""
    before = bucket.read
    kill_one(lab, "workers-1")
    await until(lambda: bucket.read > before, PATIENCE, lambda: "nobody fetches the model")
    await until(lambda: running(lab, "workers-1") == 2, PATIENCE, lambda: "the worker does not come back")
    assert all(answers_at(lab, n) for n in lab.addresses)


async def test_it_is_served_from_the_bucket(at: Stage, lab: SwarmLab) -> None:
    """Every node answers; the managers keep a pointer; the key stands in one secret, which web app and entry were not given."""
    await until(lambda: all(answers_at(lab, n) for n in lab.addresses), PATIENCE, lambda: "not every node answers")
    (pointer,) = [row for row in lab.api().configs() if "config-model" in row["Spec"]["Name"]]
    assert b64decode(pointer["Spec"]["Data"]) == b'{"store": "s3://models/ours"}'
    services = lab.api().services(filters={"label": ["anneal.dev/part"]})
    told = [services, [b64decode(row["Spec"]["Data"]) for row in lab.api().configs()], await at.deployment()]
    assert FIRST not in str(told)
    assert given_to(lab) == {"service/workers-1", "service/preflight-1", "service/routes"}


async def test_workers_fetch_it_without_the_daemon(at: Stage, lab: SwarmLab, bucket: Bucket) -> None:
    """As when a node is lost while nobody looks."""
    at.daemon.kill()
    try:
        await fetched_anew(lab, bucket)
    finally:
        await at.daemon.start()
    await at.until(quiet, PATIENCE)


async def test_another_key_takes_the_place_of_the_one_before(at: Stage, lab: SwarmLab, bucket: Bucket) -> None:
    """The new one is allowed, the Secret edited, the old one forbidden once nobody uses it."""
    bucket.access_keys.add(SECOND)
    before = names(lab)
    await at.lab.client.patch(SECRETS, "default", SECRET, {"data": secret(bucket, SECOND)["data"]})
    await until(lambda: not before & names(lab), PATIENCE, lambda: f"the services keep {before}")
    await at.until(quiet, PATIENCE)
    bucket.access_keys.remove(FIRST)
    await fetched_anew(lab, bucket)
    assert bucket.refused == 0


async def test_what_is_deleted_leaves_the_bucket_as_it_was(at: Stage, bucket: Bucket, large: str) -> None:
    """It is the store of models, not a way there."""
    await cleared(at)
    assert any(large.removeprefix("sha256:") in key for key in bucket.objects)


def given_to(lab: SwarmLab) -> set[str]:
    """The parts that may read the bucket."""
    return {part for part, name in _told(lab)}


def names(lab: SwarmLab) -> set[str]:
    """The secrets with which those that run do so; a preflight has run."""
    return {name for part, name in _told(lab) if "preflight" not in part}


def _told(lab: SwarmLab) -> set[tuple[str, str]]:
    found = set()
    for row in lab.api().services(filters={"label": ["anneal.dev/part"]}):
        for one in row["Spec"]["TaskTemplate"]["ContainerSpec"].get("Secrets") or ():
            if one["File"]["Name"] == "models":
                found.add((row["Spec"]["Labels"]["anneal.dev/part"], one["SecretName"]))
    return found
