"""The routing table as it is seen, whatever the provider: which revision gets which share, and which was taken back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Seen
from reconciler.kinds.serving import folder_of
from reconciler.kinds.swarm.serving import table_of

Table = Mapping[str, Any]


def table(seen: Seen) -> Table:
    """The whole of it: on this machine a file of the folder, on a Swarm what the service `routes` keeps in Redis."""
    folder = folder_of(seen)
    return (folder.documents.get("routes.json") or {}) if folder else table_of(seen)


def main_route(seen: Seen) -> Mapping[str, Any] | None:
    """The revision that serves: the one that the table calls so, else the one with the largest share, the newest of equals."""
    found = table(seen)
    rows = found.get("revisions") or ()
    named = next((row for row in rows if row["revision"] == found.get("serving")), None)
    return named or max(rows, key=lambda row: (row["weight"], row["revision"]), default=None)


def rolled_back(seen: Seen) -> dict[int, Mapping[str, Any]]:
    """Revision → generation and message, of those from which the requests were taken back."""
    return {int(row["revision"]): {k: row[k] for k in ("generation", "message")} for row in table(seen).get("rolledBack") or ()}
