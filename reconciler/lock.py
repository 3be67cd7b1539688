"""One daemon per home: a lock that the kernel gives back however the process ends."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field

from reconciler.home import Home


class HomeLocked(Exception):
    """Another daemon runs on this home."""


@dataclass(slots=True)
class HomeLock:
    """Held from `acquire` to the end of the process."""

    home: Home
    _file: int = field(default=-1)

    def acquire(self) -> None:
        """Take the lock; HomeLocked names the pid that holds it."""
        file = os.open(self.home.lockfile, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            message = f"another daemon holds {self.home.root} (pid {holder}): use it, or stop it with `anneal down`"
            raise HomeLocked(message) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file
