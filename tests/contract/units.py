"""The harness of local processes: real ones, under a folder of their own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from drivers.contract import Driver, Fence, Intent, Owner, Step
from drivers.local import processes
from drivers.local.unit import UnitSpec
from drivers.local.units import UnitDriver
from tests.contract.harness import INSTALLATION, Hook

NO_NETWORK = "a process is started on this machine: there is no answer that could be lost, and nobody who refuses"
CANNOT = {
    Hook.LOSE_ANSWERS: NO_NETWORK,
    Hook.REFUSE: NO_NETWORK,
    Hook.OTHER_VIEW: NO_NETWORK,
    Hook.EMPTY_LISTS: NO_NETWORK,
    Hook.LATE: "a folder shows what is in it at once",
    Hook.ROTATE: "nobody asks for a token",
    Hook.UNREACHABLE: NO_NETWORK,
    Hook.BLIND: "a folder that is there can be read; one that is not has a test of its own",
    Hook.TWICE: "a unit's name is its folder, and its lock: what is made twice is one",
    Hook.SEVERAL_AT_ONCE: "a hundred processes would be started to ask a question that reads files",
}


class Counting(UnitDriver):
    """Counts what reaches the machine."""

    counts: dict[str, int]

    async def _start(self, folder: Path, record: dict[str, Any], part: str) -> str:
        self.counts["mutations"] += 1
        return await super()._start(folder, record, part)


class Units:
    """Processes that sleep."""

    name = "local-unit"
    part = "web/0"
    cannot: Mapping[Hook, str] = CANNOT
    secret = ""

    def __init__(self) -> None:
        self.root = Path("/nonexistent")
        self.admin: Any = None
        self.counts = {"mutations": 0, "reads": 0}

    def reset(self) -> None:
        """No processes."""
        self.end()
        self.root = Path(tempfile.mkdtemp(prefix="anneal-units-"))
        self.counts = {"mutations": 0, "reads": 0}

    def end(self) -> None:
        """Kill what is left."""
        for folder in self.root.glob("*"):
            with suppress(OSError, ValueError, KeyError):
                processes.kill(json.loads((folder / "unit.json").read_text())["process"], folder)
        shutil.rmtree(self.root, ignore_errors=True)

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver of that folder."""
        driver = Counting(self.root, fence, INSTALLATION)
        driver.counts = self.counts
        return driver

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """One that sleeps."""
        part = part or self.part
        step = Step("create", part, "no such thing carries our tag", UnitSpec(["sleep", "1000"]).change())
        return step, Intent(owner, part, owner.external_name(part))

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """Ended, and started again as another."""
        folder = self.root / ref
        process = json.loads((folder / "unit.json").read_text())["process"]
        processes.kill(process, folder)
        _await(lambda: not processes.alive(process))
        want = UnitSpec(["sleep", "2000"])
        return Step("update", self.part, "it ended", want.change(), ref=ref), lambda live: live.digest == want.digest

    def meddle(self, verb: str, ref: str = "", **fields: Any) -> str:
        """As a person with a shell."""
        match verb:
            case "create":
                name = str(fields.get("name") or f"somebody-{time.monotonic_ns()}")
                self._write(name, fields.get("tag") or {"installation": "", "owner": "", "part": ""})
                return name
            case "change":
                record = json.loads((self.root / ref / "unit.json").read_text())
                tag = record["tag"] if "tags" not in fields else {"installation": "", "owner": "", "part": ""}
                process = record["process"] | ({"start": 1} if "name" in fields else {})
                (self.root / ref / "unit.json").write_text(json.dumps(record | {"tag": tag, "process": process}))
            case "delete":
                processes.kill(json.loads((self.root / ref / "unit.json").read_text())["process"], self.root / ref)
                shutil.rmtree(self.root / ref)
        return ref

    def tags(self, owner: Owner, part: str) -> Mapping[str, Any]:
        """As the driver tags."""
        return {"tag": {"installation": owner.installation, "owner": owner.uid, "part": part}}

    def refs(self) -> list[str]:
        """The folders of processes that nobody asked to end: what ends takes its time."""
        return sorted(path.parent.name for path in self.root.glob("*/unit.json") if not (path.parent / "stop.json").exists())

    def mutations(self) -> int:
        """How many starts were tried."""
        return self.counts["mutations"]

    def reads(self) -> int:
        """Not counted."""
        return self.counts["reads"]

    def _write(self, name: str, tag: Mapping[str, str]) -> None:
        spec = UnitSpec(["sleep", "1"])
        process = {"pid": os.getpid(), "start": 1, "boot": "another", "time": time.time()}
        record = spec.change() | {"tag": tag, "created": "2026-01-01", "starts": 1, "process": process}
        (self.root / name).mkdir()
        (self.root / name / "unit.json").write_text(json.dumps(record))


def _await(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
