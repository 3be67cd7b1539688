"""What a pass says of its object, as conditions. Changes `subject.status` only; who calls it stores it."""

from __future__ import annotations

from drivers.contract import Plan, Seen
from reconciler.engine import record, verdicts
from reconciler.engine.kind import Verdict
from reconciler.engine.subject import Subject
from specs.meta import Reason
from specs.problems import summary

PENDING = (
    Verdict("Ready", "False", Reason.PENDING, "its inputs are stored, nothing was created yet"),
    Verdict("Progressing", "True", Reason.PENDING),
)


def pending(subject: Subject) -> None:
    """The inputs are known, nothing was made."""
    _say(subject, PENDING)


def outcome(subject: Subject, seen: Seen, plan: Plan) -> None:
    """What was seen, and what is planned: the kind's own fields and conditions, and the engine's."""
    kind, model = subject.kind, subject.model
    if seen:
        subject.status |= kind.status(model, seen, plan)
    engines = [verdicts.progressing(plan), verdicts.observed(seen)]
    if subject.deleting:
        engines.append(verdicts.deleting(plan))
    _say(subject, verdicts.combined(kind.verdicts(model, seen, plan), engines))


def paused(subject: Subject) -> None:
    """A person said: hands off. What was said before stays."""
    message = "paused by annotation: nothing is looked at, nothing is changed; remove the annotation to go on"
    kept = _kept(subject, "Paused", "Progressing") or [Verdict("Ready", "Unknown", Reason.PAUSED, message)]
    _say(subject, [*kept, *(Verdict(*row, Reason.PAUSED, message) for row in (("Paused", "True"), ("Progressing", "False")))])


def invalid(subject: Subject) -> None:
    """What is stored does not validate any more."""
    wrong = summary(subject.kind.resource, subject.obj)
    message = f"the stored object does not validate: {wrong}; what exists is left as it is; correct the spec"
    said = [Verdict(type, "False", Reason.INVALID_SPEC, message) for type in ("Ready", "Progressing")]
    if subject.deleting:
        said.append(Verdict("Deleting", "False", Reason.DELETION_BLOCKED, message))
    _say(subject, said)


def broken(subject: Subject, error: BaseException) -> None:
    """A kind's code raised. The text of such an error may hold anything, so only its class is told."""
    who = f"{subject.key.plural}/{subject.key.name}"
    message = f"{type(error).__name__} while reconciling; what exists is left as it is; see `anneal logs {who}`"
    said = [
        Verdict("Ready", "False", Reason.INTERNAL_ERROR, message),
        Verdict("Progressing", "True", Reason.INTERNAL_ERROR, message),
    ]
    _say(subject, [*said, *_kept(subject, "Ready", "Progressing")])


def _say(subject: Subject, said: list[Verdict] | tuple[Verdict, ...]) -> None:
    subject.status = record.with_conditions(subject.status, said, subject.generation, subject.now)


def _kept(subject: Subject, *without: str) -> list[Verdict]:
    rows = [row for row in record.rows(subject.status, "conditions") if row["type"] not in without]
    return [Verdict(row["type"], row["status"], record.reason_of(row), row["message"]) for row in rows]
