"""The health check of the serving image: every process ready, and heard of lately."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from serving.alive import STALE_SECONDS, main
from serving.state import State


def said(folder: Path, name: str, *, ready: bool = True, age: float = 0.0) -> None:
    """A process said how it is, so long ago."""
    state = State(folder / "state" / f"{name}.json")
    state.say(ready=ready, message="" if ready else "the model cannot be loaded")
    then = time.time() - age
    os.utime(state.file, (then, then))


def test_well(tmp_path: Path) -> None:
    """All are ready: 0, and nothing is said."""
    said(tmp_path, "web")
    said(tmp_path, "worker-r1-0")
    assert main([str(tmp_path)]) == 0


@pytest.mark.parametrize("case", ["nothing", "not ready", "silent", "torn"])
def test_not_well(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1, with the name of what is not well and its own words."""
    said(tmp_path, "web") if case != "nothing" else None
    match case:
        case "not ready":
            said(tmp_path, "worker-r1-0", ready=False)
        case "silent":
            said(tmp_path, "worker-r1-0", age=STALE_SECONDS + 5)
        case "torn":
            (tmp_path / "state" / "worker-r1-0.json").write_text("{")
    assert main([str(tmp_path)]) == 1
    expected = {"nothing": "nothing runs", "not ready": "cannot be loaded", "silent": "last heard of", "torn": "cannot be read"}
    assert expected[case] in capsys.readouterr().err
