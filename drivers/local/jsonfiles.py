"""JSON files that one process writes and another reads at any time: whole, or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MAX_BYTES = 8 * 1024 * 1024


def read_json(path: Path) -> Any:
    """The value; None if there is no such file, or it is no JSON, or too long."""
    try:
        with path.open("rb") as file:
            return json.loads(file.read(MAX_BYTES + 1))
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Replace the file atomically; readable by its owner only. OSError if it cannot be."""
    fresh = path.with_name(f".{path.name}.new")
    with open(fresh, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
