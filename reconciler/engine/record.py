"""What status remembers of the outside: parts, intents, failures. Pure functions from one status to the next.

The status is the plain dict that goes over the wire; every function returns a new one and leaves the old one as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from drivers.contract import Absent, DriverError, Duplicate, InvalidConfiguration, Present, Seen, Stop, Wait
from reconciler.engine.clock import from_text, to_text, to_text_micro
from reconciler.engine.kind import Verdict
from specs.meta import Reason

Status = dict[str, Any]
Record = dict[str, Any]

ABSENT = Absent()

FORGET_AFTER = timedelta(minutes=10)
"""A failure this old is history once the object converged."""

RETRY_BASE_SECONDS: Mapping[Reason, float] = {Reason.QUOTA_EXCEEDED: 60.0, Reason.FORBIDDEN: 120.0}
RETRY_CAP_SECONDS = 900.0


def reason_of(row: Mapping[str, Any]) -> Reason:
    """The reason that a stored row gives. Others may write a status too: a word that is not on our list says nothing."""
    try:
        return Reason(row["reason"])
    except ValueError:
        return Reason.INTERNAL_ERROR


def rows(status: Mapping[str, Any], field: str) -> list[Record]:
    """The records under one field, none if it is absent."""
    return status.get(field) or []


def recorded(status: Mapping[str, Any]) -> dict[str, str]:
    """Part name → external id, for every part on record."""
    return {row["name"]: row["ref"] for row in rows(status, "parts")}


def own_refs(status: Mapping[str, Any], imported: Mapping[str, str]) -> frozenset[str]:
    """The ids of what is ours and should be there: not what was imported, not what is being deleted."""
    return frozenset(row["ref"] for row in rows(status, "parts") if row["name"] not in imported and not row.get("deleting"))


def with_part(status: Status, part: str, ref: str) -> Status:
    """The part exists under this id; whatever was intended for it is settled."""
    parts = [row for row in rows(status, "parts") if row["name"] != part]
    return without_intent({**status, "parts": sorted([*parts, {"name": part, "ref": ref}], key=lambda r: str(r["name"]))}, part)


def without_part(status: Status, part: str) -> Status:
    """The part is gone, as was asked."""
    return {**status, "parts": [row for row in rows(status, "parts") if row["name"] != part]}


def with_deletion(status: Status, part: str, ref: str) -> Status:
    """The removal of the part is about to be asked for. A part that was never on record is recorded by this."""
    marked = with_part(status, part, ref) if recorded(status).get(part) != ref else status
    return {**marked, "parts": [row | {"deleting": True} if row["name"] == part else row for row in rows(marked, "parts")]}


def with_intent(status: Status, part: str, name: str, now: datetime) -> Status:
    """The part is about to be created."""
    intents = [row for row in rows(status, "intents") if row["part"] != part]
    return {**status, "intents": [*intents, {"part": part, "name": name, "time": to_text_micro(now)}]}


def without_intent(status: Status, part: str) -> Status:
    """The outcome is known."""
    return {**status, "intents": [row for row in rows(status, "intents") if row["part"] != part]}


@dataclass(frozen=True, slots=True)
class Settled:
    """Status after the observations were taken in, and the parts whose creates may still show up."""

    status: Status
    open_until: Mapping[str, float]
    """Part → seconds until its intent may be given up."""


def settle(
    status: Status, seen: Seen, settle_seconds: Mapping[str, float], now: datetime, since: datetime | None = None
) -> Settled:
    """Take the observations in: adopt what carries our tag, forget what was deleted as asked, keep doubtful intents open.

    `since` is when this daemon began to lead: whoever stored an older intent may have sent it until then.
    """
    for part, observation in seen.items():
        match observation:
            case Present(ref=ref) | Duplicate(keep=Present(ref=ref)):
                row = next((r for r in rows(status, "parts") if r["name"] == part), None)
                if row is None or row["ref"] != ref or any(i["part"] == part for i in rows(status, "intents")):
                    status = with_part(status, part, ref)
            case Absent():
                if any(r["name"] == part and r.get("deleting") for r in rows(status, "parts")):
                    status = without_part(status, part)
    open_until = {}
    for intent in rows(status, "intents"):
        part = intent["part"]
        stored = from_text(intent["time"])
        sent_until = max(stored, since) if since else stored
        left = settle_seconds.get(part, 0.0) - (now - sent_until).total_seconds()
        if left > 0:
            open_until[part] = left
        elif isinstance(seen.get(part), Absent):
            status = without_intent(status, part)
    return Settled(status, open_until)


def with_failure(status: Status, part: str, error: DriverError, generation: int, now: datetime, scale: float = 1.0) -> Status:
    """The provider refused; nothing exists. Counted for this generation of the spec, so that a restart does not start over.

    The pause doubles with each failure; `scale` stretches it, but never below what the provider asked for.
    """
    count = failures_of(status, part, generation) + 1
    pause = scale * min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS.get(error.reason, 5.0) * 2.0 ** min(count - 1, 60))
    pause = max(pause, error.retry_after or 0.0)
    return _with_row(status, part, count, generation, error.reason, str(error), now, pause)


def with_remedy(status: Status, part: str, reason: Reason, message: str, generation: int, now: datetime) -> Status:
    """What had failed is about to be replaced. Counted, so that replacing ends some day."""
    return _with_row(status, part, failures_of(status, part, generation) + 1, generation, reason, message, now, 0.0)


def _with_row(
    status: Status, part: str, count: int, generation: int, reason: Reason, message: str, now: datetime, pause: float
) -> Status:
    row = {"part": part, "count": count, "generation": generation, "time": to_text_micro(now), "reason": str(reason)}
    not_before = now + timedelta(seconds=pause, microseconds=999_999)  # whole seconds are stored: never earlier than asked
    row |= {"notBefore": to_text(not_before), "message": message[:1024]}
    return {**status, "failures": [*(r for r in rows(status, "failures") if r["part"] != part), row]}


def failures_of(status: Mapping[str, Any], part: str, generation: int) -> int:
    """How often this part failed with this very spec."""
    past = failure(status, part, generation)
    return past["count"] if past else 0


def failure(status: Mapping[str, Any], part: str, generation: int) -> Record | None:
    """What was tried in vain for this part with this very spec."""
    return next((r for r in rows(status, "failures") if r["part"] == part and r["generation"] == generation), None)


def forget_failures(status: Status, now: datetime) -> Status:
    """The object converged: failures older than FORGET_AFTER are history."""
    kept = [row for row in rows(status, "failures") if now - from_text(row["time"]) < FORGET_AFTER]
    return status if len(kept) == len(rows(status, "failures")) else {**status, "failures": kept}


def may_try(status: Mapping[str, Any], part: str, generation: int, now: datetime) -> Wait | Stop | None:
    """Say whether a call that was refused before may be tried again now: None if it may."""
    if not (past := failure(status, part, generation)):
        return None
    reason, count = reason_of(past), past["count"]
    if reason is InvalidConfiguration.reason:
        return Stop(reason, f"{past['message']}; not tried again before the spec changes")
    left = (from_text(past["notBefore"]) - now).total_seconds()
    if left <= 0:
        return None
    times = "once" if count == 1 else f"{count} times"
    return Wait(reason, f"{past['message']}; tried {times}, again at {past['notBefore']}", left)


def with_conditions(status: Status, verdicts: Iterable[Verdict], generation: int, now: datetime) -> Status:
    """Replace the conditions; lastTransitionTime moves only where `status` does."""
    old = {row["type"]: row for row in rows(status, "conditions")}
    new = []
    for verdict in verdicts:
        before = old.get(verdict.type)
        since = before["lastTransitionTime"] if before and before["status"] == verdict.status else to_text(now)
        row: Record = {"type": verdict.type, "status": verdict.status, "reason": str(verdict.reason)}
        row |= {"message": verdict.message[:4096], "observedGeneration": generation, "lastTransitionTime": since}
        new.append(row)
    return {**status, "conditions": new, "observedGeneration": generation}


def merge_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The RFC 7396 patch from `old` to `new`; empty if they are equal."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value:
            continue
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            patch[key] = merge_diff(before, value)
        elif value is not None:
            patch[key] = value
    return patch
