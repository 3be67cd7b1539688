"""Which copies of tables go, and which stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.local.jsonfiles import write_json
from reconciler import housekeeping
from reconciler.client import ApiError, ours
from tests.support import apiserver

OLD = housekeeping.KEEP_SECONDS + 3600


def table(data: Path, letter: str, *, age: float = OLD) -> Path:
    """A copy of a table, fetched so many seconds ago."""
    path = data / f"{letter * 64}.csv"
    data.mkdir(exist_ok=True)
    path.write_text("a,b\n")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    return path


async def test_what_nothing_names_goes_after_a_while(tmp_path: Path) -> None:
    """An old table goes; the one of a Dataset, the one of a run, a young one, and what is no table stay."""
    data, runs = tmp_path / "data", tmp_path / "runs"
    forgotten, served, learned, young = (table(data, "0"), table(data, "1"), table(data, "2"), table(data, "3", age=60))
    (data / "notes.txt").write_text("mine")
    os.utime(data / "notes.txt", (0, 0))
    (runs / "a").mkdir(parents=True)
    write_json(runs / "a" / "spec.json", {"dataset": {"path": str(learned)}})
    async with apiserver.running(tmp_path / "home") as server:
        meta = {"name": "d", "namespace": "default"}
        body = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Dataset", "metadata": meta, "spec": {"uri": "d.csv"}}
        await server.client.create(ours("datasets"), "default", body)
        await server.client.patch(ours("datasets"), "default", "d", {"status": {"path": str(served)}}, subresource="status")
        assert await housekeeping.sweep(server.client, data, runs) == [forgotten]
        assert sorted(data.iterdir()) == sorted([served, learned, young, data / "notes.txt"])
        assert await housekeeping.sweep(server.client, data, runs) == []


async def test_what_cannot_be_told_is_needed(tmp_path: Path) -> None:
    """A run whose request cannot be read, an API server that does not answer: nothing goes."""
    data, runs = tmp_path / "data", tmp_path / "runs"
    kept = table(data, "0")
    (runs / "a").mkdir(parents=True)
    (runs / "a" / "spec.json").write_text('{"dataset": {"pa')
    async with apiserver.running(tmp_path / "home") as server:
        assert await housekeeping.sweep(server.client, data, runs) == []
    with pytest.raises(ApiError):
        await housekeeping.sweep(server.client, data, tmp_path / "none")
    assert list(data.iterdir()) == [kept]
