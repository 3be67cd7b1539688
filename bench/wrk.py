"""The load generator: Debian's wrk, one process of its own, the same for all sides."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

SCRIPT = Path(__file__).with_name("wrk.lua")
PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Load:
    """What came of some seconds of load."""

    requests: int
    seconds: float
    failed: int
    """Answers that were not 2xx, and connections that broke or gave up."""
    p50: float
    """Milliseconds."""
    p99: float
    cpu: float = 0.0
    """Milliseconds of CPU that the server took for each request."""

    @property
    def per_second(self) -> float:
        """Requests a second that were answered well."""
        return (self.requests - self.failed) / self.seconds


def bodies(file: Path, values: list[dict[str, Any]]) -> Path:
    """Write the bodies of the requests, one a line."""
    file.write_bytes(b"\n".join(orjson.dumps(one) for one in values) + b"\n")
    return file


def wrk(url: str, file: Path, connections: int, seconds: float) -> Load:
    """POST the bodies in turn over so many connections. Blocks."""
    command = [
        found(), "--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s",
        "--timeout", f"{PATIENCE_SECONDS}s", "--script", str(SCRIPT), url,
    ]  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "BODIES": str(file)}, capture_output=True, text=True, check=False, timeout=seconds + 90
    )
    if done.returncode:
        raise RuntimeError(f"cannot run {' '.join(command)}: exit {done.returncode}: {done.stderr[-500:]}{done.stdout[-500:]}")
    seen = orjson.loads(done.stdout.strip().splitlines()[-1])
    taken = seen["microseconds"] / 1e6
    return Load(seen["requests"], taken, seen["status"] + seen["lost"], seen["p50"] / 1e3, seen["p99"] / 1e3)


def found() -> str:
    """The path of wrk."""
    path = shutil.which("wrk")
    if path is None:
        raise RuntimeError("cannot put load on a server: there is no wrk on PATH; apt-get install wrk and run this again")
    return path
