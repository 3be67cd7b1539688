"""Champion and challenger with the real daemon: who is served, who decides, and what is said of it."""

from __future__ import annotations

import pytest

from tests.support.daemon import condition_of
from tests.support.theatre import Stage, asked, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_a_better_model_is_served_by_itself_and_a_worse_one_is_not(at: Stage) -> None:
    """Both on the same held-out rows. The better one takes over; the worse one is NotBetter in status, message and event."""
    await at.show("better")
    obj = await at.serves("better")
    row = status(obj)["challenger"]
    assert row["decision"] == "Promoted"
    assert float(row["score"]) > float(row["incumbentScore"])
    assert row["rows"] > 30
    assert asked(status(obj)["url"]).json()["predictions"][0]["prediction"] == "Gentoo"
    await at.show("worst")
    obj = await at.decided("worst", "NotBetter")
    assert status(obj)["digest"] == at.models["better"]
    assert condition_of(obj)["status"] == "True"
    assert "is not better (accuracy" in condition_of(obj)["message"]
    assert condition_of(obj, "Promoted")["reason"] == "NotBetter"
    assert "NotBetter" in at.cli("events", "mdep/penguins").out
    assert "is not better" in at.cli("describe", "mdep/penguins").out
    assert asked(status(obj)["url"]).status_code == 200


async def test_how_much_better_it_must_be_is_the_specs_affair(at: Stage) -> None:
    """Below minImprovement it is not taken; a lower bar takes it, without another search and without another scoring."""
    await at.source(minImprovement=0.9)
    await at.show("better")
    await at.decided("better", "NotBetter")
    scored = next(row for row in at.lab.units() if row["tag"]["part"] == "score")
    await at.source(minImprovement=0.01)
    await at.serves("better")
    assert next(row for row in at.lab.units() if row["tag"]["part"] == "score") == scored


async def test_a_person_has_the_last_word(at: Stage) -> None:
    """Manual waits for `promote`; `undo` goes back until `resume`; `pause` holds; each with its words and its exit code."""
    cli, what = at.cli, "mdep/penguins"
    assert cli("rollout", "promote", what).code == 1
    await at.source(promotion="Manual")
    await at.show("better")
    obj = await at.decided("better", "AwaitsPromotion")
    assert status(obj)["digest"] == at.models["good"]
    assert "waits for `anneal rollout promote`" in cli("rollout", "status", what).out

    promoted = cli("rollout", "promote", what)
    assert promoted.code == 0, promoted.err
    assert "promoted penguins-" in promoted.out
    await at.serves("better")
    assert cli("rollout", "status", what).code == 0

    undone = cli("rollout", "undo", what)
    assert undone.code == 0, undone.err
    assert "revision 1" in undone.out
    await at.serves("good")
    history = cli("rollout", "history", what)
    assert [line.split()[0] for line in history.lines] == ["REVISION", "1", "2", "3"]
    assert [line.split()[2] for line in history.lines[1:]] == ["Superseded", "Superseded", "Serving"]

    assert cli("rollout", "resume", what).code == 0
    await at.decided("better", "AwaitsPromotion")
    assert cli("rollout", "pause", what).code == 0
    obj = await at.until(lambda seen: condition_of(seen, "Promoted").get("reason") == "Paused")
    assert "rollouts are paused" in condition_of(obj)["message"]
    await at.source(promotion="Automatic")
    await at.serves("good")
    assert cli("rollout", "resume", what).code == 0
    await at.serves("better")
