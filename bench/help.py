"""`anneal --help` beside an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.figure import Figure, Options, medians

TIMES_PYTHON = 5.0


async def run(options: Options) -> list[Figure]:
    """Run the two in turn."""
    anneal = str(Path(sys.executable).with_name("anneal"))
    ours, theirs = [], []
    for number in range(options.scaled(52, 6)):
        times = (_wall([anneal, "--help"]), _wall([sys.executable, "-c", "pass"]))
        if number > 1:
            ours.append(times[0])
            theirs.append(times[1])
    return [medians("help", "`anneal --help`", "ms", ours, "`python -c pass`", theirs, times_baseline=TIMES_PYTHON)]


def _wall(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return 1e3 * (time.perf_counter() - begun)
