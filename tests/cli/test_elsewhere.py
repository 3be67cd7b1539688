"""anneal is used in people's own folders, where a package may be called as one of ours."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.support.cli import ANNEAL, Cli


def test_packages_of_the_folder_are_not_taken_for_ours(tmp_path: Path) -> None:
    """`anneal up` and `anneal down` in a project with drivers/, reconciler/ and specs/ of its own: none of them is imported."""
    for name in ("drivers", "reconciler", "specs"):
        (tmp_path / "project" / name).mkdir(parents=True)
        (tmp_path / "project" / name / "__init__.py").write_text("raise SystemExit('not this one')\n")
    (tmp_path / "yaml").mkdir()
    cli = Cli(tmp_path / "home")
    project = {"cwd": tmp_path / "project", "env": cli.environment(), "text": True}
    # whoever runs the tests in a shell's background has SIGINT ignored, and all that they start
    person = ["env", "--default-signal=INT", ANNEAL]
    with subprocess.Popen([*person, "up", tmp_path / "yaml"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **project) as up:
        end = time.monotonic() + 60
        while up.poll() is None and cli("status").code != 0:
            assert time.monotonic() < end, "it does not start"
            time.sleep(0.1)
        up.send_signal(signal.SIGINT)
        said, _ = up.communicate(timeout=60)
    assert up.returncode == 0, said
    (tmp_path / "home" / "units").mkdir(exist_ok=True)
    down = subprocess.run([ANNEAL, "down"], capture_output=True, timeout=60, check=False, **project)
    assert (down.returncode, down.stderr) == (0, "")
