"""Folders that are things: how they are found, by owner or by name, and how they go, whole or not at all."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from drivers.contract import Owner, Unreachable
from drivers.judging import Live, Thing
from drivers.snapshot import SharedList

RUBBISH = ".gone-"


@dataclass(frozen=True, slots=True)
class Shelf(Generic[Live]):
    """The folders in `root`, each read by `read`; None from it: the folder is no thing, or is half made. `what` is for people."""

    root: Path
    read: Callable[[Path], Thing[Live] | None]
    what: str = ""

    def shared(self) -> SharedList[Live]:
        """The questions of many, answered by few looks."""
        return SharedList(self.everything, self.of_owner, self.by_id)

    async def everything(self) -> list[Thing[Live]]:
        """All things. Unreachable."""
        return await asyncio.to_thread(self._list)

    async def of_owner(self, owner: Owner) -> list[Thing[Live]]:
        """The things of one owner. Unreachable."""
        return [thing for thing in await self.everything() if thing.owner == owner.uid]

    async def by_id(self, ref: str) -> Thing[Live] | None:
        """The thing of this name."""
        return None if "/" in ref else await asyncio.to_thread(self.read, self.root / ref)

    def _list(self) -> list[Thing[Live]]:
        try:
            folders = swept(self.root)
        except OSError as error:
            what = f"{self.what} in {self.root}" if self.what else str(self.root)
            raise Unreachable(f"cannot list {what}: {error.strerror}; nothing is concluded from that") from error
        return [thing for folder in folders if (thing := self.read(folder))]


def discard(folder: Path) -> None:
    """Take a folder away, as one step for whoever looks: a crash leaves rubbish, not half a folder. Blocks."""
    rubbish = folder.with_name(f"{RUBBISH}{uuid.uuid4().hex[:8]}")
    with suppress(FileNotFoundError):
        folder.rename(rubbish)
    shutil.rmtree(rubbish, ignore_errors=True)


def swept(root: Path) -> list[Path]:
    """The folders in `root`, by name, once what a crash left of others is swept away. OSError. Blocks."""
    found = []
    for path in sorted(root.iterdir()):
        if path.name.startswith(RUBBISH):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            found.append(path)
    return found
