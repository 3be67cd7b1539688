"""What a figure says of itself: kept or missed, and how it compares."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import report
from bench.figure import Figure, Options, medians

AMOUNTS = st.floats(min_value=0.001, max_value=1e6)


@pytest.mark.parametrize(
    ("promise", "verdict"),
    [
        ({"target": 10.0}, "ok"),
        ({"target": 9.9}, "miss"),
        ({"times_baseline": 2.0}, "ok"),
        ({"times_baseline": 1.9}, "miss"),
        ({}, ""),
    ],
    ids=["just kept", "just missed", "kept as a multiple", "missed as a multiple", "nothing promised"],
)
def test_a_promise_is_kept_or_missed(promise: dict[str, float], verdict: str) -> None:
    """At most the target, or at most so many times the baseline; without a promise nothing is said."""
    assert Figure("x", "x", 10.0, "ms", baseline="y", baseline_value=5.0, **promise).verdict == verdict


@pytest.mark.parametrize(("least", "verdict"), [(10.0, "ok"), (10.1, "miss")], ids=["just kept", "just missed"])
def test_where_more_is_better_the_promise_is_the_least(least: float, verdict: str) -> None:
    """Requests a second are promised from below, as they are and as a multiple of the baseline."""
    assert Figure("x", "x", 10.0, "1/s", least, more=True).verdict == verdict
    assert Figure("x", "x", 10.0, "1/s", baseline="y", baseline_value=5.0, times_baseline=least / 5, more=True).verdict == verdict


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_ratio_and_limit_agree(value: float, baseline: float, times: float) -> None:
    """A promise in multiples of the baseline is kept exactly if the ratio says so."""
    figure = Figure("x", "x", value, "ms", baseline="y", baseline_value=baseline, times_baseline=times)
    assert figure.ratio is not None
    if abs(figure.ratio - times) > 1e-9 * times:
        assert (figure.verdict == "ok") == (figure.ratio < times)


def test_a_series_is_told_by_its_median() -> None:
    """One slow run does not make a figure; every sample is kept for whoever wants to see them."""
    figure = medians("x", "x", "ms", [1.0, 2.0, 900.0], "y", [4.0, 4.0, 5.0], target=3.0)
    assert (figure.value, figure.baseline_value, figure.verdict) == (2.0, 4.0, "ok")
    assert figure.samples == (1.0, 2.0, 900.0)


def test_the_report_holds_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON has the machine, the figures and their verdicts; the table a row for each."""
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    figures = [Figure("a", "x", 1.0, "ms", 2.0), Figure("b", "x", 3.0, "ms", 2.0)]
    written = orjson.loads(report.write("t", {"cores": 2}, figures, quick=False).read_bytes())
    assert [(row["name"], row["verdict"]) for row in written["figures"]] == [("a", "ok"), ("b", "miss")]
    assert written["machine"] == {"cores": 2}
    assert report.table(figures).row_count == 2


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.123, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (3.0, "3")], ids=str
)
def test_numbers_show_what_matters(value: float | None, text: str) -> None:
    """Three digits or so, and a dash for what is not known."""
    assert report.number(value) == text


@given(st.integers(min_value=1, max_value=100_000))
def test_quick_is_never_nothing(number: int) -> None:
    """A quick run does a tenth, and at least one."""
    assert Options(Path(), quick=True).scaled(number) == max(1, number // 10)
    assert Options(Path()).scaled(number) == number
