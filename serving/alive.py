"""Whether the processes in this container are well: `python -m serving.alive [FOLDER]`; 0 if so, else 1 and why, on stderr.

Asked every few seconds by the container's health check, so it imports nothing that costs time. It reads what the processes say
of themselves (serving.state): each must be ready, and must have said so lately. FOLDER: the deployment's, else $ANNEAL_FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

STALE_SECONDS = 15.0
"""A living process touches its file every two seconds; one that was silent for so long hangs."""


def wrong(folder: Path, now: float) -> str:
    """What is the matter; empty if nothing is."""
    files = sorted((folder / "state").glob("*.json"))
    if not files:
        return f"nothing runs here yet: {folder}/state is empty"
    for file in files:
        try:
            said, age = json.loads(file.read_bytes()), now - file.stat().st_mtime
        except (OSError, ValueError) as error:
            return f"{file.stem}: its state cannot be read: {error}"
        if not said.get("ready"):
            return f"{file.stem} is not ready: {said.get('message') or 'no reason given'}"
        if age > STALE_SECONDS:
            return f"{file.stem} was last heard of {age:.0f} s ago"
    return ""


def main(argv: list[str] | None = None) -> int:
    """Look once."""
    args = sys.argv[1:] if argv is None else argv
    message = wrong(Path(args[0] if args else os.environ.get("ANNEAL_FOLDER", "/tmp/anneal")), time.time())  # noqa: S108  the image's own
    if message:
        sys.stderr.write(f"{message}\n")
    return 1 if message else 0


if __name__ == "__main__":
    sys.exit(main())
