"""Reads the daemon's log back, for `anneal logs`: the last lines that match, then what is added, across rotations."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

POLL_SECONDS = 0.2
"""One thread per follower would be dearer than a stat five times a second."""

Match = Callable[[Mapping[str, Any]], bool]


def about(plural: str | None = None, namespace: str | None = None, name: str | None = None) -> Match | None:
    """Match the lines about these objects; None, which matches every line, if nothing is asked for."""
    wanted = {key: value for key, value in (("plural", plural), ("namespace", namespace), ("name", name)) if value}
    if not wanted:
        return None
    return lambda event: all(event.get(key) == value for key, value in wanted.items())


async def tail(path: Path, *, match: Match | None = None, n: int = 100, follow: bool = False) -> AsyncIterator[str]:
    """Yield the last `n` matching lines, oldest first, each without its line end; with `follow`, go on until cancelled.

    A line that is no JSON (an interpreter's last words) matches only where every line does. A missing file is an empty one.
    """
    file, last = await asyncio.to_thread(_last, path, match, n)
    try:
        for line in last:
            yield line
        rest = b""
        while follow:
            chunk = await asyncio.to_thread(file.read, 1 << 20) if file else b""
            if chunk:
                *lines, rest = (rest + chunk).split(b"\n")
                for raw in lines:
                    if _fits(raw, match):
                        yield raw.decode("utf-8", "replace")
                continue
            after = await asyncio.to_thread(_successor, path, file)
            if after is None:
                await asyncio.sleep(POLL_SECONDS)
                continue
            if file:
                file.close()
            file, rest = after, b""
    finally:
        if file:
            file.close()


def _last(path: Path, match: Match | None, n: int) -> tuple[IO[bytes] | None, list[str]]:
    """Read the youngest file to the last line end and, if that is not enough, older ones; keep the youngest one open there."""
    current = _open(path)
    found: deque[str] = deque(_lines(current, match) if current else (), maxlen=n)
    for number in _older(path):
        if len(found) >= n:
            break
        if older := _open(_numbered(path, number)):
            with older:
                lines = deque(_lines(older, match), maxlen=n - len(found))
            found.extendleft(reversed(lines))
    return current, list(found)


def _lines(file: IO[bytes], match: Match | None) -> Iterator[str]:
    """Yield the matching lines; leave the file at the end of the last whole one."""
    whole = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        whole += len(line)
        if _fits(line, match):
            yield line.rstrip(b"\n").decode("utf-8", "replace")
    file.seek(whole)


def _fits(line: bytes, match: Match | None) -> bool:
    if not line.strip():
        return False
    if match is None:
        return True
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(event, dict) and match(event)


def _successor(path: Path, file: IO[bytes] | None) -> IO[bytes] | None:
    """Open the file that was begun after `file`; None if `file` is still the one being written."""
    if file is None:
        return _open(path)
    here = os.fstat(file.fileno())
    try:
        now = path.stat()
    except OSError:
        return None
    if (now.st_dev, now.st_ino) == (here.st_dev, here.st_ino):
        return None
    number = 1  # more than one rotation may have happened since the last look
    while (older := _numbered(path, number)).exists():
        if (older.stat().st_dev, older.stat().st_ino) == (here.st_dev, here.st_ino):
            return _open(path if number == 1 else _numbered(path, number - 1))
        number += 1
    return _open(path)


def _older(path: Path) -> Iterator[int]:
    number = 1
    while _numbered(path, number).exists():
        yield number
        number += 1


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _open(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None
