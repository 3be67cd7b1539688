"""Configs, secrets and networks of a Swarm, as drivers. None can be changed: another content is another thing of another name.

A config carries a text, or a model: the package as one archive, read from the store and checked when it is sent. A secret is made
of random bytes here and cannot be read again by anybody but the tasks that are given it.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.contract import Intent, InvalidConfiguration, Observation, Owner, Step, Survey, Unknown
from drivers.judging import Thing
from drivers.snapshot import SharedList
from drivers.swarm import tags
from drivers.swarm.client import Api, Docker
from drivers.swarm.served import Item
from modelstore import manifest
from modelstore.errors import ModelError
from modelstore.store import Store

LARGEST_MODEL = 500_000
"""Bytes of a model that travels as a config. Docker takes twice as much; its managers keep each of them in memory and in Raft."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One kind of such things, and how the Engine API is asked for it."""

    singular: str
    list: Callable[[Api, Any], Sequence[Mapping[str, Any]]]
    look: Callable[[Api, str], Mapping[str, Any]]
    make: Callable[[Api, str, bytes, Mapping[str, str]], Any]
    remove: Callable[[Api, str], Any]


CONFIGS = Shelf(
    "config",
    lambda api, filters: api.configs(filters=filters),
    lambda api, ref: api.inspect_config(ref),
    lambda api, name, data, labels: api.create_config(name, data, labels=labels),
    lambda api, ref: api.remove_config(ref),
)
SECRETS = Shelf(
    "secret",
    lambda api, filters: api.secrets(filters=filters),
    lambda api, ref: api.inspect_secret(ref),
    lambda api, name, data, labels: api.create_secret(name, data, labels=labels),
    lambda api, ref: api.remove_secret(ref),
)
NETWORKS = Shelf(
    "network",
    lambda api, filters: api.networks(filters=filters),
    lambda api, ref: api.inspect_network(ref),
    lambda api, name, data, labels: api.create_network(name, driver="overlay", labels=labels),
    lambda api, ref: api.remove_network(ref),
)


class ItemDriver:
    """One kind of thing of one Swarm. Create: `Step.change` is `text`, `model` (a digest), `generates` (bytes), or nothing."""

    settle_seconds = 5.0

    def __init__(self, docker: Docker, shelf: Shelf, *, installation: str = "", store: Store | None = None) -> None:
        self.name = f"swarm/{shelf.singular}@{docker.name}"
        self._docker, self._shelf, self._installation, self._store = docker, shelf, installation, store
        self._shared: SharedList[Item] = SharedList(self._everything, self._of_owner, self._by_id, alone=0)

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Item]:
        """See the contract."""
        return await self._shared.observe(owner, ref, after, part)

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return await self._shared.survey(self._installation)

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract. There is nothing to update."""
        if step.verb != "create":
            raise ValueError(f"{self.name} creates, and changes nothing")
        shelf, label = self._shelf, tags.labels(intent.owner, intent.part)
        data = await asyncio.to_thread(self._content, step.change)
        doing = f'create {shelf.singular} "{intent.name}"'
        answer = await self._docker.write(doing, lambda api: shelf.make(api, intent.name, data, label))
        return str(answer.get("ID") or answer["Id"])

    async def destroy(self, ref: str) -> None:
        """See the contract. One that is in use refuses: Conflict."""
        await self._docker.remove(f"delete {self._shelf.singular} {ref}", lambda api: self._shelf.remove(api, ref))

    async def close(self) -> None:
        """Forget what was seen."""
        await self._shared.close()

    def _content(self, change: Mapping[str, Any]) -> bytes:
        if "model" in change:
            assert self._store is not None
            return archive(self._store, str(change["model"]))
        return str(change["text"]).encode() if "text" in change else os.urandom(int(change.get("generates", 0))).hex().encode()

    async def _everything(self) -> list[Thing[Item]]:
        return await self._listed(f"list {self._shelf.singular}s", tags.ours())

    async def _of_owner(self, owner: Owner) -> list[Thing[Item]]:
        return await self._listed(f"list {self._shelf.singular}s of {owner.name}", tags.of_owner(owner))

    async def _listed(self, doing: str, filters: Mapping[str, Sequence[str]]) -> list[Thing[Item]]:
        return [_thing(row) for row in await self._docker.read(doing, lambda api: self._shelf.list(api, dict(filters)))]

    async def _by_id(self, ref: str) -> Thing[Item] | None:
        row = await self._docker.look(f"look up {self._shelf.singular} {ref}", lambda api: self._shelf.look(api, ref))
        return None if row is None else _thing(row)


def _thing(row: Mapping[str, Any]) -> Thing[Item]:
    """A network says `Id`, `Name`, `Labels`, `Created`; the others `ID`, `Spec` and `CreatedAt`."""
    spec = row.get("Spec") or row
    ref = str(row.get("ID") or row.get("Id"))
    created = str(row.get("CreatedAt") or row.get("Created") or "")
    return tags.thing(
        ref, spec.get("Labels"), created, True, [ref, row.get("Version"), spec.get("Labels")], Item(ref, str(spec["Name"]))
    )


def archive(store: Store, digest: str) -> bytes:
    """A package as one archive: the same package gives the same bytes. InvalidConfiguration: it is not there, or too large."""
    try:
        folder = store.path(digest)
        manifest.verify(folder, digest, keep=())
        files = [folder / manifest.MANIFEST, *(folder / name for name in sorted(manifest.read(folder)[1]))]
    except (ModelError, OSError) as error:
        raise InvalidConfiguration(f"cannot send the model {digest[:19]}… to the Swarm: {error}") from error
    packed = gzip.compress(_tar(files), mtime=0)
    if len(packed) > LARGEST_MODEL:
        raise InvalidConfiguration(
            f"cannot send the model {digest[:19]}… to the Swarm: packed it has {len(packed) // 1000} kB, and no more than"
            f" {LARGEST_MODEL // 1000} kB travel as a config; choose a smaller one, or fewer trees"
        )
    return packed


def _tar(files: Sequence[Path]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            data = file.read_bytes()
            info = tarfile.TarInfo(file.name)
            info.size, info.mode = len(data), 0o444
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
