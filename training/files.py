"""Files that are written whole or not at all, and a journal of which at most the last line is torn."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import orjson

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def encode(value: Any) -> bytes:
    """JSON; numpy's numbers are numbers, NaN is null."""
    return orjson.dumps(value, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON: a reader sees the old file or the new one, also after a power cut."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(encode(value))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_json(path: Path) -> Any:
    """What `path` holds; None if there is no such file."""
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def append_line(path: Path, value: Any) -> None:
    """Add one line of JSON; on disk when this returns. OSError: nothing was added, not half a line either."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        line = encode(value) + b"\n"
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def read_lines(path: Path) -> list[Any]:
    """All whole lines. A last line without its end was being written when its writer died: it is cut off, for good.

    ValueError: another line is broken, with its number.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole, _, torn = content.rpartition(b"\n")
    if torn:
        with path.open("rb+") as file:
            file.truncate(len(content) - len(torn))
    lines = []
    for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
        try:
            lines.append(orjson.loads(line))
        except orjson.JSONDecodeError as e:
            raise ValueError(f"line {number} is broken") from e
    return lines
