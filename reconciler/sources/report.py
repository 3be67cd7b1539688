"""Says what is wrong with a source: in its status, in the log, and in one Kubernetes Event per distinct error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog

from reconciler.client import Object
from reconciler.sources.objects import Key, Live, Wanted
from reconciler.sources.scan import File, Scan, Unreadable
from reconciler.sources.status import Problem, State
from specs.meta import Reason

log = structlog.get_logger()


class Recorder(Protocol):
    """Writes Kubernetes events; reconciler.engine.events.Recorder does."""

    def say(self, obj: Object, kind: str, reason: str, message: str) -> None:
        """Record one event about an object."""


class Report:
    """Remembers what was told, so that each error is told once, for as long as it lasts."""

    def __init__(self, id: str, path: str, recorder: Recorder) -> None:
        self._id, self._path, self._recorder = id, path, recorder
        self._told: set[tuple[Reason, str]] = set()

    def applied(self, record: Object, count: int) -> None:
        """So many objects were created or changed by one sync."""
        objects = "1 object was" if count == 1 else f"{count} objects were"
        self._recorder.say(record, "Normal", Reason.APPLIED, f"{objects} created or changed as the files say")

    def pruned(self, record: Object, obj: Live) -> None:
        """An object was deleted because no file holds it."""
        self._recorder.say(record, "Normal", Reason.PRUNED, f"{obj.key} was deleted: {obj.file} holds it no more")

    def tell(self, record: Object, problems: Iterable[tuple[Reason, Problem]], pending: int) -> None:
        """Tell what was not told yet; `record` is the ConfigMap that the events are about."""
        said = {(reason, str(problem)) for reason, problem in problems}
        if pending:
            message = f"{pending} objects are gone from {self._path}; nothing is deleted until `anneal confirm {self._id}`"
            said.add((Reason.CONFIRMATION_REQUIRED, message))
        for reason, message in sorted(said - self._told):
            log.warning("source.problem", source=self._id, reason=str(reason), error=message)
            self._recorder.say(record, "Warning", reason, message)
        self._told = said


def problems(
    files: Mapping[str, File],
    duplicates: Mapping[Key, tuple[Wanted, ...]],
    refused: Iterable[Problem],
    scanned: Scan | Unreadable,
) -> list[tuple[Reason, Problem]]:
    """Collect all that is wrong, in the order of the files."""
    found = [(Reason.PARSE_ERROR, problem) for file in files.values() for problem in file.problems]
    for key, places in duplicates.items():
        everywhere = " and ".join(want.place for want in places)
        message = f"the same object stands in {everywhere}; nothing of it is changed"
        problem = Problem(places[0].file, places[0].line, 1, key.label, message=message, hint="Remove all but one.")
        found.append((Reason.INVALID_SPEC, problem))
    found += [(Reason.INVALID_SPEC, problem) for problem in refused]
    found += [(Reason.SOURCE_UNREADABLE, problem) for problem in _unreadable(scanned)]
    return sorted(found, key=lambda pair: pair[1])


def state(found: Iterable[tuple[Reason, Problem]], pending: int) -> State:
    """The word for it all: what is not known comes first, then what a person is asked, then what is wrong."""
    reasons = {reason for reason, _ in found}
    if Reason.SOURCE_UNREADABLE in reasons:
        return "Unreadable"
    if pending:
        return "ConfirmationRequired"
    return "Errors" if reasons else "Synced"


def _unreadable(scanned: Scan | Unreadable) -> list[Problem]:
    hint = "Nothing is deleted while it cannot be read."
    if isinstance(scanned, Unreadable):
        return [Problem(".", message=f"cannot read the folder: {scanned}", hint=hint)]
    return [Problem(name, message=f"cannot read it: {why}", hint=hint) for name, why in scanned.unreadable.items()]
