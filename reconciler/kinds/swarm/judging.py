"""Whether a new revision answers as it should, beside the one before: by errors and by latency. Pure.

The words are Argo Rollouts': the analysis of a rollout ends it by what was measured. What is measured is what the entry tells of
the answers that people waited for, so it is a look from outside, too: an entry that is silent keeps a new revision from more.
"""

from __future__ import annotations

from drivers.contract import Present, Seen
from drivers.swarm.answers import Answers, Tally
from reconciler.kinds.swarm import serving
from specs.model_deployment import ModelDeployment
from specs.model_deployment_swarm import Analysis

PART = "answers"
"""The part that is looked at; the entry is asked only while there are two revisions."""
TAIL = 5
"""A percentile of 99 needs so many times the answers that a ratio needs: of a hundred it would be the slowest one alone."""


def asked(obj: ModelDeployment) -> str:
    """Where and of which revisions the entry is asked; of none while nothing is to be compared."""
    rows = obj.status.parts if obj.status else ()
    numbers = sorted({n for row in rows if row.name.startswith("service/workers-") and (n := serving.revision_of(row.name))})
    query = "&".join(f"revision={number}" for number in numbers) if len(numbers) > 1 else ""
    return f"{serving.swarm_of(obj).entry.port}?{query}".rstrip("?")


def silence(seen: Seen) -> str | None:
    """Why nothing is known of the answers; None: something is."""
    found = _answers(seen)
    return "the entry was not asked yet" if found is None else found.silent or None


def fault(obj: ModelDeployment, seen: Seen, new: int, old: int) -> str | None:
    """What is wrong with the answers of a new revision, in numbers; None: nothing, or too few to say."""
    found, bounds = _answers(seen), serving.swarm_of(obj).strategy.analysis
    if found is None or found.silent:
        return None
    mine, other = found.revisions.get(new, Tally()), found.revisions.get(old, Tally())
    if mine.answers < bounds.min_requests:
        return None
    if why := _errors(bounds, mine, other, old):
        return why
    return _latency(bounds, mine, other, old) if mine.answers >= TAIL * bounds.min_requests else None


def _errors(bounds: Analysis, mine: Tally, other: Tally, old: int) -> str | None:
    if mine.error_ratio <= max(bounds.max_error_ratio, other.error_ratio):
        return None
    return (
        f"{mine.errors} of its {mine.answers} answers are errors ({mine.error_ratio:.1%}, at most {bounds.max_error_ratio:.1%};"
        f" revision {old}: {other.error_ratio:.1%})"
    )


def _latency(bounds: Analysis, mine: Tally, other: Tally, old: int) -> str | None:
    most = max(float(bounds.max_latency_ms), bounds.max_latency_ratio * other.p99_ms)
    if mine.p99_ms <= most:
        return None
    return (
        f"99 of 100 of its {mine.answers} answers take up to {mine.p99_ms:.0f} ms (at most {most:.0f} ms;"
        f" revision {old}: {other.p99_ms:.0f} ms)"
    )


def _answers(seen: Seen) -> Answers | None:
    match seen.get(PART):
        case Present(live=Answers() as live):
            return live
    return None
