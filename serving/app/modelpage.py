"""What the pages say of a model: the metadata of its package, in the order and the words that a person wants.

Everything is optional: a model that somebody brought may have a signature and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelstore.signature import Column
from serving.app.words import label, number, percent, rounded, shown, words
from serving.models import Known

MOST_BARS = 12
MOST_CLASSES = 30
MOST_FEATURES = 100
MOST_POINTS = 600
MOST_VALUES = 8
PLOT = 320
SHARES = frozenset({"accuracy", "balanced_accuracy", "mape"})
"""Metrics that are read as per cent."""
LINEAGE = {
    "experiment": "Experiment", "trial": "Best trial", "created": "Made", "seed": "Seed", "runId": "Run",
    "datasetDigest": "Training data", "codeDigest": "Code", "note": "Formats",
}  # fmt: skip
"""What is told of it, and how it is called."""


@dataclass(slots=True)
class Bar:
    """One bar: a name, a share of the longest, and its text."""

    name: str
    share: float
    text: str
    best: bool = False


def describe(known: Known) -> dict[str, Any]:
    """Everything for the model's page."""
    data = known.metadata
    rows: dict[str, Any] = data.get("rows") or {}
    return {
        "known": known,
        "signature": known.signature,
        "headline": headline(known),
        "metrics": [(words(name), measured(name, value)) for name, value in metrics_of(data).items()],
        "validated": validated(data),
        "rows": {name: shown(count) for name, count in rows.items() if isinstance(count, int) and count},
        "importances": importances(data),
        "objective": words(_objective(data)).lower() if _objective(data) else "",
        "confusion": confusion(data),
        "residuals": residuals(data),
        "columns": [(column, held(column), _missing(known, column.name)) for column in known.signature.inputs],
        "estimator": str(data.get("estimator") or ""),
        "parameters": [(str(name), shown(value)) for name, value in (data.get("parameters") or {}).items()],
        "features": features(data),
        "dropped": [(str(name), str(why)) for name, why in (data.get("dropped") or {}).items()],
        "lineage": lineage(data),
        "search": search(data),
        "versions": ", ".join(f"{name} {one}" for name, one in ((data.get("lineage") or {}).get("versions") or {}).items()),
    }


def headline(known: Known) -> str:
    """One line: how good it is on rows that it had not seen."""
    metrics, rows = metrics_of(known.metadata), (known.metadata.get("rows") or {}).get("heldOut")
    seen = number(rows, "row") if isinstance(rows, int) else "rows"
    if "accuracy" in metrics:
        return f"it was right on {percent(metrics['accuracy'])} of {seen} that it had not seen"
    if "mae" in metrics:
        return f"it was off by {rounded(metrics['mae'])} on average, on {seen} that it had not seen"
    return next((f"{words(name)} {measured(name, value)} on {seen} that it had not seen" for name, value in metrics.items()), "")


def metrics_of(data: dict[str, Any]) -> dict[str, float]:
    """The metrics on the held-out rows."""
    return dict(_numbers((data.get("metrics") or {}).items()))


def measured(name: str, value: float) -> str:
    """A metric's value."""
    return percent(value) if name in SHARES else rounded(value, 4)


def validated(data: dict[str, Any]) -> str:
    """What cross-validation found before the held-out rows were looked at."""
    found, name = data.get("crossValidation") or {}, _objective(data)
    folds = [one[name] for one in found.get("folds") or () if isinstance(one, dict) and name in one]
    if not name or not folds:
        return ""
    low, high = measured(name, min(folds)), measured(name, max(folds))
    return f"{words(name)} {measured(name, found['metrics'][name])}, {low} to {high} in {number(len(folds), 'fold')}"


def _objective(data: dict[str, Any]) -> str:
    """The metric that was searched for."""
    return next(iter((data.get("crossValidation") or {}).get("metrics") or ()), "")


def _numbers(pairs: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, float]]:
    for name, value in pairs:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            yield name, float(value)


def importances(data: dict[str, Any]) -> list[Bar]:
    """Permutation importances, largest first."""
    pairs = _numbers((str(one.get("name")), one.get("mean")) for one in data.get("importances") or ())
    largest = sorted(pairs, key=lambda pair: -pair[1])[:MOST_BARS]
    most = max((value for _, value in largest), default=0.0)
    return [Bar(label(name), max(0.0, value / most) if most > 0 else 0.0, rounded(value)) for name, value in largest]


def confusion(data: dict[str, Any]) -> dict[str, Any] | None:
    """The confusion matrix: labels, and rows of (count, shade 0 to 9, whether it is the diagonal)."""
    found = data.get("confusionMatrix") or {}
    labels, matrix = found.get("labels") or (), found.get("matrix") or ()
    if not matrix or len(matrix) > MOST_CLASSES or len(labels) != len(matrix):
        return None
    rows = []
    for i, counts in enumerate(matrix):
        total = sum(counts) or 1
        rows.append((shown(labels[i]), [(count, min(9, int(10 * count / total)), i == j) for j, count in enumerate(counts)]))
    wrong = sum(count for _, cells in rows for count, _, diagonal in cells if not diagonal)
    return {"labels": [shown(one) for one in labels], "rows": rows, "wrong": wrong}


def residuals(data: dict[str, Any]) -> dict[str, Any] | None:
    """Predicted against true values as points of a plot, and between what most errors lie."""
    found = data.get("residuals") or {}
    pairs = zip(found.get("predicted") or (), found.get("actual") or (), strict=False)
    points = [(p, a) for p, a in pairs if isinstance(p, (int, float)) and isinstance(a, (int, float))][:MOST_POINTS]
    if len(points) < 3:
        return None
    low, high = min(min(pair) for pair in points), max(max(pair) for pair in points)
    width = (high - low) or 1.0
    quantiles = found.get("quantiles") or {}
    ends = [quantiles[name] for name in ("0.05", "0.95") if name in quantiles]
    return {
        "points": [(round((p - low) / width * PLOT, 1), round(PLOT - (a - low) / width * PLOT, 1)) for p, a in points],
        "low": rounded(low, 4),
        "high": rounded(high, 4),
        "size": PLOT,
        "between": [rounded(one) for one in ends] if len(ends) == 2 else [],
    }


def features(data: dict[str, Any]) -> dict[str, Any] | None:
    """What was made of the inputs, with scores where they were scored: those that were kept first."""
    found = [one for one in data.get("features") or () if isinstance(one, dict)]
    if not found:
        return None
    rows = [
        (str(one["name"]), "" if one.get("score") is None else rounded(one["score"]), bool(one.get("chosen")))
        for one in sorted(found, key=lambda one: not one.get("chosen"))
    ]
    return {
        "kept": sum(chosen for _, _, chosen in rows), "of": len(rows), "rows": rows[:MOST_FEATURES],
        "scored": any(score for _, score, _ in rows), "more": len(rows) - MOST_FEATURES,
    }  # fmt: skip


def search(data: dict[str, Any]) -> dict[str, Any] | None:
    """What was tried before it was chosen: candidates and the best trials with their scores, and how many trials there were."""
    found = (data.get("lineage") or {}).get("search") or {}
    metric, trials = found.get("metric", ""), found.get("trials") or {}
    if not found:
        return None
    return {
        "metric": words(metric),
        "count": sum(trials.values()),
        "early": trials.get("EarlyStopped", 0),
        "failed": trials.get("Failed", 0),
        "candidates": [
            (
                one["name"],
                one.get("estimator", ""),
                measured(metric, one["score"]) if one.get("score") is not None else one["state"],
            )
            for one in found.get("candidates") or ()
        ],
        "best": [
            (one["name"], _assigned(one.get("parameters") or {}), measured(metric, one["score"]))
            for one in found.get("best") or ()
        ],
    }


def _assigned(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {shown(value)}" for name, value in parameters.items()) or "the library's own"


def held(column: Column) -> str:
    """What the training data held of an input."""
    if column.categories:
        more = len(column.categories) - MOST_VALUES
        return ", ".join(map(shown, column.categories[:MOST_VALUES])) + (f" and {more} more" if more > 0 else "")
    return "" if column.minimum is None else f"{shown(column.minimum)} to {shown(column.maximum)}"


def _missing(known: Known, name: str) -> str:
    share = ((known.reference.get("columns") or {}).get(name) or {}).get("missing")
    return "" if not isinstance(share, (int, float)) else percent(share) if share else "none"


def lineage(data: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Where it comes from: name, value, and whether the value is for machines."""
    found = {**data, **(data.get("lineage") or {})}
    return [
        (name, _time(found[key]) if key == "created" else str(found[key]), key in {"runId", "datasetDigest", "codeDigest"})
        for key, name in LINEAGE.items()
        if key in found
    ]


def _time(text: Any) -> str:
    try:
        return datetime.fromisoformat(str(text)).strftime("%-d %B %Y, %H:%M UTC")
    except ValueError:
        return str(text)
