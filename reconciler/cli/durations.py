"""Lengths of time: as people write them, and as kubectl prints them."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse(text: str) -> float:
    """Read "90", "300s", "5m", "1h30m" as seconds. ValueError if it is no duration; a negative one means for ever (inf)."""
    text = text.strip()
    if text.startswith("-") and text[1:].rstrip("smh").replace(".", "", 1).isdigit():
        return float("inf")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'"{text[:40]}" is no duration; write e.g. 30s, 5m or 1h30m')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def human(seconds: float) -> str:
    """As kubectl prints an age: 45s, 2m30s, 12m, 5h, 3d, 2y."""
    total = int(seconds)
    if total < 0:
        return "0s" if total >= -1 else "<invalid>"
    if total < 120:
        return f"{total}s"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y"


def instant(text: str | None) -> datetime | None:
    """Read an RFC 3339 time; None if there is none or it is none."""
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def age(text: str | None, now: datetime | None = None) -> str:
    """How long ago, or `<unknown>`."""
    from datetime import UTC, datetime

    moment = instant(text)
    if moment is None:
        return "<unknown>"
    return human(((now or datetime.now(UTC)) - moment).total_seconds())
