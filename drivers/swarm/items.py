"""Configs, secrets and networks of a Swarm, as drivers. None can be changed: another content is another thing of another name.

A config carries a text, or a model (see drivers.swarm.parcels). A secret is made of random bytes here and cannot be read again by
anybody but the tasks that are given it.
"""

from __future__ import annotations

import copy
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from drivers.contract import Intent, Observation, Owner, Step, Survey, Unknown
from drivers.judging import Thing
from drivers.snapshot import SharedList
from drivers.swarm import tags
from drivers.swarm.client import Api, Docker
from drivers.swarm.parcels import Parcels, content_of, pointer_of
from drivers.swarm.served import Item

REMEMBERED = 256


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
    """One kind of thing of one Swarm. Create: `Step.change` is `text`, `model` (a digest; with `registry`), `generates` (bytes),
    `given` (the name of a secret that `with_given` told of), or nothing."""

    settle_seconds = 5.0

    def __init__(self, docker: Docker, shelf: Shelf, *, installation: str = "", parcels: Parcels | None = None) -> None:
        self.name = f"swarm/{shelf.singular}@{docker.name}"
        self._docker, self._shelf, self._installation, self._parcels = docker, shelf, installation, parcels
        self._given: Mapping[str, str] = {}
        self._removed: deque[str] = deque(maxlen=REMEMBERED)
        """Ids that the Swarm has removed. An engine goes on to list a network until the last container in it has stopped."""
        self._shared: SharedList[Item] = SharedList(self._everything, self._of_owner, self._by_id, alone=0)

    def with_given(self, given: Mapping[str, str]) -> ItemDriver:
        """The same driver, which knows these secrets. They are told to nobody but the Swarm."""
        made = copy.copy(self)
        made._given = given
        return made

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
        async with self._parcels.alone if self._parcels and "model" in step.change else nullcontext():
            data = await self._content(step.change)
            doing = f'create {shelf.singular} "{intent.name}"'
            answer = await self._docker.write(doing, lambda api: shelf.make(api, intent.name, data, label))
        return str(answer.get("ID") or answer["Id"])

    async def destroy(self, ref: str) -> None:
        """See the contract. One that is in use refuses: Conflict. What a model's config pointed to is removed after it."""
        row = await self._docker.look(f"look up {ref}", lambda api: self._shelf.look(api, ref)) if self._parcels else None
        await self._docker.remove(f"delete {self._shelf.singular} {ref}", lambda api: self._shelf.remove(api, ref))
        self._removed.append(ref)
        if self._parcels and row and pointer_of(row):
            await self._parcels.prune(content_of(row))

    async def close(self) -> None:
        """Forget what was seen."""
        await self._shared.close()

    async def _content(self, change: Mapping[str, Any]) -> bytes:
        if "model" in change:
            assert self._parcels is not None
            return await self._parcels.pack(change)
        if "given" in change:
            return self._given[str(change["given"])].encode()
        return str(change["text"]).encode() if "text" in change else os.urandom(int(change.get("generates", 0))).hex().encode()

    async def _everything(self) -> list[Thing[Item]]:
        return await self._listed(f"list {self._shelf.singular}s", tags.ours())

    async def _of_owner(self, owner: Owner) -> list[Thing[Item]]:
        return await self._listed(f"list {self._shelf.singular}s of {owner.name}", tags.of_owner(owner))

    async def _listed(self, doing: str, filters: Mapping[str, Sequence[str]]) -> list[Thing[Item]]:
        rows = await self._docker.read(doing, lambda api: self._shelf.list(api, dict(filters)))
        return [thing for thing in map(_thing, rows) if thing.ref not in self._removed]

    async def _by_id(self, ref: str) -> Thing[Item] | None:
        if ref in self._removed:
            return None
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
