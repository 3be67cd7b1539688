"""The real `anneal` executable, run as people run it: a process, an environment, sometimes a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.preloaded import PRODUCTION

ANNEAL = Path(sys.executable).parent / "anneal"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass(frozen=True)
class Ran:
    """What came of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, decoded."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Its output, line by line."""
        return self.out.splitlines()


@dataclass
class Cli:
    """`anneal` on one home."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Without anything of the person who runs the tests."""
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("ANNEAL_") and key not in ("COLUMNS", "NO_COLOR")
        }
        return clean | PRODUCTION | {"ANNEAL_HOME": str(self.home), "HOME": str(self.home), "LC_ALL": "C.UTF-8"} | self.env

    def __call__(self, *words: str, stdin: str | None = None, seconds: float = 60) -> Ran:
        """Run it to its end, without a terminal."""
        done = subprocess.run(
            [ANNEAL, *words], env=self.environment(), input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it and read along."""
        return subprocess.Popen(
            [ANNEAL, *words], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def terminal(self, *words: str, size: tuple[int, int] = (80, 24)) -> Terminal:
        """Start it on a terminal of `size` columns and lines."""
        return Terminal([str(ANNEAL), *words], self.environment() | {"TERM": "xterm"}, size)


class Terminal:
    """A process that believes it talks to a person."""

    def __init__(self, command: list[str], env: dict[str, str], size: tuple[int, int]) -> None:
        import fcntl
        import struct
        import termios

        self.text = ""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._master = master
        # login_tty makes it the controlling terminal, so that Ctrl-C is a signal
        self.process = subprocess.Popen(command, env=env, preexec_fn=partial(os.login_tty, slave), close_fds=True)
        os.close(slave)

    @property
    def plain(self) -> str:
        """All that was shown, without colours and cursor movements."""
        return _ESCAPES.sub("", self.text)

    def until(self, what: str, seconds: float = 20) -> str:
        """Read until `what` was shown; AssertionError with all that was shown if it never is."""
        end = time.monotonic() + seconds
        while what not in self.plain:
            assert time.monotonic() < end, f"never saw {what!r} in:\n{self.plain}"
            if not self._read(end - time.monotonic()):
                assert what in self.plain, f"ended without {what!r}:\n{self.plain}"
        return self.plain

    def write(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def end(self, seconds: float = 20) -> int:
        """Read to the end; returns the exit code."""
        stop = time.monotonic() + seconds
        while self._read(max(0.0, stop - time.monotonic())):
            assert time.monotonic() < stop, f"it does not end:\n{self.plain}"
        code = self.process.wait(5)
        os.close(self._master)
        return code

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)
