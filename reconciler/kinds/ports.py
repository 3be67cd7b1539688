"""A port is kept for life, unless a stranger took it while nobody of ours listened. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Plan, Step, Wait
from drivers.local.folders import Folder
from drivers.local.unit import Unit
from reconciler.kinds.processes import pause
from specs.meta import Reason

FAILED_STARTS = 3
"""A process that was killed may leave children that listen for a moment: only what fails this often has lost its port."""


def lost(folder: Folder, unit: Unit | None) -> list[int]:
    """The ports that this process cannot get: it failed to start again and again, and somebody listens there."""
    if unit is None or unit.state != "Exited" or unit.stopped or unit.starts < FAILED_STARTS:
        return []
    return sorted(folder.ports[name] for name in folder.taken)


def moved(folder: Folder, unit: Unit | None, change: Mapping[str, Any]) -> Plan | None:
    """Other ports in place of those that were lost; None if none was. `change` has `ports` and `firstPort`."""
    if not (gone := lost(folder, unit)):
        return None
    return (Step("update", "folder", f"port {gone[0]} was taken by another program", change, ref=folder.id),)


def wanted_by_name(folder: Folder, unit: Unit | None, field: str) -> Plan | None:
    """The port stands in the spec and a stranger has it: a person must choose."""
    if unit is None or not (gone := lost(folder, unit)):
        return None
    message = f"port {gone[0]} is taken by another program: end that, or set {field} to another port; trying again"
    return Wait(Reason.RESTARTING, message, max(1.0, pause(unit)))
