"""An SSH server on loopback with keys of its own, and an `ssh` that uses them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any


class Sshd:
    """Runs from entering the block to leaving it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sshd:
        self.folder.mkdir(parents=True)
        for key in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key], check=True)
        (self.folder / "authorized").write_text((self.folder / "client.pub").read_text())
        kind, key, *_ = (self.folder / "host.pub").read_text().split()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        (self.folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nPermitRootLogin prohibit-password\nLogLevel VERBOSE\n"
        )
        (self.folder / "bin").mkdir()
        program = self.folder / "bin" / "ssh"
        program.write_text(
            f"#!/bin/sh\nexec {shutil.which('ssh')} -F none -i {self.folder}/client -o IdentitiesOnly=yes "
            f'-o UserKnownHostsFile={self.folder}/known "$@"\n'
        )
        program.chmod(0o755)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def path(self) -> str:
        """PATH with that ssh on it."""
        return f"{self.folder}/bin:{os.environ['PATH']}"

    def restart(self) -> None:
        """Break all connections."""
        self._stop()
        self._start()

    def connections(self) -> int:
        """How many were let in so far."""
        return (self.folder / "log").read_text(errors="replace").count("Accepted publickey")

    def _start(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        log: Any = (self.folder / "log").open("ab")
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", self.folder / "sshd_config"]
        self._process = subprocess.Popen(command, stderr=log, start_new_session=True)
        log.close()
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.05)

    def _stop(self) -> None:
        """The server and all of its sessions."""
        if self._process is not None:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for pid in [self._process.pid, *map(int, children)]:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
            self._process.wait(10)
