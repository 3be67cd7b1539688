"""Models that lie in a bucket: the daemon tells where, and who was told fetches with the credentials that it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from sklearn.linear_model import LogisticRegression

from drivers.contract import InvalidConfiguration, Unreachable
from drivers.swarm import parcels
from drivers.swarm.parcels import Parcels
from modelstore import Store
from serving import models
from serving.config import Config
from tests.support.bucket import Bucket
from tests.support.serving import penguins, train

KEY, SOMEBODY_ELSES = "AKIAONE", "AKIATWO"
URL = "s3://models/of/ours"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever this machine knows of buckets is not known here, and nothing that is small travels as a config."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(parcels, "LARGEST_CONFIG", 1000)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model: its folder, its digest."""
    store, (columns, target) = tmp_path_factory.mktemp("bucket"), penguins()
    digest = train(store, columns, target, LogisticRegression(max_iter=500)).digest
    return store / digest.removeprefix("sha256:"), digest


@pytest.fixture
def bucket(package: tuple[Path, str]) -> Iterator[Bucket]:
    """It holds the model."""
    with Bucket(KEY) as made:
        made.objects |= kept(package[0])
        yield made


def kept(folder: Path) -> dict[str, bytes]:
    """A model's files, by their keys in the bucket."""
    return {f"of/ours/{folder.name}/{file.name}": file.read_bytes() for file in folder.iterdir()}


def credentials(folder: Path, bucket: Bucket, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell this process of a bucket as a container is told: by one file."""
    file = folder / f"of-{key}"
    file.write_text(bucket.profile(key))
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(file))


def pointer(store: str | Path, digest: str, cache: Path) -> bytes:
    """What the daemon tells of a model that is too large to be told itself."""
    docker: Any = None  # it is not asked: nothing is pushed, nothing looked up
    made = Parcels(docker, Store(store, cache=cache), "installation")
    return asyncio.run(made.pack({"model": digest, "bucket": True}))


@pytest.fixture
def told(tmp_path: Path, bucket: Bucket, package: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What the daemon tells of the model in the bucket; this process may read that."""
    credentials(tmp_path, bucket, KEY, monkeypatch)
    return pointer(URL, package[1], tmp_path / "daemon")


def given(folder: Path, told: bytes, digest: str) -> Config:
    """The configuration of who was told so."""
    (folder / "given").mkdir(parents=True)
    (folder / "given" / f"{digest.removeprefix('sha256:')}.tar").write_bytes(told)
    return Config(name="a", store=f"archives:{folder / 'given'}", folder=folder)


def test_what_the_daemon_points_to_is_fetched_once(
    tmp_path: Path, bucket: Bucket, package: tuple[Path, str], told: bytes
) -> None:
    """The pointer names the bucket and no secret; the model is the one that was asked for; the bucket has what it had."""
    digest = package[1]
    assert len(told) < 100
    config = given(tmp_path / "worker", told, digest)
    folder = models.fetch(config, digest, verify=True)
    assert models.load(config, folder, digest).check_golden()[1] == []
    bucket.access_keys.clear()
    assert models.fetch(config, digest, verify=True) == folder
    assert bucket.objects == kept(package[0])


def test_a_damaged_model_is_not_taken(tmp_path: Path, bucket: Bucket, package: tuple[Path, str], told: bytes) -> None:
    """Whoever can write into the bucket cannot exchange what is served."""
    digest = package[1]
    (name,) = (key for key in bucket.objects if key.endswith("signature.json"))
    bucket.objects[name] = bucket.objects[name].replace(b"island", b"icland")
    with pytest.raises(models.ModelUnusable, match=r"signature\.json"):
        models.fetch(given(tmp_path / "worker", told, digest), digest, verify=True)


def test_who_may_not_read_it_is_told_so(
    tmp_path: Path, bucket: Bucket, package: tuple[Path, str], told: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting would not help."""
    digest = package[1]
    credentials(tmp_path, bucket, SOMEBODY_ELSES, monkeypatch)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(models.ModelUnusable, match="refuses us") as caught:
        models.fetch(given(tmp_path / "worker", told, digest), digest, verify=True)
    assert not isinstance(caught.value, models.ModelAway)


def test_a_bucket_that_is_away_is_waited_for(
    tmp_path: Path, bucket: Bucket, package: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who serves, and by the daemon, which takes it for no word about the model."""
    digest, bucket.url = package[1], "http://127.0.0.1:1"
    credentials(tmp_path, bucket, KEY, monkeypatch)
    config = given(tmp_path / "worker", b'{"store": "%s"}' % URL.encode(), digest)
    with pytest.raises(models.ModelAway, match="cannot fetch from s3://models"):
        models.awaited(config, digest, str, seconds=0.0)
    with pytest.raises(Unreachable, match="cannot fetch from s3://models"):
        pointer(URL, digest, tmp_path / "daemon")


def test_models_that_are_in_no_bucket_cannot_be_fetched_from_one(tmp_path: Path, package: tuple[Path, str]) -> None:
    """The refusal says where they are kept, and what to do."""
    folder, digest = package
    with pytest.raises(InvalidConfiguration, match=f"kept in {folder.parent}; start the daemon with ANNEAL_MODEL_STORE"):
        pointer(folder.parent, digest, tmp_path / "daemon")
