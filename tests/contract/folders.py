"""The harness of folders: real ones."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from drivers.contract import Driver, Fence, Intent, Owner, Step
from drivers.local.folders import TAG, FolderDriver
from tests.contract.harness import INSTALLATION, Hook
from tests.contract.units import CANNOT


class Folders:
    """Folders with a document and a port."""

    name = "local-folder"
    part = "folder/0"
    cannot: Mapping[Hook, str] = CANNOT | {Hook.COUNT: "a folder is made by many small writes"}
    secret = ""

    def __init__(self) -> None:
        self.root = Path("/nonexistent")
        self.admin: Any = None

    def reset(self) -> None:
        """No folders."""
        self.end()
        self.root = Path(tempfile.mkdtemp(prefix="anneal-folders-")) / "tests"
        self.root.mkdir()

    def end(self) -> None:
        """Take away what is left."""
        if self.root.parent != Path("/"):
            shutil.rmtree(self.root.parent, ignore_errors=True)

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver of that root."""
        return FolderDriver(self.root, "tests", fence, INSTALLATION)

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """One with a document."""
        part = part or self.part
        change = {"documents": {"a.json": {"port": "{port.http}"}}, "ports": {"http": 1}, "firstPort": 40_000}
        return Step("create", part, "no such thing carries our tag", change), Intent(owner, part, owner.external_name(part))

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """Another document."""
        step = Step("update", self.part, "it differs", {"documents": {"a.json": {"new": True}}}, ref=ref)
        return step, lambda live: live.documents == {"a.json": {"new": True}}

    def meddle(self, verb: str, ref: str = "", **fields: Any) -> str:
        """As a person with a shell."""
        nobody = {"installation": "", "owner": "", "part": ""}
        match verb:
            case "create":
                name = str(fields.get("name") or f"somebody-{time.monotonic_ns()}")
                (self.root / name).mkdir()
                tag = {"tag": fields.get("tag") or nobody, "name": name, "created": "2026-01-01", "ports": {}}
                (self.root / name / TAG).write_text(json.dumps(tag))
                return name
            case "change":
                record = json.loads((self.root / ref / TAG).read_text())
                if "tags" in fields:
                    (self.root / ref / TAG).write_text(json.dumps(record | {"tag": nobody}))
                else:
                    (self.root / ref / "a.json").write_text('"changed"')
            case "delete":
                shutil.rmtree(self.root / ref)
        return ref

    def tags(self, owner: Owner, part: str) -> Mapping[str, Any]:
        """As the driver tags."""
        return {"tag": {"installation": owner.installation, "owner": owner.uid, "part": part}}

    def refs(self) -> list[str]:
        """The folders with a tag."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{TAG}"))
