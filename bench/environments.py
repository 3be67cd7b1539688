"""Environments of their own for what anneal is compared with: other people's servers are never installed beside it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build"


def environment(name: str, requirements: Path, say: Callable[[str], None]) -> Path:
    """The Python of build/NAME, with exactly what the file pins; made at the first call, and anew when the file changed."""
    folder = BUILD / name
    python = folder / "bin" / "python"
    text = requirements.read_text(encoding="utf-8")
    stamp = folder / f".made-from-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if stamp.exists():
        return python
    say(f"makes {folder} (once; some minutes)")
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    hashed = ["--require-hashes"] if "--hash=" in text else []
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    _run(*pip, *hashed, "--requirement", str(requirements))
    stamp.touch()
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cannot run {' '.join(command)}: exit {done.returncode}: {done.stderr[-800:]}")
