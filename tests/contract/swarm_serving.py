"""The harness of a Swarm's services and configs: a manager with a memory, which refuses and is silent as managers are."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from drivers.contract import Ambiguous, Conflict, Driver, Fence, Intent, Owner, Step, Unreachable
from drivers.swarm import tags
from drivers.swarm.items import CONFIGS, ItemDriver
from drivers.swarm.services import ServiceDriver
from tests.contract.harness import INSTALLATION, Hook
from tests.contract.units import CANNOT as OF_UNITS

CANNOT = {
    Hook.REFUSE: "which answer is which error is drivers.swarm.errors' affair, and tested there",
    Hook.OTHER_VIEW: "a Swarm has one view",
    Hook.EMPTY_LISTS: "a manager with a quorum lists what there is; one without answers with an error",
    Hook.LATE: "a manager reads its own writes",
    Hook.ROTATE: "the connection is drivers.swarm.client's",
    Hook.UNREACHABLE: "the connection is drivers.swarm.client's",
    Hook.TWICE: "a name can be taken once",
    Hook.BLIND: "silence has one form here; a test of its own shows it",
    Hook.SEVERAL_AT_ONCE: OF_UNITS[Hook.SEVERAL_AT_ONCE],
}
TEMPLATE = {"ContainerSpec": {"Image": "a@sha256:0", "Configs": [], "Secrets": []}}


class Gone(Exception):
    """A 404."""


class MemoryApi:
    """As much of the Engine API as the drivers use."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.count = itertools.count(1)

    def _made(self, spec: Mapping[str, Any]) -> str:
        if any(row["Spec"]["Name"] == spec["Name"] for row in self.rows.values()):
            raise Conflict("name conflicts with an existing object")
        ref, number = f"id{next(self.count)}", next(self.count)
        created = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}.000000000Z"
        self.rows[ref] = {"ID": ref, "Spec": copy.deepcopy(dict(spec)), "Version": {"Index": number}, "CreatedAt": created}
        return ref

    def _listed(self, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        key, _, value = filters["label"][0].partition("=")
        found = [row for row in self.rows.values() if key in (row["Spec"].get("Labels") or {})]
        return copy.deepcopy([row for row in found if not value or row["Spec"]["Labels"][key] == value])

    def _look(self, ref: str) -> dict[str, Any]:
        if ref not in self.rows:
            raise Gone
        return copy.deepcopy(self.rows[ref])

    def services(self, filters: Any) -> list[dict[str, Any]]:
        return self._listed(filters)

    def tasks(self, filters: Any) -> list[dict[str, Any]]:
        return []

    def nodes(self) -> list[dict[str, Any]]:
        return []

    def inspect_service(self, ref: str) -> dict[str, Any]:
        return self._look(ref)

    def create_service_raw(self, spec: dict[str, Any]) -> str:
        return self._made(spec)

    def update_service_raw(self, ref: str, version: int, spec: dict[str, Any]) -> None:
        if self._look(ref)["Version"]["Index"] != version:
            raise Conflict("update out of sequence")
        self.rows[ref] |= {"Spec": copy.deepcopy(spec), "Version": {"Index": next(self.count)}}

    def remove_service(self, ref: str) -> None:
        self._look(ref)
        del self.rows[ref]

    def configs(self, filters: Any) -> list[dict[str, Any]]:
        return self._listed(filters)

    def inspect_config(self, ref: str) -> dict[str, Any]:
        return self._look(ref)

    def create_config(self, name: str, data: bytes, labels: Any) -> dict[str, str]:
        return {"ID": self._made({"Name": name, "Labels": labels, "Data": data.decode()})}

    def remove_config(self, ref: str) -> None:
        self.remove_service(ref)


class MemoryDocker:
    """A client of that API: implements what drivers.swarm.client.Docker does for the drivers."""

    name = "unix:///memory"

    def __init__(self) -> None:
        self.api, self.fault, self.mutations = MemoryApi(), "", 0
        self.fence: Fence = lambda: None

    async def read(self, doing: str, call: Callable[[Any], Any]) -> Any:
        if self.fault == "unavailable":
            raise Unreachable(f"cannot {doing}: no answer; asking again")
        return call(self.api)

    async def look(self, doing: str, call: Callable[[Any], Any]) -> Any:
        try:
            return await self.read(doing, call)
        except Gone:
            return None

    async def write(self, doing: str, call: Callable[[Any], Any]) -> Any:
        self.fence()
        self.mutations += 1
        if self.fault in ("drop_before", "hang"):
            raise Ambiguous("no answer")
        try:
            done = call(self.api)
        except Gone as error:
            raise Conflict("it is gone") from error
        if self.fault:
            raise Ambiguous("no answer")
        return done

    async def remove(self, doing: str, call: Callable[[Any], Any]) -> None:
        try:
            await self.write(doing, call)
        except Conflict:  # it was gone before
            return

    async def close(self) -> None:
        """Nothing to let go of."""


class _OnSwarm:
    """What both have in common."""

    secret = ""
    admin: Any = None

    def __init__(self) -> None:
        self.docker = MemoryDocker()

    def reset(self) -> None:
        """An empty Swarm."""
        self.docker = MemoryDocker()

    def broken(self, fault: str, **more: Any) -> None:
        """Misbehave."""
        self.docker.fault = fault

    def honest(self) -> None:
        """Behave."""
        self.docker.fault = ""

    def meddle(self, verb: str, ref: str = "", **fields: Any) -> str:
        """As a person with the docker command."""
        rows = self.docker.api.rows
        match verb:
            case "create":
                name = str(fields.get("name") or f"somebody-{len(rows)}")
                spec = {"Name": name, "Labels": fields.get("labels") or {}, "TaskTemplate": TEMPLATE}
                return self.docker.api._made(spec)
            case "change":
                if "tags" in fields:
                    rows[ref]["Spec"]["Labels"] = {}
                rows[ref]["Version"] = {"Index": next(self.docker.api.count)}
            case "delete":
                del rows[ref]
        return ref

    def tags(self, owner: Owner, part: str) -> Mapping[str, Any]:
        """As the driver tags."""
        return {"labels": tags.labels(owner, part)}

    def refs(self) -> list[str]:
        """All there are."""
        return list(self.docker.api.rows)

    def mutations(self) -> int:
        """How many writes arrived."""
        return self.docker.mutations


class Services(_OnSwarm):
    """Services as parts."""

    name = "swarm services"
    part = "service/0"
    cannot: Mapping[Hook, str] = CANNOT

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver of that Swarm's services."""
        self.docker.fence = fence
        return ServiceDriver(self.docker, installation=INSTALLATION)  # type: ignore[arg-type]

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """One with a template."""
        part = part or self.part
        step = Step("create", part, "no such thing carries our tag", {"spec": {"TaskTemplate": TEMPLATE, "Mode": {}}})
        return step, Intent(owner, part, owner.external_name(part))

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """Another number of tasks."""
        mode = {"Replicated": {"Replicas": 3}}
        spec = {"TaskTemplate": TEMPLATE, "Mode": mode}
        change = {"spec": spec, "version": self.docker.api.rows[ref]["Version"]["Index"] if ref in self.docker.api.rows else 1}
        return Step("update", self.part, "it differs", change, ref=ref), lambda live: live.spec["Mode"] == mode


class Configs(_OnSwarm):
    """Configs as parts; secrets and networks go the same way."""

    name = "swarm configs"
    part = "config/0"
    cannot: Mapping[Hook, str] = {**CANNOT, Hook.UPDATE: "a config cannot be changed: another content is another config"}

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver of that Swarm's configs."""
        self.docker.fence = fence
        return ItemDriver(self.docker, CONFIGS, installation=INSTALLATION)  # type: ignore[arg-type]

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """One with a text."""
        part = part or self.part
        return Step("create", part, "it is missing", {"text": "a"}), Intent(owner, part, owner.external_name(part))


SWARM_SERVING = (Services(), Configs())
