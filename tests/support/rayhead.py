"""A real Ray on this machine, as the local provider starts it: loopback only, ports and a folder of its own, token on."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PORTS = 9
WORKER_PORTS = 60


class RayHead:
    """`ray start --head --block` as a process group of our own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
        self.token = self.folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        self.base = _free()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def request(self) -> dict[str, str]:
        """What stands in a run's spec.json."""
        return {"address": f"127.0.0.1:{self.base}", "token_file": str(self.token)}

    def start(self) -> None:
        """Start it, on the same ports each time, and wait until its node is a member."""
        names = ("port", "node-manager-port", "object-manager-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
                 "runtime-env-agent-port", "metrics-export-port")  # fmt: skip
        flags = [f"--{name}={self.base + number}" for number, name in enumerate(names)]
        flags += [f"--min-worker-port={self.base + PORTS}", f"--max-worker-port={self.base + PORTS + WORKER_PORTS}"]
        flags += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", "--num-cpus=2", "--disable-usage-stats"]
        flags += [f"--temp-dir={self.folder / 't'}", "--object-store-memory=200000000"]
        env = os.environ | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }  # fmt: skip
        log = (self.folder / "log").open("ab")
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--no-monitor", *flags]
        self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        log.close()
        end, mark = time.monotonic() + 60, b"will now block forever"
        while (self.folder / "log").read_bytes().count(mark) == 0:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, "Ray did not start"
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 of the whole head: GCS, raylet, workers."""
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self.workers():  # raylet gives them sessions of their own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        (self.folder / "log").write_bytes(b"")

    def workers(self, name: str = "") -> list[int]:
        """Processes of this Ray whose title begins with `ray::` and holds `name`."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                title = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (path / "environ").read_bytes()
            except OSError:
                continue
            if title.startswith("ray::") and name in title and str(self.token).encode() in environment:
                found.append(int(path.name))
        return found

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _free() -> int:
    """The first of a row of free ports."""
    for base in range(24_000, 32_000, 100):
        held: list[Any] = []
        try:
            held.extend(socket.create_server(("127.0.0.1", port)) for port in range(base, base + PORTS + WORKER_PORTS + 1))
            return base
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
    raise RuntimeError("no ports are free")
