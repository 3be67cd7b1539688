"""Hears at once when a process ends, whoever started it: the kernel makes its pidfd readable."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Deaths:
    """Calls `heard` with what was given to `watch` once that process has ended. For one event loop."""

    heard: Callable[[str], None]
    _handles: dict[tuple[int, str], int] = field(default_factory=dict)

    def watch(self, pid: int, whose: str) -> None:
        """Tell `whose` when this process ends. A process that is watched already, or gone, costs nothing."""
        if (pid, whose) in self._handles:
            return
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return
        self._handles[pid, whose] = handle
        asyncio.get_running_loop().add_reader(handle, self._ended, pid, whose)

    def close(self) -> None:
        """Stop listening."""
        for pid, whose in list(self._handles):
            self._forget(pid, whose)

    def _ended(self, pid: int, whose: str) -> None:
        self._forget(pid, whose)
        self.heard(whose)

    def _forget(self, pid: int, whose: str) -> None:
        handle = self._handles.pop((pid, whose))
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
