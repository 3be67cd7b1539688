"""Units as parts: processes of this machine that outlive the daemon. One folder, one lock, one record each.

A unit's folder is its tag: `unit.json` in it says whose it is. Its name comes from the owner's UID and the part, so what is made
twice is one: the second finds the folder's lock taken.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.contract import (
    Ambiguous,
    Conflict,
    Fence,
    Intent,
    InvalidConfiguration,
    Observation,
    Owner,
    Present,
    Step,
    Survey,
    Unknown,
)
from drivers.judging import Thing
from drivers.local import processes, shim
from drivers.local.deaths import Deaths
from drivers.local.jsonfiles import read_json
from drivers.local.shelf import Shelf, discard
from drivers.local.unit import State, Unit
from drivers.snapshot import SharedList

START_SECONDS = 30.0
LONG_RUN_SECONDS = 600.0
"""Who ran so long is not one that ends again and again."""
LAST_WORDS = 2000


@dataclass(slots=True)
class UnitDriver:
    """All units of one home. `installation` narrows surveys to what is ours."""

    root: Path
    fence: Fence = lambda: None
    installation: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Files with secrets for what is started through this driver: name → text. They never stand in a plan."""
    died: Callable[[str], None] = lambda uid: None
    """Called with the owner's UID as soon as one of its processes ends."""
    name: str = "local/unit"
    settle_seconds: float = 0.0
    _shared: SharedList[Unit] | None = None
    _deaths: Deaths | None = None

    def __post_init__(self) -> None:
        if self._shared is None:
            self._shared, self._deaths = Shelf(self.root, _thing, "units").shared(), Deaths(self.died)

    def with_secrets(self, secrets: Mapping[str, str]) -> UnitDriver:
        """The same units, started with these files."""
        return replace(self, secrets=secrets)

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Unit]:
        """See the contract."""
        assert self._shared is not None
        assert self._deaths is not None
        seen = await self._shared.observe(owner, ref, after, part)
        if isinstance(seen, Present) and seen.live.pid is not None:
            self._deaths.watch(seen.live.pid, owner.uid)
        return seen

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        assert self._shared is not None
        return await self._shared.survey(self.installation)

    async def apply(self, step: Step, intent: Intent) -> str:
        """Start a unit. An update starts it again, where it has ended, as `Step.change` says; or ends it, with `stop: True`.

        `fresh: True` begins to count its starts anew: nothing was wrong with the ones before.
        """
        if step.verb == "update" and not step.ref:
            raise ValueError(f"{self.name} updates with a ref")
        folder = self.root / (step.ref or intent.name)
        before = read_json(folder / "unit.json") or {}
        if step.verb == "update" and not before:
            raise Conflict(f"cannot start {step.part} again: it is gone; looking again")
        if step.change.get("stop"):
            self.fence()
            stop(folder, before["process"], float(before["grace_seconds"]))
            return folder.name
        record = _record(folder, {**before, **step.change}, intent, before)
        self.fence()
        return await self._start(folder, record, step.part)

    async def destroy(self, ref: str) -> None:
        """SIGTERM; asked again when the time is up, SIGKILL; asked once it has ended, its folder goes."""
        folder = self.root / ref
        record = read_json(folder / "unit.json")
        self.fence()
        if record is None:
            await asyncio.to_thread(_remove, folder, ())
        elif processes.alive(process := record.get("process")):
            stop(folder, process, float(record.get("grace_seconds", 15.0)))
        else:
            await asyncio.to_thread(_clear, folder, record)

    async def logs(self, uid: str) -> dict[str, list[Path]]:
        """Part → the logs of each unit of an owner: what it prints, and what it writes itself. Unreachable."""
        found: dict[str, list[Path]] = {}
        for thing in await Shelf(self.root, _thing, "units").everything():
            if thing.owner == uid:
                record = read_json(self.root / thing.ref / "unit.json") or {}
                found[thing.part] = [self.root / thing.ref / "log", *map(Path, record.get("logs", ()))]
        return found

    async def close(self) -> None:
        """Forget what was seen."""
        assert self._shared is not None
        assert self._deaths is not None
        self._deaths.close()
        await self._shared.close()

    async def _start(self, folder: Path, record: dict[str, Any], part: str) -> str:
        for left in await asyncio.to_thread(self._left, folder):
            processes.kill({"pid": left, "start": shim.start_ticks(left), "boot": shim.boot_id()}, folder)
        command = [sys.executable, "-IS", shim.__file__, str(folder)]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, cwd="/"
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                _, said = await process.communicate(json.dumps(record | {"secrets": dict(self.secrets)}).encode())
        except TimeoutError as error:
            raise Ambiguous(f"cannot tell whether {part} started: no answer in {START_SECONDS:.0f} s; looking again") from error
        if process.returncode == shim.LOCKED:
            raise Conflict(f"cannot start {part}: {said.decode().strip()}; looking again", retry_after=1.0)
        if process.returncode and not (folder / "unit.json").exists():
            raise InvalidConfiguration(f"cannot start {part}: {said.decode('utf-8', 'replace').strip()[-500:]}")
        return folder.name

    def _left(self, folder: Path) -> list[int]:
        record = read_json(folder / "unit.json") or {}
        return [] if processes.alive(record.get("process")) else processes.leftovers(folder)


def stop(folder: Path, process: Mapping[str, Any], grace: float) -> None:
    """SIGTERM, or SIGKILL if it was asked before and its time is up. Waits for nothing."""
    asked = read_json(folder / "stop.json")
    if asked is None:
        (folder / "stop.json").write_text(json.dumps({"time": time.time()}))
        processes.terminate(process)
    elif time.time() - asked["time"] > grace:
        processes.kill(process, folder)


def _record(folder: Path, want: Mapping[str, Any], intent: Intent, before: Mapping[str, Any]) -> dict[str, Any]:
    """What the shim is told: the specification with its folder filled in, and whose it is."""

    def filled(value: Any) -> Any:
        return value.replace("{folder}", str(folder)) if isinstance(value, str) else value

    owner, now = intent.owner, time.time()
    ran = (read_json(folder / "exit.json") or {}).get("time", now) - before["process"]["time"] if before.get("process") else 0.0
    stopped, other = (folder / "stop.json").exists(), before.get("label") != want["label"]
    again = before and ran < LONG_RUN_SECONDS and not (stopped or other or want.get("fresh"))
    return {
        **{key: want[key] for key in ("mode", "label", "counts", "digest", "grace_seconds")},
        "command": [filled(word) for word in want["command"]],
        "env": {key: filled(value) for key, value in want["env"].items()},
        "files": {filled(key): filled(value) for key, value in want.get("files", {}).items()},
        **{key: [filled(value) for value in want[key]] for key in ("generates", "outputs", "clears", "logs", "removes")},
        "tag": {"installation": owner.installation, "owner": owner.uid, "part": intent.part},
        "object": f"{owner.kind}/{owner.namespace}/{owner.name}",
        "created": before.get("created") or datetime.now(UTC).isoformat(),
        "starts": int(before["starts"]) + 1 if again else 1,
    }


def _thing(folder: Path) -> Thing[Unit] | None:
    record = read_json(folder / "unit.json")
    if record is None:
        return None
    unit, tag = _unit(folder, record), record["tag"]
    return Thing(
        ref=folder.name,
        installation=tag["installation"],
        owner=tag["owner"],
        part=tag["part"],
        created=record["created"],
        healthy=unit.state == "Running",
        digest=hash((unit.state, unit.started, *(_stamp(folder / name) for name in record["outputs"]))),
        live=unit,
    )


def _unit(folder: Path, record: Mapping[str, Any]) -> Unit:
    process = record["process"]
    running = processes.alive(process)  # first: a job writes how it ended, then it ends; the other way round that would be missed
    stopping, ended = read_json(folder / "stop.json"), read_json(folder / "exit.json") or {}
    state: State = ("Stopping" if stopping else "Running") if running else "Exited"
    outputs = {Path(name).name: value for name in record["outputs"] if (value := read_json(folder / name)) is not None}
    return Unit(
        name=folder.name,
        id=folder.name,
        state=state,
        digest=record["digest"],
        label=record["label"],
        folder=str(folder),
        counts=record["counts"],
        starts=int(record["starts"]),
        started=process["time"],
        pid=process["pid"] if running else None,
        ended=None if running else ended.get("time"),
        code=ended.get("code"),
        signal=ended.get("signal"),
        message=ended.get("message") or "",
        memory=ended.get("memory"),
        stopping_since=stopping["time"] if stopping and running else None,
        stopped=not running and stopping is not None,
        grace_seconds=float(record["grace_seconds"]),
        outputs=outputs,
        last_words="" if running or stopping or ended.get("code") == 0 else _end_of(folder / "log"),
    )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        there = path.stat()
    except OSError:
        return (0, 0)
    return there.st_mtime_ns, there.st_size


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_WORDS))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _clear(folder: Path, record: Mapping[str, Any]) -> None:
    """The unit has ended: end what it left behind, and take its folders away."""
    processes.kill(record["process"], folder)
    _remove(folder, record.get("removes", ()))


def _remove(folder: Path, others: Any) -> None:
    for path in map(Path, others):
        shutil.rmtree(path, ignore_errors=True)
    discard(folder)
