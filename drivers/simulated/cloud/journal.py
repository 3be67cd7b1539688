"""One file that is both the request log and the state: each line says what was asked, and what it changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

Entry = dict[str, Any]


class Journal:
    """An append-only file of JSON lines. What was appended survives kill -9 of the process that wrote it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def replay(self) -> Iterator[Entry]:
        """All lines in their order. A last line torn by a crash was never answered: it is cut off."""
        whole = 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            yield orjson.loads(line)
        os.ftruncate(self._file, whole)

    def append(self, entry: Entry) -> None:
        """Write one line, in one call."""
        os.write(self._file, orjson.dumps(entry) + b"\n")

    def clear(self) -> None:
        """Forget everything."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
