"""Wanting one table: looked at once for each content and each spec, and never taken for good while it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Done, Stop, Wait
from drivers.local.tables import Table
from reconciler.kinds.credentials import Credentials
from reconciler.kinds.dataset import DatasetKind
from specs.meta import Reason
from tests.unit.kinds.world import World, local

DIGESTS = {stamp: "sha256:" + stamp * 64 for stamp in "abc"}
REMOTE = {"uri": "https://example.org/t.csv"}


def file(stamp: str = "a", trouble: str = "") -> Table:
    """The local file, as it is seen."""
    return Table("/specs/t.csv", "/specs", "" if trouble else stamp, trouble)


def found(digest: str = DIGESTS["a"], problems: Any = (), error: Any = None) -> dict[str, Any]:
    """What a look leaves."""
    column = {"name": "mass", "type": "number", "missing": 0.25, "minimum": 1, "maximum": 9, "unique": 7}
    table = {"digest": digest, "path": "/data/t", "rows": 344, "bytes": 15_000, "columns": [column], "problems": list(problems)}
    return {"result.json": (table if error is None else {}) | {"error": error}}


def looks(there: World, part: str, unit: Any) -> dict[str, Any]:
    """A look that goes well: what it finds is what lies there now."""
    table = there.things.get("table")
    return found(DIGESTS[table.stamp] if isinstance(table, Table) else DIGESTS["a"])


def world(ended: Any = looks, **spec: Any) -> World:
    """A Dataset of a local file, unless the spec says otherwise."""
    there = World(DatasetKind(local(), Credentials(None)), {"uri": "t.csv"} | spec, ended=ended)  # type: ignore[arg-type]
    if "://" not in there.spec["uri"]:
        there.things["table"] = file()
    return there


def starts(there: World) -> int:
    """How often the table was looked at."""
    return sum("command" in step.change for step in there.log)


def test_a_table_is_looked_at_once() -> None:
    """Rows, columns, digest stand in the status; nothing is left to do."""
    there = world()
    assert isinstance(there.settle(), Done)
    assert isinstance(there.settle(), Done)
    assert starts(there) == 1
    assert (there.status["rows"], there.status["digest"]) == (344, DIGESTS["a"])
    assert there.status["columns"][0] == {
        "name": "mass", "type": "number", "missing": 0.25, "unique": 7, "minimum": "1", "maximum": "9",
    }  # fmt: skip
    assert "344 rows, 1 columns" in there.status["conditions"][0]["message"]


def test_the_job_is_told_all_that_it_needs_and_no_secret() -> None:
    """The spec, where relative URIs begin, which folders it may read; credentials by file."""
    there = world(**REMOTE, credentialsRef={"env": "TOKEN"})
    there.kind = DatasetKind(local(), Known())  # type: ignore[arg-type]
    plan = there.plan()
    assert isinstance(plan, tuple)
    request = json.loads(plan[0].change["files"]["request.json"])
    assert request["spec"]["uri"] == REMOTE["uri"]
    assert request["secretFile"] == "{folder}/secret"
    assert "open-sesame" not in repr(plan)


class Known:
    """Credentials that can be read."""

    async def read(self, *_: Any) -> str:
        """The secret."""
        return "open-sesame"


@pytest.mark.parametrize("change", [{"table": file("b")}, {"spec": {"checks": {"minRows": 5}}}], ids=["table", "spec"])
def test_another_content_or_another_spec_is_another_look(change: dict[str, Any]) -> None:
    """And only these; meanwhile the table on record can be used."""
    there = world()
    there.settle()
    if "table" in change:
        there.things["table"] = change["table"]
    else:
        there.spec, there.generation = there.spec | change["spec"], 2
    held: list[str] = []
    there.watch = lambda now: held.append(now.status["conditions"][0]["status"])
    assert isinstance(there.settle(), Done)
    assert starts(there) == 2
    if "table" in change:
        assert set(held) == {"True"}
        assert there.status["digest"] == DIGESTS["b"]


def test_how_often_it_is_fetched_is_no_other_table() -> None:
    """Another interval looks at nothing anew."""
    there = world(**REMOTE, refreshIntervalSeconds=60)
    while not isinstance(there.plan(), Done):
        there.step()
    there.spec, there.generation = there.spec | {"refreshIntervalSeconds": 600}, 2
    assert isinstance(there.plan(), Done)


def test_a_followed_uri_is_fetched_every_so_often() -> None:
    """After its interval, not before; it comes back by itself in time."""
    there = world(**REMOTE, refreshIntervalSeconds=60)
    while not isinstance(there.plan(), Done):
        there.step()
    plan = there.plan()
    assert isinstance(plan, Done)
    assert plan.seconds is not None
    assert 0 < plan.seconds <= 60
    there.pass_time(plan.seconds - 1)
    assert isinstance(there.plan(), Done)
    there.pass_time(2)
    assert isinstance(there.settle(), Done)
    assert starts(there) == 2


def test_fetching_again_and_again_is_no_failing_again_and_again() -> None:
    """The twentieth fetch comes as soon after the one before as the second: pauses grow with failures, not with success."""
    there = world(**REMOTE, refreshIntervalSeconds=10)
    while starts(there) < 20:
        there.step()
    begun = there.now
    while starts(there) < 21:
        there.step()
    assert (there.now - begun).total_seconds() < 20


PROBLEM = {"column": "mass", "rows": [3, 17], "message": "2 values are above 9"}


@pytest.mark.parametrize(
    ("left", "reason", "words"),
    [(found(problems=[PROBLEM]), Reason.CHECKS_FAILED, "column mass: 2 values are above 9 (rows 3, 17)"),
     (found(error={"reason": "DigestMismatch", "message": "the content is another"}), Reason.DIGEST_MISMATCH, "another"),
     (found(error={"reason": "Forbidden", "message": "169.254.169.254 is private"}), Reason.FORBIDDEN, "private"),
     (found(error={"reason": "InvalidData", "message": "row 7 has 3 cells"}), Reason.CHECKS_FAILED, "row 7"),
     (found(error={"reason": "InvalidSpec", "message": "no column y"}), Reason.INVALID_CONFIGURATION, "no column y"),
     ({}, Reason.INTERNAL_ERROR, "left no result")],
    ids=["checks", "digest", "forbidden", "data", "spec", "nothing"],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_said_and_not_tried_again(left: Any, reason: Reason, words: str) -> None:
    """Column and rows are named; only another table or another spec is another try."""
    there = world(lambda *_: left)
    plan = there.settle()
    assert isinstance(plan, Stop)
    assert plan.reason is reason
    assert words in plan.message
    there.pass_time(100_000)
    assert isinstance(there.settle(), Stop)
    assert starts(there) == 1
    there.ended, there.things["table"] = looks, file("b")
    assert isinstance(there.settle(), Done)


def test_problems_stand_in_the_status_by_column_and_row() -> None:
    """The table is available, and not valid."""
    there = world(lambda *_: found(problems=[PROBLEM]))
    there.settle()
    assert there.status["problems"] == [PROBLEM]
    said = {row["type"]: row["status"] for row in there.status["conditions"]}
    assert said == {"Ready": "False", "Available": "True", "Valid": "False"}


def test_a_server_that_is_away_is_asked_again_with_growing_pauses() -> None:
    """FetchFailed while it lasts; the table on record can be used meanwhile."""
    away = {"reason": "FetchFailed", "message": "cannot fetch: no answer"}
    there = world(lambda *_: found(error=away), **REMOTE, refreshIntervalSeconds=60)
    for _ in range(40):
        plan = there.step()
    assert isinstance(plan, tuple | Wait)
    assert there.status["conditions"][0]["reason"] in ("FetchFailed", "Updating", "Fetching")
    assert starts(there) > 3
    there.ended = looks
    assert isinstance(there.settle(), Done)
    there.ended = lambda *_: found(error=away)
    there.pass_time(61)
    held: list[str] = []
    there.watch = lambda now: held.append(now.status["conditions"][0]["status"])
    for _ in range(12):
        there.step()
    assert set(held) == {"True"}
    assert there.status["digest"] == DIGESTS["a"]


def test_a_file_that_is_not_there_is_waited_for() -> None:
    """Where it was looked for is said; what was on record is not forgotten; nothing is started."""
    there = world()
    there.settle()
    there.things["table"] = file(trouble='cannot read "t.csv": there is no such file (/specs/t.csv)')
    plan = there.step()
    assert isinstance(plan, Wait)
    assert plan.reason is Reason.FETCH_FAILED
    assert "/specs/t.csv" in plan.message
    assert there.status["digest"] == DIGESTS["a"]
    there.things["table"] = file()
    assert isinstance(there.settle(), Done)
    assert starts(there) == 1


def test_a_look_that_is_killed_is_begun_again() -> None:
    """Whoever killed it."""
    there = world()
    while there.unit("profile") is None:
        there.step()
    there.kill("profile")
    assert isinstance(there.settle(), Done)
    assert starts(there) == 2


@given(st.sampled_from(["table", "profile"]), st.integers(0, 6))
def test_silence_never_leads_to_a_step(part: str, steps: int) -> None:
    """Whatever cannot be looked at: nothing is started meanwhile."""
    there = world()
    for _ in range(steps):
        there.step()
    there.blind(part)
    assert isinstance(there.plan(), Wait)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("kill"), st.none()),
        st.tuples(st.just("lose"), st.none()),
        st.tuples(st.just("file"), st.sampled_from(["a", "b", "c", ""])),
        st.tuples(st.just("spec"), st.sampled_from([{"checks": {"minRows": 5}}, {"checks": {"minRows": 6}}, {"target": "mass"}])),
        st.tuples(st.just("steps"), st.integers(1, 8)),
        st.tuples(st.just("time"), st.sampled_from([0.05, 20.0, 700.0])),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_whatever_happened_it_ends_with_the_table_that_lies_there(events: list[tuple[str, Any]]) -> None:
    """After any history: the digest on record is that of the content, Done stays Done, all of it goes."""
    there = world()
    for what, value in events:
        match what:
            case "kill":
                there.kill("profile")
            case "lose":
                there.things.pop("profile", None)
            case "file":
                there.things["table"] = file(value, "" if value else "there is no such file")
            case "spec":
                there.spec, there.generation = there.spec | value, there.generation + 1
            case "time":
                there.pass_time(value)
            case _:
                for _ in range(value):
                    there.step()
    there.things["table"] = file("b")
    assert isinstance(there.settle(1500), Done)
    assert there.status["digest"] == DIGESTS["b"]
    before = len(there.log)
    assert isinstance(there.settle(), Done)
    assert len(there.log) == before
    there.teardown()
