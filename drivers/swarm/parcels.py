"""Models on their way to a Swarm: small ones in a config, larger ones in a registry or a bucket, with a config that says where.

Whichever it is, the config is the thing that has a tag, that services name, and that goes when none names it any more. What lies
in the registry follows it: a package that no config of ours points to is removed there. A bucket is the store itself: nothing is
written to it, and nothing removed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import structlog

from drivers.contract import DriverError, InvalidConfiguration, Unreachable
from drivers.swarm import tags
from drivers.swarm.client import Docker
from modelstore import manifest, registry
from modelstore.errors import Away, ModelError
from modelstore.store import Store

log = structlog.get_logger(__name__)

LARGEST_CONFIG = 500_000
"""Bytes of a model that travels as a config. Docker takes twice as much; its managers keep each of them in memory and in Raft."""
IN_MEMORY = 8 << 20


class Parcels:
    """Packs models for one Swarm, and sees to what it put into registries."""

    def __init__(self, docker: Docker, store: Store, installation: str) -> None:
        self._docker, self._store, self._installation = docker, store, installation
        self.alone = asyncio.Lock()
        """Held from packing to the config's creation: nothing is removed meanwhile as if nobody pointed to it."""

    async def pack(self, change: Mapping[str, Any]) -> bytes:
        """What the config of a model holds. `change`: `model`; for one that is too large for a config `registry`, or `bucket`."""
        packed = await asyncio.to_thread(archive, self._store, str(change["model"]))
        with packed:
            size = packed.seek(0, io.SEEK_END)
            packed.seek(0)
            if size <= LARGEST_CONFIG:
                return packed.read()
            doing = f"cannot send the model {str(change['model'])[:19]}… to the Swarm: packed it has {size // 1000} kB"
            return self._stored(doing) if change.get("bucket") else await self._pushed(change, packed, size, doing)

    def _stored(self, doing: str) -> bytes:
        if not self._store.url.startswith("s3://"):
            raise InvalidConfiguration(
                f"{doing}, and spec.swarm.models.credentialsRef has workers fetch it from a bucket, but models are kept in"
                f" {self._store.url}; start the daemon with ANNEAL_MODEL_STORE=s3://BUCKET/FOLDER, or take credentialsRef away"
            )
        return json.dumps({"store": self._store.url}).encode()

    async def _pushed(self, change: Mapping[str, Any], packed: IO[bytes], size: int, doing: str) -> bytes:
        digest, where = str(change["model"]), str(change.get("registry") or "")
        if not where and change.get("expected"):
            raise Unreachable(f"{doing}, and the SwarmCluster's registry does not run yet; waiting for it", retry_after=2.0)
        if not where:
            raise InvalidConfiguration(
                f"{doing}, and no more than {LARGEST_CONFIG // 1000} kB travel as a config; give the SwarmCluster a registry,"
                " or set spec.swarm.models.registry or, where models are kept in a bucket, credentialsRef"
            )
        swarm = await self._docker.read("look up the Swarm", lambda api: str(api.inspect_swarm()["ID"]))
        url, tag = f"{where.rstrip('/')}/anneal/models-{swarm}", self._tag(digest)
        self._docker.fence()
        notes = {"dev.anneal.model": digest, "dev.anneal.installation": self._installation}
        try:
            await asyncio.to_thread(registry.Registry(url).push, tag, packed, notes)
        except Away as error:
            raise Unreachable(f"{doing}, and {error}") from error
        except ModelError as error:
            raise InvalidConfiguration(f"{doing}, and {error}") from error
        log.info("model.pushed", digest=digest, bytes=size, registry=url)
        return json.dumps({"registry": url, "tag": tag}, sort_keys=True).encode()

    def _tag(self, digest: str) -> str:
        return f"{self._installation}.{manifest.hex_of(digest)}"

    async def prune(self, pointer: bytes) -> None:
        """Remove what no config of ours points to, from the registry that this one pointed to. What fails is done next time."""
        with contextlib.suppress(ValueError, TypeError, KeyError):
            await self._prune(registry.Registry(json.loads(pointer)["registry"]))

    async def _prune(self, where: registry.Registry) -> None:
        try:
            async with self.alone:
                rows = await self._docker.read("list configs", lambda api: api.configs(filters=tags.ours()))
                needed = {found["tag"] for row in rows if (found := pointer_of(row)) and found["registry"] == where.url}
                for tag in await asyncio.to_thread(where.tags):
                    if tag.startswith(f"{self._installation}.") and tag not in needed:
                        self._docker.fence()
                        await asyncio.to_thread(where.remove, tag)
                        log.info("model.pruned", tag=tag, registry=where.url)
        except (ModelError, DriverError) as error:
            log.warning("model.not_pruned", registry=where.url, error=str(error))


def content_of(row: Mapping[str, Any]) -> bytes:
    """What a config holds."""
    return base64.b64decode(row["Spec"].get("Data") or "")


def pointer_of(row: Mapping[str, Any]) -> Mapping[str, str]:
    """Where a config says that its model lies; empty if it says nothing of the kind."""
    data = content_of(row)
    with contextlib.suppress(ValueError):
        found = json.loads(data) if data.startswith(b"{") else {}
        if isinstance(found, dict) and {"registry", "tag"} <= set(found):
            return found
    return {}


def archive(store: Store, digest: str) -> IO[bytes]:
    """A package as one archive: the same package gives the same bytes. InvalidConfiguration: it is not there, or damaged.
    Unreachable: the store does not answer."""
    try:
        folder = store.path(digest)
        manifest.verify(folder, digest, keep=())
        files = [folder / manifest.MANIFEST, *(folder / name for name in sorted(manifest.read(folder)[1]))]
        return _packed(files)
    except Away as error:
        raise Unreachable(f"cannot send the model {digest[:19]}… to the Swarm: {error}") from error
    except (ModelError, OSError) as error:
        raise InvalidConfiguration(f"cannot send the model {digest[:19]}… to the Swarm: {error}") from error


def _packed(files: Sequence[Path]) -> IO[bytes]:
    out = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  whoever asked closes it
    with (
        gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for file in files:
            info = tarfile.TarInfo(file.name)
            info.size, info.mode = file.stat().st_size, 0o444
            with file.open("rb") as data:
                tar.addfile(info, data)
    out.seek(0)
    return out


__all__ = ["LARGEST_CONFIG", "Parcels", "archive", "content_of", "pointer_of"]
