"""Processes of units: who is alive, who is left over, and how to end them. A pid alone is never trusted."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.local.shim import boot_id, start_ticks


def alive(process: Mapping[str, Any] | None) -> bool:
    """Whether the very process of a unit's record runs: same boot, same pid, same start."""
    if not process or process.get("boot") != boot_id():
        return False
    return start_ticks(int(process["pid"])) == int(process["start"])


def terminate(process: Mapping[str, Any]) -> None:
    """Ask the unit's main process to end. What it started it ends itself."""
    _signal(process, signal.SIGTERM)


def kill(process: Mapping[str, Any], folder: Path) -> None:
    """End the unit's process and all that it started, now."""
    _signal(process, signal.SIGKILL)
    for pid in leftovers(folder):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def leftovers(folder: Path) -> list[int]:
    """The processes that carry the unit's mark in their environment, whoever their parent is by now."""
    mark = f"\0ANNEAL_UNIT={folder}\0".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environment = b"\0" + Path(f"/proc/{name}/environ").read_bytes() + b"\0"
            if mark in environment and start_ticks(int(name)) is not None:
                found.append(int(name))
    return found


def _signal(process: Mapping[str, Any], number: signal.Signals) -> None:
    """Signal the process of the record and no other: held by a pidfd, checked again once it is held."""
    try:
        handle = os.pidfd_open(int(process["pid"]))
    except OSError:
        return
    try:
        if alive(process):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)
