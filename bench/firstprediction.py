"""From `anneal up` on an installed machine to the first prediction of the quickstart's model, as a person does it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from bench.figure import Figure, Options
from bench.processes import PRODUCTION, ROOT

TARGET_SECONDS = 90.0
PATIENCE_SECONDS = 300
QUICKSTART = ROOT / "examples" / "quickstart"


async def run(options: Options) -> list[Figure]:
    """Each time from an empty home. It blocks: nothing else is to happen meanwhile."""
    taken = [_once(options, options.folder / f"home-{turn}") for turn in range(1 if options.quick else 3)]
    return [
        Figure(
            "first-prediction", "`anneal up examples/quickstart` in an empty home → the first prediction, slowest of "
            f"{len(taken)}", max(taken), "s", TARGET_SECONDS, samples=tuple(taken),
        )
    ]  # fmt: skip


def _once(options: Options, home: Path) -> float:
    folder = home.with_name(f"{home.name}-specs")
    shutil.copytree(QUICKSTART, folder)
    begun = time.monotonic()
    try:
        _anneal(home, "up", "-d", str(folder))
        _anneal(home, "wait", "--all", "--for=condition=Ready", f"--timeout={PATIENCE_SECONDS}s")
        ready = time.monotonic() - begun
        url = _anneal(home, "get", "mdep", "penguins", "-o", "jsonpath={.status.url}").strip()
        answer = requests.post(f"{url}/predict", json=_example(url), timeout=30)
        taken = time.monotonic() - begun
        answer.raise_for_status()
        options.say(f"ready after {ready:.1f} s; after {taken:.1f} s: {answer.text.strip()[:120]}")
    finally:
        _anneal(home, "down")
    return taken


def _example(url: str) -> dict[str, Any]:
    """The row that the documentation of the API shows."""
    found = requests.get(f"{url}/openapi.json", timeout=30).json()
    row: dict[str, Any] = found["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]["one"][
        "value"
    ]
    return row


def _anneal(home: Path, *args: str) -> str:
    command = [str(Path(sys.executable).with_name("anneal")), *args]
    environment = {**os.environ, **PRODUCTION, "ANNEAL_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS + 60)
    if done.returncode:
        raise RuntimeError(
            f"cannot run anneal {' '.join(args)}: exit {done.returncode}: {done.stderr[-800:]}{done.stdout[-800:]}"
        )
    return done.stdout
