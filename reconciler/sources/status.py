"""What there is to say of a source, in the shape that `anneal status` and the source's ConfigMap carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from specs.loading import HINT, SpecError

State = Literal["Synced", "Errors", "Unreadable", "ConfirmationRequired"]
STORED_ROWS = 200
"""Most errors and most pending removals that are stored; the daemon itself knows them all."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, where, and what to do. Lines and columns count from 1; 0 where there is none."""

    file: str
    line: int = 0
    column: int = 0
    object: str = ""
    path: str = ""
    message: str = ""
    hint: str = HINT

    @classmethod
    def of(cls, error: SpecError) -> Problem:
        """The same, as specs.loading says it."""
        return cls(error.file, error.line, error.column, error.object, error.path, error.message, error.hint)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return "  ".join(part for part in (place, self.object, self.path, self.message) if part)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source stands after a pass."""

    id: str
    path: str
    state: State = "Synced"
    files: int = 0
    objects: int = 0
    """Objects of this source in the API server."""
    last_sync: str = ""
    """When the last pass ended; empty before the first."""
    errors: tuple[Problem, ...] = ()
    pending: tuple[str, ...] = ()
    """Removals that wait for `anneal confirm`."""

    def as_dict(self, rows: int | None = None) -> dict[str, Any]:
        """The JSON shape; `rows` cuts the two lists."""
        return {
            "id": self.id,
            "path": self.path,
            "state": self.state,
            "files": self.files,
            "objects": self.objects,
            "lastSync": self.last_sync,
            "errors": [asdict(error) for error in self.errors[:rows]],
            "pendingRemovals": list(self.pending[:rows]),
        }

    def same(self, other: dict[str, Any]) -> bool:
        """Whether nothing but the time differs from a stored status."""
        mine = self.as_dict(STORED_ROWS)
        return {**mine, "lastSync": None} == {**other, "lastSync": None}
