"""What the cloud holds. Every change goes through `put` and `commit`, so that the journal can rebuild it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from drivers.simulated.cloud.journal import Entry, Journal

Thing = dict[str, Any]
TABLES = ("servers", "ports", "addresses")
OWNER = "anneal-owner"
DEFAULTS: dict[str, Any] = {
    "build_seconds": 0.2,
    "delete_seconds": 0.0,
    "quotas": {"servers": 100_000, "cores": 1_000_000, "ports": 100_000, "addresses": 100_000},
    "token": None,
    "project": "main",
    "clock": 0.0,
}
"""`clock` is how far the cloud's time is ahead of the real one; `token: None` lets everybody in."""


class World:
    """Three tables of things by id, the settings, and the log of requests."""

    def __init__(self, journal: Journal, settings: dict[str, Any]) -> None:
        self._journal = journal
        self._initial = {**DEFAULTS, **settings}
        self._changes: list[tuple[str, str, Any]] = []
        self._clear()
        for entry in journal.replay():
            self.log.append(entry)
            for table, key, value in entry["changes"]:
                self._set(table, key, value)

    def _clear(self) -> None:
        self.tables: dict[str, dict[str, Thing]] = {name: {} for name in TABLES}
        self.settings: dict[str, Any] = dict(self._initial)
        self.log: list[Entry] = []
        self._of_owner: defaultdict[tuple[str, str], dict[str, Thing]] = defaultdict(dict)
        self._dying: set[str] = set()
        self._changes.clear()

    def _set(self, table: str, key: str, value: Any) -> None:
        if table == "settings":
            self.settings[key] = value
            return
        if old := self.tables[table].pop(key, None):
            self._of_owner[table, old["tags"].get(OWNER, "")].pop(key, None)
        if value is not None:
            self.tables[table][key] = value
            self._of_owner[table, value["tags"].get(OWNER, "")][key] = value
            if value.get("gone_at"):
                self._dying.add(key)

    def find(self, table: str, tags: Mapping[str, str]) -> list[Thing]:
        """Everything in a table that carries these tags."""
        things = self._of_owner[table, tags[OWNER]] if OWNER in tags else self.tables[table]
        return [thing for thing in things.values() if tags.items() <= thing["tags"].items()]

    @property
    def now(self) -> float:
        """The cloud's own time, in seconds since the epoch."""
        return time.time() + float(self.settings["clock"])

    @property
    def serial(self) -> int:
        """The number of the next request to be logged."""
        return len(self.log) + 1

    def put(self, table: str, key: str, value: Any) -> None:
        """Change a thing or a setting; None removes. Takes effect at once, and lasts once it is committed."""
        self._set(table, key, value)
        self._changes.append((table, key, value))

    def commit(self, entry: Entry) -> None:
        """Write the request and all that it changed, before it is answered."""
        entry = {"n": self.serial, "time": self.now, **entry, "changes": self._changes}
        self._journal.append(entry)
        self.log.append({**entry, "changes": []})
        self._changes = []

    def reset(self) -> None:
        """Back to the first day."""
        self._journal.clear()
        self._clear()

    def sweep(self) -> None:
        """Let go of servers whose deletion is over. Follows from the clock alone, so it needs no journal."""
        for key in list(self._dying):
            server = self.tables["servers"].get(key)
            if server is None or not server["gone_at"] or server["gone_at"] <= self.now:
                self._dying.discard(key)
                if server is not None and server["gone_at"]:
                    self._set("servers", key, None)
