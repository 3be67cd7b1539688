"""The simulated cloud's own journal, read from its file: looking at it costs the cloud nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """Each line is a mutating request with the time at which the cloud carried it out."""

    def __init__(self, cloud_state: Path) -> None:
        self._file = (cloud_state / "journal.jsonl").open("rb")
        self._file.seek(0, 2)
        self._rest = b""

    async def next(self, method: str, name: str = "", seconds: float = 20.0) -> dict[str, Any]:
        """Wait for the next request with this method, about the server `name` if one is given."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for entry in self._read():
                if entry["method"] == method and (not name or _name(entry) == name):
                    return entry
            await asyncio.sleep(0.002)
        raise TimeoutError(f"the cloud got no {method} within {seconds:.0f} s")

    def _read(self) -> list[dict[str, Any]]:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [orjson.loads(line) for line in lines]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _name(entry: dict[str, Any]) -> str:
    return next((str(value["name"]) for _, _, value in entry["changes"] if isinstance(value, dict)), "")
