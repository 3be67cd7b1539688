"""The store: what it acknowledged is there, and list + watch from any point rebuild the truth."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from reconciler.api.revisions import Change, Expired, Key, Mismatch, Missing, StoreError
from reconciler.api.settings import StoreSettings
from reconciler.api.store import Store

A = Key("things", "default", "a")
B = Key("things", "default", "b")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "a.db", StoreSettings(keep_seconds=0.0, keep_revisions=10**9))
    store.open()
    yield store
    await store.close()


async def test_the_loser_of_a_race_is_told(store: Store) -> None:
    """Of two writers that saw the same revision one wins; the other learns the revision that won."""
    first = await store.write(A, b"1", expect=0)
    results = await asyncio.gather(store.write(A, b"2", expect=first), store.write(A, b"3", expect=first), return_exceptions=True)
    assert results[0] == first + 1
    assert isinstance(results[1], Mismatch)
    assert results[1].current == first + 1
    assert store.get(A) == (A, first + 1, b"2")


async def test_nothing_is_created_in_a_namespace_that_is_not_there(store: Store) -> None:
    """A write that requires another object fails without it; a namespace goes only while it is empty."""
    space = Key("namespaces", "", "default")
    with pytest.raises(Missing):
        await store.write(A, b"1", expect=0, requires=space)
    rv = await store.write(space, b"{}", expect=0)
    await store.write(A, b"1", expect=0, requires=space)
    with pytest.raises(Missing):
        await store.write(space, b"{}", expect=rv, deleted=True, empty_namespace="default")
    assert store.get(space) is not None


async def test_versions_never_come_twice(tmp_path: Path) -> None:
    """After everything was deleted, compacted and restarted, the next revision is still a new one."""
    store = Store(tmp_path / "a.db", StoreSettings(keep_revisions=0, keep_seconds=0.0))
    store.open()
    rv = await store.write(A, b"1", expect=0)
    last = await store.write(A, b"1", expect=rv, deleted=True)
    assert await store.compact(time.time()) == last
    await store.close()
    store.open()
    assert await store.write(A, b"2", expect=0) == last + 1
    await store.close()


async def test_compaction_bounds_the_database(store: Store) -> None:
    """A hundred thousand bytes rewritten a thousand times do not make a hundred million."""
    store.settings = StoreSettings(keep_revisions=10, keep_seconds=0.0)
    rv = 0
    for _ in range(10):
        for _ in range(20):
            rv = await store.write(A, b"x" * 100_000, expect=rv)
        await store.compact(0.0)
    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT count(*) FROM revisions").fetchone()[0] <= 11
    assert store.path.stat().st_size < 100_000 * 40


async def test_age_keeps_what_is_young(store: Store) -> None:
    """Changes younger than keep_seconds can be replayed, however many they are not."""
    store.settings = StoreSettings(keep_revisions=10**9, keep_seconds=60.0)
    rv = await store.write(A, b"1", expect=0)
    await store.write(A, b"2", expect=rv)
    assert await store.compact(time.time()) == 0
    assert await store.compact(time.time() + 62) == rv + 1
    with pytest.raises(Expired):
        store.changes("things", after=0, upto=99, limit=10)
    assert store.scan("things", None, at=rv + 1) == [(A, rv + 1, b"2")]


async def test_many_writes_share_a_commit(store: Store) -> None:
    """A thousand concurrent writers are all acknowledged, each with its own revision, in a handful of batches."""
    batches: list[int] = []
    store.on_commit = lambda changes: batches.append(len(changes))
    keys = [Key("things", "default", f"k{i}") for i in range(1000)]
    rvs = await asyncio.gather(*(store.write(key, b"x", expect=0) for key in keys))
    assert sorted(rvs) == list(range(min(rvs), min(rvs) + 1000))
    assert sum(batches) == 1000
    assert len(batches) < 100


async def test_a_newer_database_is_not_touched(tmp_path: Path) -> None:
    """A database of a newer anneal is refused with a word on what to do."""
    store = Store(tmp_path / "a.db")
    store.open()
    await store.close()
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="written by a newer anneal"):
        Store(tmp_path / "a.db").open()


async def test_a_broken_database_is_named(tmp_path: Path) -> None:
    """A file that is no database stops the start with its name and what to do."""
    (tmp_path / "a.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"cannot open .*a\.db: file is not a database; restore it"):
        Store(tmp_path / "a.db").open()


class Histories(RuleBasedStateMachine):
    """Random writes, deletions, compactions and restarts; beside them the truth as a dict per revision."""

    observers = Bundle("observers")
    names = st.sampled_from(["a", "b", "c", "d"])
    spaces = st.sampled_from(["x", "y"])

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "a.db", StoreSettings(keep_seconds=1e9, keep_revisions=5))
        self.truth: dict[Key, tuple[int, bytes]] = {}
        self.past: dict[int, dict[Key, tuple[int, bytes]]] = {0: {}}
        self.heard: list[Change] = []
        self.counter = 0
        self.open()

    def open(self) -> None:
        async def go() -> None:
            self.store.open()

        self.loop.run_until_complete(go())
        self.store.on_commit = self.heard.extend

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.store.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()

    @rule(space=spaces, name=names)
    def write(self, space: str, name: str) -> None:
        key = Key("things", space, name)
        self.counter += 1
        blob = str(self.counter).encode()
        rv = self.loop.run_until_complete(self.store.write(key, blob, expect=self.truth.get(key, (0, b""))[0]))
        self.truth[key] = (rv, blob)
        self.past[rv] = dict(self.truth)

    @rule(space=spaces, name=names)
    def delete(self, space: str, name: str) -> None:
        key = Key("things", space, name)
        if key in self.truth:
            expect, blob = self.truth.pop(key)
            rv = self.loop.run_until_complete(self.store.write(key, blob, expect=expect, deleted=True))
            self.past[rv] = dict(self.truth)

    @rule(space=spaces, name=names, wrong=st.integers(1, 50))
    def stale_write(self, space: str, name: str, wrong: int) -> None:
        key = Key("things", space, name)
        expect = self.truth.get(key, (0, b""))[0] + wrong
        with pytest.raises(Mismatch):
            self.loop.run_until_complete(self.store.write(key, b"never", expect=expect))

    @rule()
    def compact(self) -> None:
        self.loop.run_until_complete(self.store.compact(0.0))

    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.open()

    @rule(target=observers)
    def observe(self) -> object:
        """Somebody lists everything now, and will go on from there later."""
        at = self.store.newest()
        return multiple((at, {row.key: (row.rv, row.blob) for row in self.store.scan("things", None, at=at)}))

    @rule(observer=observers, limit=st.integers(1, 3))
    def catch_up(self, observer: tuple[int, dict[Key, tuple[int, bytes]]], limit: int) -> None:
        """A list and the changes since, in pages, give the present; or the past is said to be gone."""
        at, state = observer
        state = dict(state)
        try:
            while page := self.store.changes("things", after=at, upto=self.store.delivered, limit=limit):
                for change in page:
                    assert change.rv > at
                    at = change.rv
                    assert (change.key in state) == (change.type != "ADDED")
                    if change.type == "DELETED":
                        del state[change.key]
                    else:
                        state[change.key] = (change.rv, change.blob)
        except Expired:
            assert at < self.store.compacted
        else:
            assert state == self.truth

    @rule(data=st.data(), limit=st.integers(1, 3))
    def read_the_past(self, data: st.DataObject, limit: int) -> None:
        """A list in chunks as of any revision is the state at that revision; or it is said to be gone."""
        at = data.draw(st.sampled_from(sorted(self.past)))
        found: dict[Key, tuple[int, bytes]] = {}
        after: tuple[str, str] | None = None
        try:
            while rows := self.store.scan("things", None, at=at, after=after, limit=limit):
                found |= {row.key: (row.rv, row.blob) for row in rows}
                after = rows[-1].key[1:]
        except Expired:
            assert at < self.store.compacted
        else:
            assert found == self.past[at]
            assert self.store.count("things", None, at=at) == len(found)
            assert [*found] == sorted(found)

    @invariant()
    def the_present_is_the_truth(self) -> None:
        if hasattr(self, "store"):
            now = self.store.newest()
            assert {r.key: (r.rv, r.blob) for r in self.store.scan("things", None, at=now)} == self.truth
            for key in (Key("things", "x", "a"), Key("things", "y", "d")):
                row = self.store.get(key)
                assert (row and (row.rv, row.blob)) == self.truth.get(key)

    @invariant()
    def everything_was_heard_in_order(self) -> None:
        if hasattr(self, "heard"):
            rvs = [change.rv for change in self.heard]
            assert rvs == sorted(set(rvs))
            assert set(rvs) == set(self.past) - {0}


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
