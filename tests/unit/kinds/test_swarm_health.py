"""The health check of the containers, run by a real shell."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from reconciler.kinds.swarm.serving import FOLDER, WELL

READY, STARTING = '{"ready":true,"message":""}', '{"ready":false,"message":"loading the model"}'


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "worker-r1-0.json"


def check(state: Path) -> int:
    """The exit code of the check, in a container whose process writes that file."""
    command = WELL.replace(FOLDER, str(state.parent.parent))
    return subprocess.run(["sh", "-c", command], capture_output=True, timeout=60, check=False).returncode


def test_a_process_that_is_ready_is_well(state: Path) -> None:
    """It says so, and said so lately."""
    state.write_text(READY)
    assert check(state) == 0


def test_one_that_gets_ready_meanwhile_is_well_at_once(state: Path) -> None:
    """The check waits for it: no round of the health check is lost."""
    state.write_text(STARTING)
    timer = threading.Timer(0.5, state.write_text, (READY,))
    timer.start()
    assert check(state) == 0
    timer.join()


def test_one_that_says_nothing_or_said_it_long_ago_is_not(state: Path) -> None:
    """No file yet; not ready; a process that hangs and touches its file no more."""
    assert check(state) == 1
    state.write_text(STARTING)
    assert check(state) == 1
    state.write_text(READY)
    past = time.time() - 600
    os.utime(state, (past, past))
    assert check(state) == 1
