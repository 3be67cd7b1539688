"""The embedded API server alone, as a process: daemons may come and go around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Self

from reconciler.home import Home
from tests.support.daemon import ROOT


class ApiProcess:
    """`with ApiProcess(folder) as api:` — one API server on a home of its own."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self._process: subprocess.Popen[str] | None = None

    @property
    def kubeconfig(self) -> Path:
        """What leads to it."""
        return self.home.kubeconfig

    def __enter__(self) -> Self:
        self.home.root.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "reconciler.api", "--home", str(self.home.root)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the API server did not start; see its stderr above"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
