"""The daemon with every process of a model's life played by a puppet: what counts is who is started, how often, and who is left.

Each puppet writes one line into `diary` in the home when it starts. See puppet.py for what it does then.
"""

from __future__ import annotations

import sys
from pathlib import Path

from reconciler import daemon
from reconciler.kinds import dataset, run, serving


def python(module: str, *arguments: str) -> list[str]:
    """The command of a unit: a puppet."""
    return [sys.executable, "-IS", str(Path(__file__).with_name("puppet.py")), module, *arguments]


for kind in (dataset, run, serving):
    kind.python = python  # type: ignore[attr-defined]

if __name__ == "__main__":
    sys.exit(daemon.main())
