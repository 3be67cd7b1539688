"""`python -m drivers.local.stop UNITS`: end all local processes of a home. The daemon must not run: it would start them again.

Each is asked to end (SIGTERM), all at once; whoever is still there when its time is up is ended (SIGKILL). Prints one JSON line:
how many were stopped, and which had to be killed. What is stopped here is started again by the next daemon, and goes on.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from drivers.local import processes
from drivers.local.jsonfiles import read_json
from drivers.local.units import stop

TICK = 0.05


def main(root: Path) -> int:
    """Stop them all; 0 if none is left."""
    running = {
        folder: record for folder in _folders(root) if processes.alive((record := read_json(folder / "unit.json"))["process"])
    }
    for folder, record in running.items():
        stop(folder, record["process"], 0.0)
    killed = []
    ends = {folder: time.time() + float(record["grace_seconds"]) for folder, record in running.items()}
    left = dict(running)
    while left:
        left = {folder: record for folder, record in left.items() if processes.alive(record["process"])}
        for folder in [folder for folder in left if time.time() > ends[folder]]:
            processes.kill(left[folder]["process"], folder)
            killed.append(folder.name)
            ends[folder] = time.time() + 60
        time.sleep(TICK if left else 0)
    for folder, record in running.items():
        processes.kill(record["process"], folder)
    print(json.dumps({"stopped": len(running), "killed": killed}))
    return 0


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.glob("*") if read_json(folder / "unit.json"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
