"""One result, ready for its page: the answer, how sure it is, and the first rows where there are many."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from serving.app.modelpage import Bar, metrics_of
from serving.app.words import label, percent, rounded, shown
from serving.models import Known
from serving.records import Job

MOST_BARS = 12
PREVIEW_ROWS, PREVIEW_COLUMNS = 10, 6


@dataclass(slots=True)
class Shown:
    """What the page of a request says; empty while there is no result."""

    label: str = ""
    target: str = ""
    bars: list[Bar] = field(default_factory=list)
    """Of a classification: the classes, the likeliest first."""
    left_out: int = 0
    """Classes that have no bar since they are too many."""
    error: str = ""
    """± of a regression: the typical error on held-out rows."""
    standing: str = ""
    """Where a predicted number stands among those of the training data."""
    preview: list[list[str]] = field(default_factory=list)
    header: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, known: Known, job: Job) -> Shown:
        """From a request."""
        if not job.labels:
            return cls()
        target = known.signature.target
        found = cls(shown(job.labels[0]), label(target.name))
        if job.rows > 1:
            found.header, found.preview = _preview(known, job)
        elif target.classes is None:
            found.error, found.standing = held_out_error(known), standing(known.reference.get("target") or {}, job.labels[0])
        elif job.probabilities:
            pairs = sorted(zip(target.classes, job.probabilities[0], strict=False), key=lambda pair: -pair[1])
            found.bars = [Bar(shown(one), share, percent(share), one == job.labels[0]) for one, share in pairs[:MOST_BARS]]
            found.left_out = len(pairs) - len(found.bars)
        return found


def _preview(known: Known, job: Job) -> tuple[list[str], list[list[str]]]:
    names = [name for name in known.signature.names() if name in (job.columns or {})][:PREVIEW_COLUMNS]
    labels, columns = job.labels or [], job.columns or {}
    rows = [[shown(labels[i]), *(shown(columns[name][i]) for name in names)] for i in range(min(PREVIEW_ROWS, len(labels)))]
    return [label(known.signature.target.name), *map(label, names)], rows


def held_out_error(known: Known) -> str:
    """The mean absolute error of a regression on held-out rows, else the root of the mean squared one."""
    metrics = metrics_of(known.metadata)
    return next((rounded(metrics[name]) for name in ("mae", "rmse") if name in metrics), "")


def standing(target: dict[str, Any], value: Any) -> str:
    """Where a number stands among those that the model was trained on, by the deciles that are kept of them."""
    edges, shares = target.get("edges"), target.get("shares")
    if not isinstance(value, (int, float)) or not isinstance(edges, list) or not isinstance(shares, list) or not edges:
        return ""
    below = sum(share for edge, share in zip(edges, shares, strict=False) if edge < value)
    if value <= edges[0]:
        return f"It is among the lowest {shares[0]:.0%} of the training data."
    if value > edges[-1]:
        return f"It is among the highest {sum(shares[len(edges) :]):.0%} of the training data."
    above = below + next((shares[i + 1] for i, (low, high) in enumerate(pairwise(edges)) if low < value <= high), 0.0)
    return f"Of the rows it was trained on, {below:.0%} to {above:.0%} had a lower value."
