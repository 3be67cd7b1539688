"""The routing table as a web process sees it: never older than a moment, and never empty once there is something to serve."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving import routes
from serving.routes import FileTable, Route, Routes, Table, write


def table(*revisions: int) -> Table:
    return Table(revisions=tuple(Route(revision=n, digest=f"sha256:{n:064x}", queue=f"r{n}") for n in revisions))


def test_the_first_revision_is_seen_at_once(tmp_path: Path) -> None:
    """Nobody is told that nothing is served once something is: a deployment that says that it is ready answers."""
    file = tmp_path / "routes.json"
    seen = Routes(FileTable(file))
    assert seen.pick() is None
    write(file, table())
    assert seen.pick() is None
    write(file, table(1))
    assert seen.pick() == table(1).revisions[0]


def test_after_a_pause_nobody_is_sent_to_a_revision_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many ask at once for the first time in minutes, and the table changed meanwhile: all of them see the new one."""
    looking, go = threading.Event(), threading.Event()

    class Slow(FileTable):
        def look(self) -> Table | None:
            looking.set()
            assert go.wait(20)
            return super().look()

    file = tmp_path / "routes.json"
    write(file, table(1))
    go.set()
    seen = Routes(Slow(file))
    assert seen.now() == table(1)
    go.clear()
    looking.clear()
    write(file, table(2))
    now = routes.time.monotonic()
    monkeypatch.setattr(routes.time, "monotonic", lambda: now + 300)
    with ThreadPoolExecutor(9) as crowd:
        first = crowd.submit(seen.now)
        assert looking.wait(20)
        others = [crowd.submit(seen.now) for _ in range(8)]
        done = [each for each in others if each.done()]
        go.set()
        assert not done
        assert {each.result(20) for each in (first, *others)} == {table(2)}


def test_a_table_that_is_broken_for_a_moment_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read last is served on with, whatever becomes of the file."""
    file = tmp_path / "routes.json"
    write(file, table(1))
    seen, now = Routes(FileTable(file)), routes.time.monotonic()
    assert seen.now() == table(1)
    for number, spoil in enumerate((lambda: file.write_text("{"), file.unlink), 1):
        spoil()
        monkeypatch.setattr(routes.time, "monotonic", lambda at=now + 300 * number: at)
        assert seen.now() == table(1)
