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
from pathlib import Path

from tests.support.serving import free_port


def tool(name: str) -> str:
    """A program that tools/test-tools installs."""
    found = shutil.which(name, path=f"/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:{os.environ['PATH']}")
    assert found, f"{name} is missing: run tools/test-tools"
    return found


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis that keeps what it was given; its URL."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([tool("redis-server"), *options], stdout=log, stderr=log)
    try:
        _listens(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """A RabbitMQ node; its URL."""
    port, distribution = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    registry = free_port()
    name = f"anneal{port}@localhost"
    environment = {
        **os.environ, "RABBITMQ_NODENAME": name, "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution), "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "HOME": str(folder),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(registry),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "flags"), "ERL_CRASH_DUMP_SECONDS": "0",
    }  # fmt: skip
    (folder / "plugins").write_text("[].\n")
    with (folder / "out").open("ab") as log:
        names = subprocess.Popen([tool("epmd")], env=environment, stdout=log, stderr=log)
        process = subprocess.Popen(
            [tool("rabbitmq-server")], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _listens(port, process, 90)
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        names.kill()
        for one in (process, names):
            one.wait()


def _listens(port: int, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args} does not listen")
