"""Folders that go: renamed first, then removed. A crash leaves the folder, or rubbish that the next look sweeps away."""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

PREFIX = ".gone-"


def discard(folder: Path) -> None:
    """Take a folder away, as one step for whoever looks. Nothing happens if there is none. Blocks."""
    rubbish = folder.with_name(f"{PREFIX}{uuid.uuid4().hex[:8]}")
    with suppress(FileNotFoundError):
        folder.rename(rubbish)
    shutil.rmtree(rubbish, ignore_errors=True)


def folders(root: Path) -> list[Path]:
    """The folders in `root`, by name; what a crash left of others is swept away. OSError. Blocks."""
    found = []
    for path in sorted(root.iterdir()):
        if path.name.startswith(PREFIX):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            found.append(path)
    return found
