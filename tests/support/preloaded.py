"""Processes that start at once: forked from one that has imported the daemon already, which is most of what a start takes.

`start("reconciler.daemon", ["--home", str(home)], …)` is `python -m reconciler.daemon --home …` in all but two things: imports
are done, and /proc shows the command of the process it was forked from. The environment, the folder, the output, signals, the
pid and the exit code are its own. There is one such parent for each pytest process, started by the first that needs it; it does
nothing but fork, and ends with the pytest process, however that ends; and they end with it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).parents[2]
MODULES = (
    "reconciler.daemon",
    "reconciler.external",
    "drivers.openstack.client",
    "drivers.simulated.driver",
    "openstack.connection",
)
"""What is imported before the first fork: the daemon, and what it imports when it comes to need it."""
PRODUCTION = {"PYTHONPATH": str(Path(__file__).with_name("production"))}
"""What a daemon finds installed, as where people run it: importing takes half a second less than beside the tests' own tools."""
LARGEST = 1 << 17
"""Bytes of one request: an environment, at most."""


class Process:
    """What subprocess.Popen offers of a child, for a process that was forked elsewhere."""

    def __init__(self, pid: int, told: IO[bytes]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._told = told

    def poll(self) -> int | None:
        """Its exit code, -N if signal N killed it; None while it runs."""
        code = self._look(0)
        return self._look(10) if code is None and self._ended() else code

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; subprocess.TimeoutExpired after `timeout` seconds."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended(self) -> bool:
        """Whether it runs no more: others may see that before its parent has told its exit code."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([handle], [], [], 0)[0])
        finally:
            os.close(handle)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], seconds)[0]:
            with self._told:
                line = self._told.readline()
            assert line, "the process that forks the daemons has died"
            self.returncode = int(line)
        return self.returncode


def start(module: str, arguments: list[str], *, cwd: Path, env: Mapping[str, str], output: IO[Any]) -> Process:
    """Run `module` as `python -m` would, without input, with `output` for what it prints."""
    request = json.dumps({"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
    assert len(request) < LARGEST, "the environment is too large"
    read, write = os.pipe()
    try:
        socket.send_fds(_parent(), [request], [output.fileno(), write])
    finally:
        os.close(write)
    told = os.fdopen(read, "rb", buffering=0)
    return Process(int(told.readline()), told)


@functools.cache
def _parent() -> socket.socket:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-u", "-m", __name__, str(there.fileno())]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **PRODUCTION}, pass_fds=[there.fileno()])
    there.close()

    def end() -> None:
        here.close()
        process.wait(10)

    atexit.register(end)
    return here


class Request(NamedTuple):
    """What to run, and where its output goes."""

    what: dict[str, Any]
    output: int


def serve(control: socket.socket) -> Request | None:
    """Fork for each request; tell its asker the pid, then the exit code. Returns a child's request in it, None at the end."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not control:
                    waiting.unregister(key.fileobj)
                    _bury(key.fd, *key.data)
                    continue
                body, fds, _, _ = socket.recv_fds(control, LARGEST, 2)
                if not body:
                    return None
                output, tell = fds
                if not (pid := os.fork()):
                    _ends_with_its_parent()
                    os.close(tell)
                    return Request(json.loads(body), output)
                os.close(output)
                os.write(tell, f"{pid}\n".encode())
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, tell))


def _ends_with_its_parent() -> None:
    """Tests that were killed leave no daemon behind, which would go on with what is theirs."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _bury(handle: int, pid: int, tell: int) -> None:
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(tell, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os.close(tell)
    os.close(handle)


def become(what: Mapping[str, Any], output: int) -> None:
    """Be the process that was asked for."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
    os.environ.clear()
    os.environ.update(what["env"])
    os.chdir(what["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = what["arguments"]
    runpy.run_module(what["module"], run_name="__main__", alter_sys=True)


def main(handle: str) -> None:
    """Import, then serve. A child goes on from here."""
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    assert threading.active_count() == 1, threading.enumerate()
    with socket.socket(fileno=int(handle)) as control:
        request = serve(control)
    if request is not None:
        become(*request)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which hangs up when it ends
    main(sys.argv[1])
