"""What a Swarm holds for a deployment, as it was found: services with their tasks, configs, secrets, networks. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENDED = ("complete", "failed", "rejected", "shutdown", "remove", "orphaned")
"""The states of a task that has come to its end."""
BROKEN = ("failed", "rejected")
UNPLACED = ("new", "allocated", "pending")
"""The states of a task that has not been given to a node yet."""
BEGUN_AGAIN = 2
"""So often a job that its node could not begin is begun again."""


def runs_once(spec: Mapping[str, Any]) -> bool:
    """Whether a service's specification is a job's: what has ended stays ended."""
    return bool(((spec.get("TaskTemplate") or {}).get("RestartPolicy") or {}).get("Condition") == "none")


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a service."""

    id: str
    state: str
    """Docker's word. "running" is said only once the health check has passed."""
    desired: str
    """The state that the Swarm wants it in."""
    current: bool
    """Whether it was made from the service's specification as it is now."""
    since: float
    """Unix time of the state."""
    node: str = ""
    """The id of its node."""
    message: str = ""
    """What went wrong, in Docker's words."""
    code: int | None = None
    """The exit code, once it has ended by itself."""
    lost: bool = False
    """Whether its node is down: nobody will hear of its end before that is back."""

    @property
    def ending(self) -> bool:
        """Whether the Swarm wants it to end."""
        return self.desired in ("shutdown", "remove")

    @property
    def over(self) -> bool:
        """Whether nothing of it runs, or will: Docker leaves one that was given up before it had a node as it was."""
        return self.state in ENDED or (self.ending and self.state in UNPLACED)


@dataclass(frozen=True, slots=True)
class Service:
    """A service and its tasks."""

    id: str
    name: str
    version: int
    """Docker's index: an update names it, and is refused if another was quicker."""
    spec: Mapping[str, Any]
    """Its specification, in the Engine API's own JSON."""
    tasks: tuple[Task, ...] = ()
    update: str = ""
    """How its last update goes, in Docker's words: updating, paused, completed; empty before the first."""
    update_since: float = 0.0
    """Since when, in Unix time."""
    output: Mapping[str, Any] = field(default_factory=dict)
    """What a job printed as its result; empty before its end."""
    last_words: str = ""
    """The end of a failed task's log."""

    @property
    def running(self) -> tuple[Task, ...]:
        """The tasks that answer, of the specification as it is now."""
        return tuple(t for t in self.answering if t.current)

    @property
    def answering(self) -> tuple[Task, ...]:
        """The tasks that answer, of whatever specification: those of before an update do until it has taken their place."""
        return tuple(t for t in self.tasks if t.desired == "running" and t.state == "running")

    @property
    def outdated(self) -> bool:
        """Whether a task of an older specification is still there, on a node that is."""
        return any(not t.current and not t.over and not t.lost for t in self.tasks)

    @property
    def held(self) -> bool:
        """Whether a task waits for one of before to end, or for the time that lies between two starts."""
        return any(t.current and t.desired == "ready" and not t.over and not t.lost for t in self.tasks)

    @property
    def held_since(self) -> float:
        """Since when a task that could be started is not, though there is none whose end it could wait for; 0: there is none."""
        held = [t.since for t in self.tasks if t.current and t.desired == t.state == "ready" and not t.lost]
        if not held or any(t.ending and not t.over and not t.lost for t in self.tasks):
            return 0.0
        return max(held + [t.since for t in self.tasks if t.state in ENDED])

    @property
    def broken(self) -> tuple[Task, ...]:
        """The tasks of this specification that failed or could not be started, oldest first."""
        return tuple(sorted((t for t in self.tasks if t.current and t.state in BROKEN), key=lambda t: t.since))

    @property
    def begun_again(self) -> int:
        """How often its tasks were begun anew though nothing else was changed."""
        return int((self.spec.get("TaskTemplate") or {}).get("ForceUpdate") or 0)

    @property
    def rejected(self) -> Task | None:
        """The job's task, if its node could not begin it and it may be begun again: nothing was found out by it."""
        last = self._last
        return last if last is not None and last.state == "rejected" and self.begun_again < BEGUN_AGAIN else None

    @property
    def ended(self) -> Task | None:
        """The job's task, once it has ended."""
        return None if self.rejected else self._last

    @property
    def _last(self) -> Task | None:
        done = [t for t in self.tasks if t.current and (t.state in BROKEN or t.state == "complete")]
        return max(done, key=lambda t: t.since, default=None)

    @property
    def lost(self) -> bool:
        """Whether a job is on a node that is down and has not told its result: Docker does not move it."""
        mine = [task for task in self.tasks if task.current]
        return bool(mine) and all(task.lost for task in mine) and not self.output

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        found: Mapping[str, str] = self.spec.get("Labels") or {}
        return found


@dataclass(frozen=True, slots=True)
class Item:
    """A config, a secret or a network: it is there, and what it is called."""

    id: str
    name: str


def differs(want: Any, live: Any) -> bool:
    """Whether something that is wanted is not so. What Docker adds by itself is not looked at; what is empty may be left out."""
    if isinstance(want, Mapping):
        there = live if isinstance(live, Mapping) else {}
        return any(differs(value, there.get(name)) for name, value in want.items())
    if isinstance(want, list | tuple):
        have = live or []
        return len(have) != len(want) or any(differs(*pair) for pair in zip(want, have, strict=True))
    return bool(want != live and (want or live))
