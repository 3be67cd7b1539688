"""What goes through the queue and what comes back. Plain JSON, checked by the web process before it is sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

Columns = dict[str, list[Any]]
"""Values by column, all of one length. None is missing."""
TASK = "serving.predict"

Reason = Literal["WorkerLost", "PredictionFailed", "TimedOut", "Unanswered", "WrongModel"]
"""Why a request was not predicted. WorkerLost: it was delivered as often as allowed and no worker survived it."""


@dataclass(slots=True)
class Ask:
    """One message: the rows of many requests that wait, or the ids of accepted ones.

    `counts` says how many of the rows belong to each waiting request, in order. A message that came back is asked again in parts,
    one request each: `part` is the place in the first message, `attempts` how often its rows have been delivered before.
    """

    id: str
    reply: str = ""
    deadline: float = 0.0
    counts: list[int] = field(default_factory=list)
    columns: Columns = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    part: int | None = None
    attempts: int = 0

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) if self.jobs else {name: getattr(self, name) for name in self.__slots__}

    def parts(self, attempts: int) -> list[Ask]:
        """One message for each request in it."""
        if self.jobs:
            return [Ask(f"{self.id}.{i}", jobs=[job], attempts=attempts) for i, job in enumerate(self.jobs)]
        asks, start = [], 0
        for i, count in enumerate(self.counts):
            columns = {name: values[start : start + count] for name, values in self.columns.items()}
            asks.append(Ask(self.id, self.reply, self.deadline, [count], columns, [], i, attempts))
            start += count
        return asks

    @property
    def letter(self) -> str:
        """What its dead letter is called: the parts of one message are several."""
        return self.id if self.part is None else f"{self.id}.{self.part}"

    @property
    def requests(self) -> int:
        """How many requests are in it."""
        return len(self.jobs) or len(self.counts)


@dataclass(slots=True)
class Failure:
    """Why there is no prediction. `message` is for people and holds no trace and no path."""

    reason: Reason
    message: str


@dataclass(slots=True)
class Answer:
    """The predictions of all rows of an Ask, or of one part of it; or why there are none."""

    id: str
    labels: list[Any] = field(default_factory=list)
    probabilities: list[list[float]] | None = None
    part: int | None = None
    failure: Failure | None = None

    def slice(self, start: int, count: int) -> Answer:
        """The answer of some of the rows."""
        chosen = None if self.probabilities is None else self.probabilities[start : start + count]
        return Answer(self.id, self.labels[start : start + count], chosen, None, self.failure)

    def dump(self) -> bytes:
        """As JSON. NaN becomes null."""
        return orjson.dumps(self, option=orjson.OPT_SERIALIZE_NUMPY)

    @classmethod
    def load(cls, body: bytes) -> Answer:
        """From JSON."""
        values = orjson.loads(body)
        failure = values.pop("failure", None)
        return cls(**values, failure=Failure(**failure) if failure else None)
