"""What status remembers: intents, parts, failures, conditions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import (
    Absent,
    Duplicate,
    InvalidConfiguration,
    Present,
    QuotaExceeded,
    RateLimited,
    Stop,
    Unknown,
    Unreachable,
    Wait,
)
from reconciler.api.patches import merge_patch
from reconciler.engine import record
from reconciler.engine.kind import Verdict
from specs.meta import Reason

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_carries_our_tag_is_adopted():
    """A create whose answer was lost is settled by seeing the thing: recorded, and its intent dropped."""
    status = record.with_intent({}, "server", "anneal-x", NOW)
    settled = record.settle(status, {"server": Present("id-1", None)}, {"server": 60}, NOW)
    assert record.recorded(settled.status) == {"server": "id-1"}
    assert settled.status["intents"] == []
    assert not settled.open_until


@pytest.mark.parametrize("observation", [Absent(), Unknown(Unreachable("down"))], ids=["absent", "unknown"])
def test_a_young_intent_stays_open(observation):
    """Until the settle time passed, an absent thing may still show up: the intent is kept."""
    status = record.with_intent({}, "server", "anneal-x", NOW)
    settled = record.settle(status, {"server": observation}, {"server": 60}, NOW + timedelta(seconds=20))
    assert settled.open_until == {"server": pytest.approx(40)}
    assert len(settled.status["intents"]) == 1


def test_an_old_intent_is_given_up_only_on_a_healthy_absence():
    """After the settle time Absent ends the intent; Unknown never does."""
    status = record.with_intent({}, "server", "anneal-x", NOW)
    later = NOW + timedelta(seconds=61)
    assert record.settle(status, {"server": Absent()}, {"server": 60}, later).status["intents"] == []
    assert len(record.settle(status, {"server": Unknown(Unreachable("down"))}, {"server": 60}, later).status["intents"]) == 1


def test_an_intent_of_an_earlier_leader_is_open_from_the_change_of_leaders():
    """Whoever stored it may have sent it until the moment before we took over: the settle time begins there."""
    status = record.with_intent({}, "server", "anneal-x", NOW)
    later = NOW + timedelta(seconds=90)
    settled = record.settle(status, {"server": Absent()}, {"server": 60}, later, later - timedelta(seconds=10))
    assert settled.open_until == {"server": pytest.approx(50)}


def test_a_part_that_vanished_stays_on_record_unless_we_deleted_it():
    """What was there and is gone is known to be lost; what was deleted as asked is forgotten."""
    status = record.with_part({}, "server", "id-1")
    assert record.recorded(record.settle(status, {"server": Absent()}, {}, NOW).status) == {"server": "id-1"}
    marked = record.with_deletion(status, "server", "id-1")
    assert record.recorded(record.settle(marked, {"server": Absent()}, {}, NOW).status) == {}


def test_of_duplicates_the_kept_one_is_recorded():
    """The record follows the observation's choice."""
    status = record.settle({}, {"server": Duplicate(Present("id-1", None), ("id-2",))}, {}, NOW).status
    assert record.recorded(status) == {"server": "id-1"}


def test_a_refused_call_is_not_tried_before_its_pause_is_over():
    """Quota: 60 s, then twice as long; the message has the provider's words and the count."""
    status = record.with_failure({}, "server", QuotaExceeded("cores: 8 of 8"), 1, NOW)
    held = record.may_try(status, "server", 1, NOW + timedelta(seconds=1))
    assert isinstance(held, Wait)
    assert held.seconds == pytest.approx(59)
    assert "cores: 8 of 8" in held.message
    assert record.may_try(status, "server", 1, NOW + timedelta(seconds=60)) is None
    twice = record.with_failure(status, "server", QuotaExceeded("cores: 8 of 8"), 1, NOW)
    assert record.may_try(twice, "server", 1, NOW + timedelta(seconds=119)) is not None


def test_retry_after_is_honoured():
    """A provider that says when to come back is not asked before."""
    status = record.with_failure({}, "server", RateLimited("slow down", retry_after=300), 1, NOW)
    assert record.may_try(status, "server", 1, NOW + timedelta(seconds=299)) is not None
    assert record.may_try(status, "server", 1, NOW + timedelta(seconds=300)) is None


def test_a_refused_configuration_waits_for_another_spec():
    """400 is not tried again for the same generation, and at once for the next."""
    status = record.with_failure({}, "server", InvalidConfiguration("no such image"), 1, NOW)
    assert isinstance(record.may_try(status, "server", 1, NOW + timedelta(days=30)), Stop)
    assert record.may_try(status, "server", 2, NOW) is None


def test_the_transition_time_moves_only_with_the_status():
    """Another message is not a transition."""
    first = record.with_conditions({}, [Verdict("Ready", "False", Reason.BUILDING, "a")], 1, NOW)
    same = record.with_conditions(first, [Verdict("Ready", "False", Reason.BUILDING, "b")], 1, NOW + timedelta(hours=1))
    turned = record.with_conditions(same, [Verdict("Ready", "True", Reason.HEALTHY)], 1, NOW + timedelta(hours=2))
    times = [status["conditions"][0]["lastTransitionTime"] for status in (first, same, turned)]
    assert times == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"]


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


@given(OBJECTS, OBJECTS)
def test_the_patch_leads_from_the_old_to_the_new(old, new):
    """merge(old, diff(old, new)) == new, for any two objects without nulls."""
    assert merge_patch(old, record.merge_diff(old, new)) == new


@given(OBJECTS)
def test_nothing_changed_is_nothing_to_write(obj):
    """An unchanged status makes no patch, so that an idle system writes nothing."""
    assert record.merge_diff(obj, obj) == {}
