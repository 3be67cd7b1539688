"""What is waited for, and which objects are not there yet. No I/O: changes in, words out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from reconciler.cli import jsonpath
from reconciler.cli.conditions import condition
from reconciler.cli.errors import UsageError
from reconciler.cli.targets import Target
from reconciler.cli.watch import Change, World

Object = dict[str, Any]
Key = tuple[str, str, str]


class Goal(NamedTuple):
    """What every object has to pass; without a test it has to be gone. `words` says it to people."""

    test: Callable[[Object], bool] | None
    words: str


def goal_of(text: str) -> Goal:
    """Read --for; UsageError if it is none of the three."""
    if text.lower() == "delete":
        return Goal(None, "gone")
    how, equals, rest = text.partition("=")
    if how == "condition" and equals and rest:
        name, _, status = rest.partition("=")
        status = (status or "True").capitalize()
        return Goal(lambda obj: _holds(obj, name, status), f"{name}={status}")
    if how == "jsonpath" and equals and rest:
        path, value = _path_and_value(rest)
        try:
            steps = jsonpath.compile_path(path)
        except jsonpath.JsonPathError as error:
            raise UsageError(f"cannot use --for={text}: {error}") from error
        if value is None:
            return Goal(lambda obj: bool(jsonpath.find(steps, obj)), f"{path} set")
        return Goal(lambda obj: any(jsonpath.show(hit) == value for hit in jsonpath.find(steps, obj)), f"{path}={value}")
    raise UsageError(f"cannot use --for={text}: write condition=Ready, delete or jsonpath='{{.status.x}}'=VALUE")


def _path_and_value(text: str) -> tuple[str, str | None]:
    """Cut `{.a.b}=value` behind the braces; a filter may hold an = of its own."""
    if text.startswith("{") and "}" in text:
        path, _, rest = text.rpartition("}") if text.endswith("}") else text.partition("}")
        return path + "}", rest[1:] if rest.startswith("=") else None
    path, equals, value = text.partition("=")
    return path, value if equals else None


def _holds(obj: Object, name: str, status: str) -> bool:
    """The condition has this status, and it was said of the spec as it is now."""
    found, generation = condition(obj, name), obj["metadata"].get("generation")
    seen = found.get("observedGeneration", (obj.get("status") or {}).get("observedGeneration"))
    return found.get("status") == status and (seen is None or generation is None or seen >= generation)


class Waiting:
    """Takes in changes and knows what is left. An object that met the goal once has met it, as with kubectl."""

    def __init__(self, targets: list[Target], goal: Goal) -> None:
        self.goal = goal
        self.left: dict[Key, Object] = {}
        self._targets = targets
        self._kinds = {target.kind.plural: target.kind for target in targets}
        self._named = {(target.kind.plural, name) for target in targets for name in target.names}
        self._world = World()
        self._met: set[str] = set()
        self._doomed: dict[str, Key] | None = None

    @property
    def complete(self) -> bool:
        """True once every kind was listed: before that nothing can be said."""
        return len(self._world.listed) == len(self._kinds)

    @property
    def empty(self) -> bool:
        """True if a selection holds nothing that could meet the goal."""
        return self.goal.test is not None and not self._named and not self._seen() and not self._met

    def name(self, key: Key) -> str:
        """`machine/worker-1`."""
        return f"{self._kinds[key[0]].singular}/{key[2]}"

    def absent(self) -> Iterator[tuple[Target, str]]:
        """What was named and does not exist, unless it is meant to be gone."""
        here = {(key[0], key[2]) for key in self._seen()}
        for target in self._targets if self.goal.test else ():
            yield from ((target, name) for name in target.names if (target.kind.plural, name) not in here)

    def take(self, change: Change) -> list[str]:
        """Take one change in; returns what to announce."""
        self._world.take(change)
        if not self.complete:
            return []
        return self._gone() if self.goal.test is None else self._passed(self.goal.test)

    def _seen(self) -> dict[Key, Object]:
        objects = self._world.objects
        return {key: obj for key, obj in objects.items() if not self._named or (key[0], key[2]) in self._named}

    def _passed(self, test: Callable[[Object], bool]) -> list[str]:
        said, self.left = [], {}
        for key, obj in self._seen().items():
            uid = obj["metadata"]["uid"]
            if uid not in self._met and test(obj):
                self._met.add(uid)
                said.append(f"{self.name(key)} condition met")
            if uid not in self._met:
                self.left[key] = obj
        return said

    def _gone(self) -> list[str]:
        """The very objects (by UID) that were there at first have to go; a namesake made later is somebody else."""
        alive = {obj["metadata"]["uid"]: (key, obj) for key, obj in self._seen().items()}
        if self._doomed is None:
            self._doomed = {uid: key for uid, (key, _) in alive.items()}
        said = [f"{self.name(key)} deleted" for uid, key in self._doomed.items() if uid not in alive]
        self._doomed = {uid: key for uid, key in self._doomed.items() if uid in alive}
        self.left = {key: obj for uid, (key, obj) in alive.items() if uid in self._doomed}
        return said
