"""Planning for local processes: kept running, started again with growing pauses, stopped, waited for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from drivers.contract import Absent, Done, Duplicate, Plan, Present, Seen, Step, Wait
from drivers.local.unit import Unit, UnitSpec
from drivers.ray.local import Head
from specs.meta import Reason

STOP_POLL_SECONDS = 0.25
LONGEST_PAUSE = 300.0


def unit_of(seen: Seen, part: str) -> Unit | None:
    """The process of a part, if there is one."""
    match seen.get(part):
        case Present(live=Unit() as unit) | Duplicate(keep=Present(live=Unit() as unit)):
            return unit
        case Present(live=Head(unit=unit)) | Duplicate(keep=Present(live=Head(unit=unit))):
            return unit
    return None


def pause(unit: Unit) -> float:
    """Seconds between the last start and the next one: none the first time, then 1, 2, 4 … 300."""
    return 0.0 if unit.stopped or unit.starts < 2 else min(LONGEST_PAUSE, 2.0 ** (unit.starts - 2))


def run(part: str, want: UnitSpec, seen: Seen, now: datetime, why: str) -> Plan | None:
    """Say what brings a service to run as it is wanted; None if it does, or is a job that has ended."""
    unit = unit_of(seen, part)
    if unit is None:
        if part not in seen:  # it stands in the status from this pass on, and is looked at in the next one
            return Wait(Reason.PENDING, f"{part} is to be started", 0.02)
        return (Step("create", part, why, want.change()),) if isinstance(seen[part], Absent) else None
    if unit.state == "Stopping":
        return stopping(part, unit, now)
    if unit.digest != want.digest:
        return (Step("delete", part, "it runs with an old specification", ref=unit.id, interrupts="it is started anew"),)
    if unit.state == "Running" or (want.mode == "job" and unit.code is not None):
        return None
    return restart(part, want, unit, now)


def restart(part: str, want: UnitSpec, unit: Unit, now: datetime) -> Plan:
    """Start what has ended again, once its pause is over."""
    left = unit.started + pause(unit) - now.timestamp()
    ended = unit.how_it_ended
    if left > 0:
        return Wait(Reason.RESTARTING, f"{part}: {ended}{_words(unit)}; started {unit.starts} times, again in {left:.0f} s", left)
    why = "it was stopped" if unit.stopped else ended
    return (Step("update", part, f"{why}: it is started again", want.change(), ref=unit.id),)


def stopping(part: str, unit: Unit, now: datetime) -> Plan:
    """Wait for what was asked to end; end it when its time is up."""
    if unit.overdue(now.timestamp()):
        why = f"it did not end within {unit.grace_seconds:.0f} s"
        return (Step("delete", part, why, ref=unit.id),)
    return Wait(Reason.DELETING, f"{part} is ending", STOP_POLL_SECONDS)


def gone(parts: Iterable[str], seen: Seen, now: datetime, why: str) -> Plan:
    """Bring these parts to nothing, all at once: every one is asked to end before any is waited for."""
    steps: list[Step] = []
    waits: list[Wait] = []
    for part in parts:
        unit = unit_of(seen, part)
        if unit is not None and unit.state == "Stopping":
            match stopping(part, unit, now):
                case Wait() as wait:
                    waits.append(wait)
                case (step,):
                    steps.append(step)
            continue
        match seen.get(part):
            case Present(ref=ref) | Duplicate(keep=Present(ref=ref)):
                steps.append(Step("delete", part, why, ref=ref))
    return tuple(steps) or (waits[0] if waits else Done())


def _words(unit: Unit) -> str:
    lines = [line for line in unit.last_words.splitlines() if line.strip()]
    return f" ({lines[-1].strip()[:300]})" if lines and not unit.stopped else ""
