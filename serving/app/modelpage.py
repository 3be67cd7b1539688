"""What the pages say of a model: the metadata of its package, in the order and the words that a person wants.

Everything is optional: a model that somebody brought may have a signature and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from serving.app.form import shown
from serving.models import Known
from serving.records import Job

MOST_BARS = 12
PLOT = 320
SPELLED = {"mae": "MAE", "rmse": "RMSE", "mse": "MSE", "mape": "MAPE", "r2": "R²", "auc": "AUC", "roc_auc": "ROC AUC", "f1": "F1"}


@dataclass(slots=True)
class Bar:
    """One bar: a name, a share of the longest, and its text."""

    name: str
    share: float
    text: str
    best: bool = False


@dataclass(slots=True)
class Shown:
    """A result, ready for the page."""

    label: str = ""
    target: str = ""
    bars: list[Bar] = field(default_factory=list)
    error: str = ""
    """± of a regression: the error on held-out rows."""
    preview: list[list[str]] = field(default_factory=list)
    header: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, known: Known, job: Job) -> Shown:
        """From a job; empty while there is no result."""
        if not job.labels:
            return cls()
        target = known.signature.target
        found = cls(shown(job.labels[0]), words(target.name))
        if job.probabilities and target.classes and job.rows == 1:
            pairs = sorted(zip(target.classes, job.probabilities[0], strict=False), key=lambda pair: -pair[1])
            found.bars = [Bar(shown(one), share, percent(share), one == job.labels[0]) for one, share in pairs[:MOST_BARS]]
        if target.classes is None:
            found.error = held_out_error(known)
        if job.rows > 1:
            found.header, found.preview = _preview(known, job)
        return found


def _preview(known: Known, job: Job) -> tuple[list[str], list[list[str]]]:
    names = [name for name in known.signature.names() if name in (job.columns or {})][:6]
    labels, columns = job.labels or [], job.columns or {}
    rows = [[*(shown(columns[name][i]) for name in names), shown(labels[i])] for i in range(min(10, len(labels)))]
    return [*map(words, names), words(known.signature.target.name)], rows


def words(name: str) -> str:
    """A column's name as words."""
    text = SPELLED.get(name.lower()) or name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def percent(share: float) -> str:
    """A probability."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f} %"


def metrics_of(known: Known) -> dict[str, float]:
    """Metrics on the held-out rows; else those of the cross-validation."""
    for name in ("heldout", "heldOut", "metrics"):
        found = known.metadata.get(name)
        if isinstance(found, dict):
            found = found.get("metrics", found)
            numbers = {
                key: float(value)
                for key, value in found.items()
                if isinstance(value, (int, float)) and not isinstance(value, bool)
            }
            if numbers:
                return {key: value for key, value in numbers.items() if math.isfinite(value) and key not in {"rows", "n"}}
    return {}


def held_out_error(known: Known) -> str:
    """The typical error of a regression on held-out rows."""
    metrics = {name.lower(): value for name, value in metrics_of(known).items()}
    for name in ("mae", "mean_absolute_error", "meanabsoluteerror", "rmse", "root_mean_squared_error"):
        if name in metrics:
            return shown(float(f"{metrics[name]:.3g}"))
    return ""


def headline(known: Known) -> str:
    """One line: how good it is."""
    metrics = metrics_of(known)
    lowered = {name.lower(): (name, value) for name, value in metrics.items()}
    for name in ("accuracy", "r2", "balanced_accuracy", "roc_auc", "f1_macro"):
        if name in lowered:
            value = lowered[name][1]
            return (
                f"{value * 100:.1f} % right on held-out rows"
                if name == "accuracy"
                else f"{words(name)} {value:.3f} on held-out rows"
            )
    return ""


def describe(known: Known) -> dict[str, Any]:
    """Everything for the model's page."""
    data = known.metadata
    return {
        "known": known,
        "signature": known.signature,
        "metrics": [(words(name), f"{value:.4g}") for name, value in metrics_of(known).items()],
        "importances": importances(data),
        "confusion": confusion(known),
        "residuals": residuals(data),
        "parameters": parameters(data),
        "lineage": lineage(data),
        "estimator": str(data.get("estimator") or data.get("candidate") or ""),
        "columns": [(column, _seen(known, column.name)) for column in known.signature.inputs],
        "headline": headline(known),
    }


def _seen(known: Known, name: str) -> str:
    about = (known.reference.get("columns") or {}).get(name) or {}
    missing = about.get("missing")
    return f"{missing * 100:.1f} %" if isinstance(missing, (int, float)) else ""


def importances(data: dict[str, Any]) -> list[Bar]:
    """Permutation importances, largest first."""
    found = data.get("importances") or data.get("permutationImportances") or {}
    if isinstance(found, list):
        found = {
            one.get("name") or one.get("feature"): one.get("mean", one.get("importance", one.get("score")))
            for one in found
            if isinstance(one, dict)
        }
    pairs = [(str(name), value.get("mean", 0.0) if isinstance(value, dict) else value) for name, value in found.items()]
    pairs = sorted(((name, float(value)) for name, value in pairs if isinstance(value, (int, float))), key=lambda pair: -pair[1])[
        :MOST_BARS
    ]
    most = max((value for _, value in pairs), default=0.0)
    return [Bar(words(name), max(0.0, value / most) if most > 0 else 0.0, f"{value:.3g}") for name, value in pairs]


def confusion(known: Known) -> dict[str, Any] | None:
    """The confusion matrix: labels, and rows of (count, shade 0 to 9, whether it is the diagonal)."""
    found = known.metadata.get("confusionMatrix") or known.metadata.get("confusion_matrix") or known.metadata.get("confusion")
    labels: list[Any] = list(known.signature.target.classes or ())
    if isinstance(found, dict):
        labels, found = found.get("labels") or found.get("classes") or labels, found.get("matrix") or found.get("counts")
    if not isinstance(found, list) or not found or len(found) > 30 or len(labels) != len(found):
        return None
    rows = []
    for i, counts in enumerate(found):
        total = sum(counts) or 1
        rows.append((shown(labels[i]), [(count, min(9, int(10 * count / total)), i == j) for j, count in enumerate(counts)]))
    return {"labels": [shown(one) for one in labels], "rows": rows}


def residuals(data: dict[str, Any]) -> dict[str, Any] | None:
    """Predicted against true values as points of a plot."""
    found = data.get("residuals")
    if isinstance(found, dict):
        predicted, actual = found.get("predicted"), found.get("actual") or found.get("true")
        if actual is None and isinstance(predicted, list) and isinstance(found.get("residual"), list):
            actual = [p + r for p, r in zip(predicted, found["residual"], strict=False)]
        found = list(zip(predicted or (), actual or (), strict=False))
    elif isinstance(found, list):
        found = [(one.get("predicted"), one.get("actual", one.get("true"))) if isinstance(one, dict) else one for one in found]
    points = [(p, a) for p, a in (found or ()) if isinstance(p, (int, float)) and isinstance(a, (int, float))][:600]
    if len(points) < 3:
        return None
    low, high = min(min(pair) for pair in points), max(max(pair) for pair in points)
    span = (high - low) or 1.0
    place = [(round((p - low) / span * PLOT, 1), round(PLOT - (a - low) / span * PLOT, 1)) for p, a in points]
    return {"points": place, "low": shown(float(low)), "high": shown(float(high)), "size": PLOT}


def parameters(data: dict[str, Any]) -> list[tuple[str, str]]:
    """The chosen parameters."""
    found = data.get("parameters") or {}
    return (
        [(str(name), shown(value) if not isinstance(value, (dict, list)) else str(value)) for name, value in found.items()]
        if isinstance(found, dict)
        else []
    )


def lineage(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Where it comes from: data, code, seed, versions."""
    found = {
        **{key: data.get(key) for key in ("created", "datasetDigest", "dataset_digest", "rows", "note") if data.get(key)},
        **(data.get("lineage") or {}),
    }
    flat: list[tuple[str, str]] = []
    for name, value in found.items():
        if isinstance(value, dict):
            flat.append((words(name), ", ".join(f"{key} {one}" for key, one in value.items())))
        elif value not in (None, "", []):
            flat.append((words(name), str(value)))
    return flat
