"""How the pages write numbers, names, shares and times, so that the same thing reads the same on every page. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

THIN = "\u202f"
"""Between thousands, and before a unit: a space that no line breaks at."""
UNITS = frozenset({"mm", "cm", "km", "g", "kg", "mg", "ml", "ms", "kw", "kwh", "mb", "gb", "usd", "eur", "gbp", "sqft", "m2"})
"""Last words of a column's name that are a unit wherever they stand."""
SPELLED = {
    "r2": "R²", "roc_auc": "ROC AUC", "auc": "AUC", "f1": "F1", "f1_macro": "F1 (macro)", "mae": "Mean absolute error",
    "rmse": "Root mean squared error", "mse": "Mean squared error", "mape": "Mean absolute % error", "log_loss": "Log loss",
}  # fmt: skip


def words(name: str) -> str:
    """A name as words: log_loss → Log loss."""
    text = SPELLED.get(name.lower()) or name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def label(name: str) -> str:
    """A column's name as words, with its unit set apart: bill_length_mm → Bill length (mm)."""
    *first, last = name.strip("_ ").split("_")
    if first and last.lower() in UNITS:
        return f"{words(' '.join(first))} ({last})"
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def shown(value: Any) -> str:
    """A value as a person reads it."""
    match value:
        case None:
            return "not known"
        case bool():
            return "Yes" if value else "No"
        case int():
            return f"{value:,}".replace(",", THIN) if abs(value) >= 10_000 else str(value)
        case float():
            if value.is_integer() and abs(value) < 1e15:
                return shown(int(value))
            text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
            return text.replace(",", THIN if abs(value) >= 10_000 else "")
        case _:
            return str(value)


def rounded(value: float, digits: int = 3) -> str:
    """A number of which only the first digits matter."""
    return shown(float(f"{value:.{digits}g}"))


def percent(share: float) -> str:
    """A share or a probability."""
    if 0 < share < 0.001:
        return f"<{THIN}0.1{THIN}%"
    if 0.999 < share < 1:
        return f">{THIN}99.9{THIN}%"
    text = f"{share * 100:.1f}"
    return f"{text.removesuffix('.0') if share in {0, 1} else text}{THIN}%"


def number(count: int, one: str, many: str = "") -> str:
    """A number of things: 1 row, 2 rows."""
    return f"{shown(count)} {one if count == 1 else many or one + 's'}"


def moment(at: float) -> str:
    """A time as RFC 3339, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: float) -> str:
    """A time for people. Where scripts may run, the browser writes it in its own time zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %H:%M UTC")


def span(seconds: float) -> str:
    """A length of time for people."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return number(round(seconds / size), word)
    return "no time"
