"""Processes of units: who is alive, who is left over, and how to end them. A pid alone is never trusted."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.local.jsonfiles import read_json
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
    started = leftovers(folder)  # while its record says whose they are
    _signal(process, signal.SIGKILL)
    for pid in {*started, *leftovers(folder)}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def leftovers(folder: Path) -> list[int]:
    """The processes of the unit, whoever their parent is by now: they carry its mark in their environment.

    A program that gives itself a title (Ray's agents do) writes it over its environment, and one that is ending has none
    any more. Such a one is known by its session, which is that of the unit's own process.
    """
    mark = f"\0ANNEAL_UNIT={folder}\0".encode()
    process = (read_json(folder / "unit.json") or {}).get("process") or {}
    session = int(process["pid"]) if process.get("boot") == boot_id() else None
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        if pid == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environment = b"\0" + Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
            ours = mark in environment or (not _says_variables(environment) and os.getsid(pid) == session)
            if ours and start_ticks(pid) is not None:
                found.append(pid)
    return found


def _says_variables(environment: bytes) -> bool:
    """Whether it is an environment, not a title written over it or nothing at all: variables have an equals sign."""
    return b"=" in environment[1:].partition(b"\0")[0]


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
