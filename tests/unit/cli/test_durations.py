"""Lengths of time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.cli import durations


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (45, "45s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (599, "9m59s"), (600, "10m"), (10799, "179m"),
     (10800, "3h"), (11700, "3h15m"), (28800, "8h"), (172799, "47h"), (172800, "2d"), (180000, "2d2h"), (691200, "8d"),
     (63072000, "2y"), (-1, "0s"), (-5, "<invalid>")],
)  # fmt: skip
def test_an_age_is_printed_as_kubectl_prints_it(seconds: float, text: str) -> None:
    """The same steps as apimachinery's HumanDuration."""
    assert durations.human(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("300s", 300),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("1d", 86400),
        ("-1s", float("inf")),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    """Go's durations, days and plain seconds; a negative one is for ever, as in kubectl."""
    assert durations.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "1h30", "m5", "-", "1e9s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A typing error never becomes some other length of time."""
    with pytest.raises(ValueError, match="no duration"):
        durations.parse(text)


def test_an_age_counts_from_its_time() -> None:
    """RFC 3339 with Z, with an offset and with fractions; what is no time is unknown."""
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert durations.age("2026-01-01T11:59:15Z", now) == "45s"
    assert durations.age("2026-01-01T12:59:15.5+01:00", now) == "44s"
    assert durations.age(None, now) == durations.age("yesterday", now) == "<unknown>"
