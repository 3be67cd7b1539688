"""RabbitMQ and Redis of the tests' own: Debian's servers in a temporary folder, on ports of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reconciler.kinds.swarm.data import ERLANG
from tests.support.serving import free_port


def tool(name: str) -> str:
    """A program that tools/test-tools installs."""
    found = shutil.which(name, path=f"/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:{os.environ['PATH']}")
    assert found, f"{name} is missing: run tools/test-tools"
    return found


@dataclass
class Server:
    """A server that can die, hang and come back with what it had stored."""

    url: str
    port: int
    command: list[str]
    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self.folder / "out").open("ab") as log:
            self.process = _run(self.command, self.environment, self.folder, log)
        _listens(self.port, self.process, 90)

    def kill(self) -> None:
        """kill -9, with all its children."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def hang(self) -> None:
        """From now on it accepts connections and answers nothing, as behind a broken network."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It answers again."""
        self._signal(signal.SIGCONT)

    def _signal(self, how: signal.Signals) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[Server]:
    """A Redis that writes down what it is given before it answers."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always"]
    server = Server(f"redis://127.0.0.1:{port}/0", port, [tool("redis-server"), *options], {"PATH": os.environ["PATH"]}, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[Server]:
    """A RabbitMQ node."""
    port, distribution, registry = free_port(), free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ, "RABBITMQ_NODENAME": f"anneal{port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port), "RABBITMQ_DIST_PORT": str(distribution), "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "HOME": str(folder),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+S 1:1 {ERLANG} -kernel inet_dist_use_interface {{127,0,0,1}}",
        "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(registry),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "flags"), "ERL_CRASH_DUMP_SECONDS": "0",
    }  # fmt: skip
    (folder / "plugins").write_text("[].\n")
    server = Server(f"amqp://guest:guest@127.0.0.1:{port}//", port, [tool("rabbitmq-server")], environment, folder)
    with (folder / "names").open("ab") as log:
        names = _run([tool("epmd")], environment, folder, log)
    try:
        _listens(registry, names, 20)
        server.start()
        yield server
    finally:
        server.kill()
        names.kill()
        names.wait()


def _run(command: list[str], environment: dict[str, str], folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def _listens(port: int, process: subprocess.Popen[bytes], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} does not listen")


EMBEDDED = "embedded"


@contextlib.contextmanager
def broker(kind: str, folder: Path) -> Iterator[tuple[Server | None, dict[str, str]]]:
    """The server of a kind, and what a deployment's configuration says of it. Redis keeps the record, too."""
    if kind == EMBEDDED:
        yield None, {}
        return
    with {"rabbitmq": rabbitmq, "redis": redis}[kind](folder) as server:
        yield server, {"broker": server.url} | ({"results": server.url} if kind == "redis" else {})
