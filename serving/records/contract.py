"""What a record of accepted requests can do, whoever keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from serving.message import Columns, Failure

State = Literal["PENDING", "SUCCEEDED", "FAILED"]
TOMBSTONE_FACTOR = 24
"""An expired request is remembered, without its content, so many times as long as its result was kept."""
DEAD_LETTERS = 1000
"""So many dead letters are kept; the oldest go first."""
REMEMBERED_SECONDS = 3600
"""So long it is known who had dead letters taken out."""


class RecordDown(Exception):
    """The record does not answer. Nothing may be promised now."""


@dataclass(slots=True)
class Job:
    """One accepted request."""

    id: str
    """Unguessable: 128 bits."""
    form: str
    """How it came and how it is answered: "v2", "rows", "csv" or "page"."""
    revision: int
    digest: str
    queue: str
    rows: int
    visitor: str = ""
    """Whose recent requests it belongs to; empty: nobody's."""
    columns: Columns | None = None
    state: State = "PENDING"
    accepted: float = 0.0
    finished: float | None = None
    expired: bool = False
    """The result is no longer kept; the state stays."""
    sends: int = 0
    labels: list[Any] | None = None
    probabilities: list[list[float]] | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class DeadLetter:
    """A request that was given up, with its content, for a person to look at."""

    id: str
    revision: int
    digest: str
    reason: str
    message: str
    columns: Columns
    at: float


class Records(Protocol):
    """Every method raises RecordDown within two seconds if the record does not answer."""

    def accept(self, jobs: Sequence[Job]) -> None:
        """Write them down durably: when this returns, they survive everything."""

    def withdraw(self, ids: Sequence[str]) -> None:
        """Forget jobs that could not be queued and were therefore not promised."""

    def sent(self, ids: Sequence[str], at: float) -> None:
        """They were put on their queue."""

    def pending(self, ids: Sequence[str]) -> list[Job]:
        """Those of them that have no answer yet, with their columns."""

    def finish(self, job: str, labels: list[Any], probabilities: list[list[float]] | None, at: float) -> bool:
        """Store a result; False if there was an answer already. The first answer stays."""

    def fail(self, job: str, failure: Failure, at: float) -> bool:
        """Store that there will be no result, and a dead letter."""

    def bury(self, letter: DeadLetter) -> None:
        """Keep a dead letter of a request that was waited for."""

    def dead(self) -> list[DeadLetter]:
        """The dead letters, newest first."""

    def unbury(self, ids: Sequence[str], by: str) -> None:
        """Forget these dead letters. At whose request is remembered for REMEMBERED_SECONDS."""

    def unburied(self, by: str) -> list[str]:
        """The dead letters that were forgotten at this request, in that order."""

    def revive(self, job: Job) -> bool:
        """Have a request that was given up answered after all, under its id; False if it is pending no less, or was answered."""

    def redelivered(self, message: str) -> int:
        """Count one more delivery of a message, for brokers that do not; its number."""

    def get(self, job: str) -> Job | None:
        """One job with its result, an expired one without; None: there never was one, or it is long gone."""

    def recent(self, visitor: str, limit: int) -> list[Job]:
        """A visitor's jobs, newest first, with columns and results where they are short."""

    def unfinished(self) -> int:
        """How many accepted jobs have no answer yet."""

    def overdue(self, now: float, after: float) -> list[Job]:
        """Pending jobs whose last sending lies so long ago, doubled with each sending; without columns."""

    def stranded(self, queues: Sequence[str]) -> list[Job]:
        """Pending jobs of queues that are not among these, with their columns."""

    def move(self, job: str, revision: int, digest: str, queue: str) -> None:
        """A pending job belongs to another revision from now on."""

    def expire(self, now: float, ttl: float) -> None:
        """Drop what is too old: results first, then tombstones."""
