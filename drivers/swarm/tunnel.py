"""An engine's socket over SSH: OpenSSH forwards it to a socket of ours, so that time limits are those of any other connection."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

SOCKET = "/var/run/docker.sock"
OPTIONS = {
    "BatchMode": "yes",  # asks nobody for a password
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindMask": "0177",  # only we may talk to the engine
}


class TunnelFailed(Exception):
    """ssh ended, or does not get there; its own words."""


class Tunnel:
    """ssh://[user@]host[:port][/path/of/docker.sock]: who we are and which hosts are known is what ~/.ssh says."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = f"{parts.username}@{parts.hostname}" if parts.username else str(parts.hostname)
        self._port = ["-p", str(parts.port)] if parts.port else []
        self._remote = parts.path if parts.path.strip("/") else SOCKET
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    def open(self, seconds: float) -> str:
        """The URL of our end; made if there is none. TunnelFailed says why it cannot be."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._begin()
            assert self._folder is not None
            try:
                self._await(self._folder / "docker.sock", time.monotonic() + seconds)
            except TunnelFailed:
                self._end()
                raise
            return f"unix://{self._folder}/docker.sock"

    def close(self) -> None:
        """End ssh and remove our end."""
        with self._lock:
            self._end()

    def _begin(self) -> None:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise TunnelFailed("there is no ssh on PATH; install the OpenSSH client")
        self._folder = Path(tempfile.mkdtemp(prefix="anneal-ssh-"))
        options = [text for name, value in OPTIONS.items() for text in ("-o", f"{name}={value}")]
        forward = ["-T", "-L", f"{self._folder}/docker.sock:{self._remote}"]
        with (self._folder / "said").open("wb") as said:
            self._process = subprocess.Popen(  # noqa: S603  # the host cannot begin with a dash: the spec's pattern
                [ssh, *options, *forward, *self._port, "--", self._host, "cat"],  # it ends when we do: its input ends then
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
            )  # fmt: skip

    def _await(self, socket: Path, deadline: float) -> None:
        assert self._process is not None
        while not socket.exists():
            if self._process.poll() is not None:
                said = (socket.parent / "said").read_text(errors="replace").strip()
                raise TunnelFailed(f"ssh ended: {said or self._process.returncode}")
            if time.monotonic() > deadline:
                raise TunnelFailed("ssh does not get there")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
