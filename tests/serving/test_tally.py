"""How a revision answers, counted by every web process into one Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.config import Config
from serving.records import RecordDown
from serving.tally import CLASS, MINUTE, MINUTES, STEP, Tally, class_of, figures
from tests.support.brokers import Server, redis

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis(tmp_path_factory.mktemp("redis")) as up:
        yield up


def tally(server: Server, name: str) -> Tally:
    return Tally(Config(name=name, store="/nowhere", results=server.url))


def test_what_two_processes_counted_is_told_by_a_third(server: Server) -> None:
    """Answers and errors add up over processes, each revision for itself; one that answered nothing has zeros."""
    one, two, asked = (tally(server, "a") for _ in range(3))
    for process in (one, two):
        for number in range(50):
            process.count(1, 0.01, failed=False)
            process.count(2, 0.2, failed=number % 5 == 0)
        process.flush(NOW)
    found = asked.read([1, 2, 3], NOW + MINUTE)
    assert (found[1]["answers"], found[1]["errors"]) == (100, 0)
    assert (found[2]["answers"], found[2]["errors"]) == (100, 20)
    assert found[3] == {"answers": 0, "errors": 0, "p99Ms": 0.0}
    assert 10 <= found[1]["p99Ms"] <= 10 * STEP
    assert 200 <= found[2]["p99Ms"] <= 200 * STEP


def test_what_is_long_ago_says_nothing_any_more(server: Server) -> None:
    """Only the last ten minutes count."""
    one = tally(server, "b")
    one.count(1, 0.01, failed=True)
    one.flush(NOW)
    assert one.read([1], NOW + (MINUTES - 1) * MINUTE)[1]["errors"] == 1
    assert one.read([1], NOW + MINUTES * MINUTE)[1]["answers"] == 0


def test_a_redis_that_is_away_loses_figures_and_nothing_else(server: Server) -> None:
    """Counting goes on; asking says that the record is down."""
    one = tally(server, "c")
    server.kill()
    try:
        one.count(1, 0.01, failed=False)
        one.flush(NOW)
        with pytest.raises(RecordDown):
            one.read([1], NOW)
    finally:
        server.start()
    one.count(1, 0.01, failed=False)
    one.flush(NOW)
    assert one.read([1], NOW)[1]["answers"] == 1


@given(st.lists(st.floats(0.001, 60), min_size=1, max_size=300))
def test_a_percentile_is_a_fifth_too_high_at_most(seconds: list[float]) -> None:
    """The 99th of a hundred, by the upper edge of its class."""
    counts: dict[str, int] = {}
    for each in seconds:
        counts[f"{CLASS}{class_of(each)}"] = counts.get(f"{CLASS}{class_of(each)}", 0) + 1
    place = -(-99 * len(seconds) // 100) - 1
    exact = 1000 * sorted(seconds)[place]
    assert exact * 0.9999 <= figures(counts)["p99Ms"] <= max(1.0, exact) * STEP * 1.0001
