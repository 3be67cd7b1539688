"""Every kind that the daemon reconciles."""

from __future__ import annotations

from typing import Any

from reconciler.engine.kind import Kind
from reconciler.kinds.machine import MachineKind
from reconciler.kinds.providers import Providers


def all_kinds(providers: Providers) -> dict[str, Kind[Any]]:
    """Every kind the daemon reconciles, by plural. A new kind is one file and one line here."""
    return {"machines": MachineKind(providers)}
