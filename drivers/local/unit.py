"""What a unit is: a process of this machine that outlives the daemon, as it should be and as it is. Values only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Mode = Literal["service", "job"]
State = Literal["Running", "Stopping", "Exited"]


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """A process to run. `{folder}` in command, environment and files stands for the unit's own folder."""

    command: Sequence[str]
    mode: Mode = "service"
    """A service runs until it is stopped; a job ends, and how it ended is written down."""
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Files to write before it starts: path, relative to the unit's folder or absolute → text."""
    generates: Sequence[str] = ()
    """Files with a random token each, made once."""
    outputs: Sequence[str] = ()
    """JSON files that it writes: they are read with every look."""
    clears: Sequence[str] = ()
    """Files that an earlier start may have left, and that must not be taken for this one's."""
    logs: Sequence[str] = ()
    """Logs that it writes itself, beside what it prints."""
    removes: Sequence[str] = ()
    """Folders that go when the unit goes."""
    label: str = ""
    """What tells one purpose of a part from another, such as a run's id."""
    counts: str = ""
    """What may change without its being another purpose: the unit goes on with it."""
    grace_seconds: float = 15.0
    """Between SIGTERM and SIGKILL."""

    @property
    def digest(self) -> str:
        """Tells one specification from another. What is not said is not in it: a later version may have more to say."""
        said = {name: value for name, value in asdict(self).items() if value}
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=list).encode()).hexdigest()[:16]

    def change(self) -> dict[str, Any]:
        """As a Step carries it."""
        return asdict(self) | {"digest": self.digest}


@dataclass(frozen=True, slots=True)
class Unit:
    """A process as it was found."""

    name: str
    id: str
    state: State
    digest: str
    label: str
    folder: str
    counts: str
    starts: int
    """How often it was started in a row without having run for long."""
    started: float
    """Unix time."""
    pid: int | None = None
    """Its process, while it runs."""
    ended: float | None = None
    """Unix time, if it is known."""
    code: int | None = None
    """Exit code of a job; None: it was killed, or nobody was there to see."""
    signal: int | None = None
    """The signal that ended a job."""
    message: str = ""
    """Why it could not be started."""
    memory: int | None = None
    """Most memory a job used, in bytes."""
    stopping_since: float | None = None
    """Unix time of the SIGTERM."""
    stopped: bool = False
    """Whether it ended because somebody stopped it."""
    grace_seconds: float = 15.0
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What it wrote: name of the output → its JSON. What is not there yet, or half written, is left out."""
    last_words: str = ""
    """The end of its log, once it has ended by itself."""

    def overdue(self, now: float) -> bool:
        """Whether it was asked to end and its time is up."""
        return self.stopping_since is not None and now - self.stopping_since > self.grace_seconds

    @property
    def how_it_ended(self) -> str:
        """For people."""
        if self.message:
            return self.message
        if self.signal is not None:
            return f"it was killed by signal {self.signal}"
        return f"it ended with code {self.code}" if self.code is not None else "it ended"
