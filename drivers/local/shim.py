"""Starts one unit and gets out of the way: `python -IS shim.py FOLDER`, the unit's record on stdin. Imports nothing of ours.

The record is written by the very process that becomes the unit, under the unit's lock. So there is no moment in which a process
runs that nobody knows of, and none in which two run: whoever comes second finds the lock taken. A service is exec'ed in place of
the shim and keeps the lock by its open file. A job is a child of the shim, which writes down how it ended.
"""

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

LOCKED = 75
"""Exit code: the unit runs already (EX_TEMPFAIL)."""
FAILED = 70
"""Exit code: it could not be started; stderr says why."""
LOG_BYTES = 16 * 1024 * 1024


def main(folder: str) -> int:
    """Start the unit; return once it runs, or did not start."""
    unit = json.load(sys.stdin)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("it runs already\n")
        return LOCKED
    told, tell = os.pipe()  # closed by exec: silence means that it runs
    if os.fork():
        os.close(tell)
        with os.fdopen(told) as pipe:
            said = pipe.read()
        sys.stderr.write(said)
        return FAILED if said else 0
    try:
        _become(folder, unit, lock, tell)
    except BaseException as error:
        with contextlib.suppress(OSError):
            _write(folder, "exit.json", {"code": 127, "signal": None, "time": time.time(), "message": str(error)[:500]})
        os.write(tell, f"{error}".encode()[:500])
        os._exit(FAILED)


def _become(folder: str, unit: dict[str, Any], lock: int, tell: int) -> NoReturn:
    os.setsid()
    os.umask(0o077)
    for name in unit["generates"]:
        if not os.path.exists(os.path.join(folder, name)):
            _text(folder, name, os.urandom(32).hex())
    for name, text in {**unit.pop("files", {}), **unit.pop("secrets", {})}.items():
        _text(folder, name, text)
    for name in ("exit.json", "stop.json", *unit["clears"]):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))
    _redirect(os.path.join(folder, "log"))
    pid = os.getpid()
    unit["process"] = {"pid": pid, "start": start_ticks(pid), "boot": boot_id(), "time": time.time()}
    _write(folder, "unit.json", unit)
    os.chdir(unit.get("cwd") or folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANNEAL_")}
    environment |= unit["env"] | {"ANNEAL_UNIT": folder}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    if unit["mode"] == "service":
        os.set_inheritable(lock, True)
        os.execvpe(unit["command"][0], unit["command"], environment)  # noqa: S606
    _supervise(folder, unit["command"], environment, tell)


def _supervise(folder: str, command: list[str], environment: dict[str, str], running: int) -> NoReturn:
    """Run the job, pass SIGTERM on, and write down how it ended. If the shim is killed, the kernel ends the job too."""
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            _die_with_parent()
            os.execvpe(command[0], command, environment)  # noqa: S606
        except OSError as error:
            os.write(tell, str(error).encode()[:500])
        os._exit(127)
    os.close(tell)
    if said := os.read(told, 500):
        raise RuntimeError(said.decode("utf-8", "replace"))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    os.close(running)
    _, status, usage = os.wait4(child, 0)
    ended = {"code": None, "signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}
    record = {"code": None, "signal": None, "message": "", **ended, "time": time.time(), "memory": usage.ru_maxrss * 1024}
    _write(folder, "exit.json", record)
    os._exit(0)


def _die_with_parent() -> None:
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


def _redirect(log: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.stat(log).st_size > LOG_BYTES:
            os.replace(log, f"{log}.1")
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((0, nothing), (1, out), (2, out)):
        os.dup2(target, number)


def _text(folder: str, name: str, text: str) -> None:
    """Write a file of the unit, whole. Its name is relative to the unit's folder, or absolute."""
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    fresh = f"{path}.new"
    with open(fresh, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _write(folder: str, name: str, value: Any) -> None:
    _text(folder, name, json.dumps(value))


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none, or only its corpse."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def boot_id() -> str:
    """Tells one run of the machine from another: pids begin anew."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
