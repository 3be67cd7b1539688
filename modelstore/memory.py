"""What a process may take while it loads and uses a model: who wrote the model must not decide how much that is."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

LEAST = 2 << 30
"""What any model may take, bytes."""
TIMES = 8
"""What a model may take, as a multiple of its files: a forest unpacks to that much."""


def allowance(path: Path) -> int:
    """What a model may take when nobody says, bytes. path: its package, or the file that was brought."""
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return max(LEAST, TIMES * sum(file.stat().st_size for file in files))


def limit(more: int) -> None:
    """From now on this process, and what it starts, gets no more than `more` bytes beyond what it has; then: MemoryError.

    For processes that do nothing else. Others take `limited`.
    """
    most = private() + more
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


@contextlib.contextmanager
def limited(more: int) -> Iterator[None]:
    """The same, for a while."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit(more)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def private() -> int:
    """What counts against the limit by now, bytes: memory of one's own, not files nor what is shared."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
