"""Folders that go: whole or not at all, and nothing stays of what a crash interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drivers.local import shelf


def made(root: Path, name: str) -> Path:
    """A folder with something in it."""
    (root / name / "inner").mkdir(parents=True)
    (root / name / "unit.json").write_text("{}")
    return root / name


def test_a_folder_goes_whole(tmp_path: Path) -> None:
    """It is gone, the one beside it is not; a second time nothing happens."""
    one, other = made(tmp_path, "one"), made(tmp_path, "other")
    shelf.discard(one)
    shelf.discard(one)
    assert list(tmp_path.iterdir()) == shelf.swept(tmp_path) == [other]


def test_what_a_crash_left_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle: nobody sees half a folder, and the next look leaves nothing of it."""
    one = made(tmp_path, "one")
    with monkeypatch.context() as crash:
        crash.setattr(shutil, "rmtree", lambda *_, **__: None)
        shelf.discard(one)
    assert not one.exists()
    assert len(list(tmp_path.iterdir())) == 1
    assert shelf.swept(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
