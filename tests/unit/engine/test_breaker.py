"""The breaker: what looks like the loss of everything is not believed."""

from __future__ import annotations

import pytest

from reconciler.engine.breaker import Limits, verdict

LIMITS = Limits(count=10, share=0.4, least=3)


@pytest.mark.parametrize(
    ("recorded", "lost", "opens"),
    [
        (1, 1, False),
        (2, 2, False),
        (3, 3, True),
        (5, 2, False),
        (6, 3, True),
        (10, 4, False),
        (10, 5, True),
        (100, 10, False),
        (100, 11, True),
        (1000, 1000, True),
        (0, 0, False),
    ],
)
def test_when_it_opens(recorded, lost, opens):
    """More than `count` objects of one account, or from `least` up more than `share` of them; ports do not dilute servers."""
    refs = {f"server-{number}": number for number in range(recorded)} | {f"port-{number}": number for number in range(recorded)}
    gone = {f"server-{number}" for number in range(lost)}
    assert (verdict(refs, gone, LIMITS) is not None) is opens


def test_only_what_is_on_record_counts():
    """Losses that this account never recorded do not open it."""
    assert verdict({"a": 1, "b": 2, "c": 3, "d": 4}, {"x", "y", "z", "a"}, LIMITS) is None
