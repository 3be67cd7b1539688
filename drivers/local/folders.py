"""Folders as parts: documents that local processes read and write, ports that are theirs, a token that nobody else reads.

`owner.json` in a folder is its tag, written last: a folder without it is half made, and is made anew.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.contract import Conflict, Fence, Intent, Observation, Owner, Present, QuotaExceeded, Step, Survey, Unknown
from drivers.judging import Thing
from drivers.local.jsonfiles import read_json, write_json
from drivers.local.shelf import Shelf, discard
from drivers.snapshot import SharedList

TAG = "owner.json"
LAST_PORT = 60_000


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it was found."""

    name: str
    id: str
    path: str
    ports: Mapping[str, int]
    """Ports that belong to it, for as long as it is there, or until it is given others."""
    documents: Mapping[str, Any] = field(default_factory=dict)
    """Its JSON files, and those one level down ("state/web.json"), by name."""
    taken: frozenset[str] = frozenset()
    """Names of the ports on which somebody listens: who they were made for, or a stranger."""


@dataclass(slots=True)
class FolderDriver:
    """All folders under one root.

    Create: `Step.change` has `documents` (name → JSON value), `ports` (name → how many in a row), `firstPort` or `port` (a given
    one), `generates` (names of files with a random token), `folders` (to make inside). Update: `documents`; or `ports` and
    `firstPort`, for others in their place.
    """

    root: Path
    purpose: str
    fence: Fence = lambda: None
    installation: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What stands for `{secret.<name>}` in documents. Secrets never stand in a plan."""
    settle_seconds: float = 0.0
    name: str = field(init=False)
    _shared: SharedList[Folder] = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"local/folder:{self.purpose}"
        self._shared = Shelf(self.root, _thing).shared()

    def with_secrets(self, secrets: Mapping[str, str]) -> FolderDriver:
        """The same folders, written with these secrets."""
        return replace(self, secrets=secrets)

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Folder]:
        """See the contract. Which of its ports are taken is asked here, of the one folder that somebody wants to know of."""
        match await self._shared.observe(owner, ref, after, part):
            case Present(ref=found, live=folder):
                taken = frozenset(name for name, port in folder.ports.items() if not _is_free(port))
                return Present(found, replace(folder, taken=taken))
            case other:
                return other

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return await self._shared.survey(self.installation)

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract, and the class."""
        if step.verb == "update":
            if not step.ref:
                raise ValueError(f"{self.name} updates with a ref")
            if read_json(self.root / step.ref / TAG) is None:
                raise Conflict(f"cannot change {step.part}: it is gone; looking again")
            self.fence()
            await asyncio.to_thread(self._change, self.root / step.ref, step.change)
            return step.ref
        name = str(step.change.get("name") or intent.name)
        if read_json(self.root / name / TAG) is not None:
            raise Conflict(f"cannot make {step.part}: {name} is there already; looking again")
        self.fence()
        await asyncio.to_thread(self._make, self.root / name, step.change, intent)
        return name

    async def destroy(self, ref: str) -> None:
        """Take the folder away."""
        self.fence()
        await asyncio.to_thread(discard, self.root / ref)

    async def close(self) -> None:
        """Forget what was seen."""
        await self._shared.close()

    def _make(self, folder: Path, change: Mapping[str, Any], intent: Intent) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("", *change.get("folders", ())):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in change.get("generates", ()):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(os.urandom(32).hex())
        ports = self._ports(change)
        _write(folder, self._filled(change.get("documents", {}), ports))
        tag = {"installation": intent.owner.installation, "owner": intent.owner.uid, "part": intent.part}
        created = datetime.now(UTC).isoformat()
        write_json(folder / TAG, {"tag": tag, "name": intent.name, "created": created, "ports": ports})

    def _change(self, folder: Path, change: Mapping[str, Any]) -> None:
        if ports := self._ports(change):
            write_json(folder / TAG, (read_json(folder / TAG) or {}) | {"ports": ports})
        _write(folder, self._filled(change.get("documents", {}), ports))

    def _filled(self, documents: Mapping[str, Any], ports: Mapping[str, int]) -> Any:
        places = {f"{{port.{name}}}": port for name, port in ports.items()}
        return _put(documents, places | {f"{{secret.{name}}}": text for name, text in self.secrets.items()})

    def _ports(self, change: Mapping[str, Any]) -> dict[str, int]:
        wanted: Mapping[str, int] = change.get("ports", {})
        if not wanted:
            return {}
        count, wish = sum(wanted.values()), change.get("port")
        base = int(wish) if wish else free_ports(count, int(change["firstPort"]), self._taken())
        found = {}
        for name, width in wanted.items():
            found[name], base = base, base + width
        return found

    def _taken(self) -> set[int]:
        tags = (read_json(path) for path in self.root.parent.glob(f"*/*/{TAG}"))
        return {port for tag in tags if tag for port in tag["ports"].values()}


def free_ports(count: int, first: int, taken: set[int]) -> int:
    """The first of `count` ports in a row that nobody listens on and nobody owns. QuotaExceeded if there are none."""
    run = 0
    for port in range(first, LAST_PORT):
        run = 0 if port in taken or not _is_free(port) else run + 1
        if run == count:
            return port - count + 1
    raise QuotaExceeded(f"cannot find {count} free ports in a row from {first} on; free some, or name one")


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _put(value: Any, places: Mapping[str, Any]) -> Any:
    """Put ports and secrets where a document says `{port.<name>}` or `{secret.<name>}`."""
    if isinstance(value, Mapping):
        return {key: _put(inner, places) for key, inner in value.items()}
    return places.get(value, value) if isinstance(value, str) else value


def _write(folder: Path, documents: Mapping[str, Any]) -> None:
    for name, value in documents.items():
        write_json(folder / name, value)


def _thing(folder: Path) -> Thing[Folder] | None:
    record = read_json(folder / TAG)
    if record is None:
        return None
    files = sorted(path for path in (*folder.glob("*.json"), *folder.glob("*/*.json")) if not path.name.startswith("."))
    documents = {str(path.relative_to(folder)): read_json(path) for path in files if path.name != TAG}
    ports: dict[str, int] = record["ports"]
    live = Folder(record["name"], folder.name, str(folder), ports, documents)
    tag = record["tag"]
    return Thing(
        ref=folder.name,
        installation=tag["installation"],
        owner=tag["owner"],
        part=tag["part"],
        created=record["created"],
        healthy=True,
        digest=hash(repr((ports, documents))),
        live=live,
    )
