"""The crash points, in processes of their own."""

import json
import signal
import subprocess
import sys

import pytest

from reconciler.crash import CrashPlan

PROGRAM = """
import asyncio, pathlib, sys
from reconciler import crash

out = pathlib.Path(sys.argv[1])

def note(text):
    with out.open("a") as file:
        file.write(text + "\\n")

async def main():
    for k in (1, 2, 3):
        async with crash.point("write" if k % 2 else "call", f"step {k}"):
            note(f"did {k}")
        note(f"has {k}")
        await asyncio.sleep(0)
        note(f"on {k}")
    with crash.point("write", "the end"):
        note("did 4")

asyncio.run(main())
"""


def run(tmp_path, **env):
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(out)], env={"PYTHONPATH": ".", **env}, capture_output=True)
    return done, out.read_text().split("\n")[:-1] if out.exists() else []


@pytest.mark.parametrize(
    ("at", "last"),
    [
        pytest.param("1:before", None, id="nothing was done"),
        pytest.param("2:before", "on 1", id="the second was not begun"),
        pytest.param("2:sent", "did 2", id="done, and the answer was never seen"),
        pytest.param("2:after", "has 2", id="the answer was seen, and the next await was the last"),
        pytest.param("@step 3:sent", "did 3", id="by its label"),
        pytest.param("@step#2:before", "on 1", id="the second that is labelled so"),
        pytest.param("@call:before", "on 1", id="the first call, whatever it is"),
        pytest.param("@write#2:sent", "did 3", id="the second write"),
    ],
)
def test_the_process_dies_at_the_point_and_phase_asked_for(tmp_path, at, last):
    """SIGKILL falls exactly there: nothing after it runs, everything before it did."""
    done, lines = run(tmp_path, ANNEAL_CRASH_AT=at)
    assert done.returncode == -signal.SIGKILL
    assert (lines[-1] if lines else None) == last


def test_a_clean_run_can_be_learned(tmp_path):
    """With a count file each point is written down in order, with its kind and label, and nothing else changes."""
    done, lines = run(tmp_path, ANNEAL_CRASH_COUNT=str(tmp_path / "points"))
    points = [json.loads(line) for line in (tmp_path / "points").read_text().splitlines()]
    assert done.returncode == 0, done.stderr
    assert [(p["k"], p["kind"], p["label"]) for p in points] == [
        (1, "write", "step 1"),
        (2, "call", "step 2"),
        (3, "write", "step 3"),
        (4, "write", "the end"),
    ]
    assert lines[-1] == "did 4"


def test_inert_unless_asked(tmp_path):
    """Without the variables the points are not there."""
    done, lines = run(tmp_path)
    assert (done.returncode, len(lines)) == (0, 10)
    assert CrashPlan.from_env({}) is None


@pytest.mark.parametrize("text", ["3", "0:before", "x:sent", "3:later", ":after", "-1:sent", "@:sent", "@a#b:sent"])
def test_a_wrong_setting_is_an_error(text):
    """A suite that misspells the point must not pass for a clean run."""
    with pytest.raises(ValueError, match="expected"):
        CrashPlan.from_env({"ANNEAL_CRASH_AT": text})
