"""What can be set about the embedded API server. The defaults suit one machine; tests make times and sizes small."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The database. Times in seconds."""

    keep_seconds: float = 600.0
    """Changes younger than this can be replayed by a watch, unless there are too many of them."""
    keep_revisions: int = 50_000
    """So many changes are kept at most."""
    busy_seconds: float = 5.0
    """How long a write waits for another process that holds the database."""
    max_bytes: int | None = None
    """The database does not grow beyond this; writes then fail as they do on a full disk."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The server. Times in seconds, sizes in bytes."""

    store: StoreSettings = field(default_factory=StoreSettings)
    bookmark_seconds: float = 20.0
    """A watch that asked for bookmarks gets one at least this often."""
    watch_seconds: float = 3000.0
    """A watch that names no timeout ends after this; clients then go on from where they were."""
    watch_events: int = 20_000
    """A watcher this many events behind is cut off."""
    watch_bytes: int = 32 * 2**20
    """A watcher this far behind is cut off."""
    body_bytes: int = 3 * 2**20
    """A longer request body is refused, as by Kubernetes."""
    body_seconds: float = 30.0
    """A request body that takes longer to arrive is refused."""
    idle_seconds: float = 75.0
    """A connection on which no request is complete for this long is closed."""
    events_seconds: float = 3600.0
    """Events are forgotten after this."""
    events_max: int = 5000
    """Only so many Events are kept; the oldest go first."""
    upkeep_seconds: float = 30.0
    """How often Events are expired and old changes compacted."""
