"""The daemon as a process: is it there, start it, stop it. A pid is believed only while its process holds the home's lock."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from reconciler.cli.errors import CliError
from reconciler.cli.terminal import clean
from reconciler.home import Home, HomeUnusable

START_SECONDS = 30.0
STOP_SECONDS = 20.0
_TICK = 0.02


def running(home: Home) -> int | None:
    """The pid of the daemon that holds this home; None if there is none.

    The kernel gives the lock back when a process ends, so a pid that was recorded by a dead daemon, and that somebody
    else may have by now, is never returned.
    """
    try:
        file = os.open(home.lockfile, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _holder(file)
    finally:
        os.close(file)


def _holder(file: int) -> int | None:
    """Who holds the lock: the kernel's own answer, else what the daemon wrote into the file."""
    here = os.fstat(file)
    device = f"{os.major(here.st_dev):02x}:{os.minor(here.st_dev):02x}:{here.st_ino}"
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[3] == "WRITE" and words[5] == device and int(words[4]) > 0:
                return int(words[4])
    except (OSError, LookupError, ValueError):
        pass
    text = os.pread(file, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else None


def ready(home: Home, pid: int) -> bool:
    """True once this very daemon has said that it answers."""
    try:
        return home.pidfile.read_text().strip() == str(pid)
    except OSError:
        return False


def await_running(home: Home, seconds: float = START_SECONDS) -> int | None:
    """The pid of a daemon that runs or is just starting, once it answers; None if there is none."""
    end = time.monotonic() + seconds
    while (pid := running(home)) is not None and time.monotonic() < end:
        if ready(home, pid):
            return pid
        time.sleep(_TICK)
    return None


def command(home: Home, kubeconfig: str | None) -> list[str]:
    """How the daemon is started."""
    words = [sys.executable, "-P", "-m", "reconciler.daemon", "--home", str(home.root)]
    return words + (["--kubeconfig", os.path.abspath(os.path.expanduser(kubeconfig))] if kubeconfig else [])


def start(home: Home, kubeconfig: str | None, *, detached: bool, visible: bool = False) -> subprocess.Popen[bytes]:
    """Start the daemon and return once it answers. CliError if it cannot, with its last words if it ends before.

    Detached: in a session of its own, so that no terminal's end takes it along. Its output goes to the log file; with
    `visible` (a foreground without a terminal, such as a container's) it stays on stderr.
    """
    try:
        home.prepare()
    except HomeUnusable as error:
        raise CliError(f"cannot start the daemon: {error}") from error
    log = home.logs / "daemon.log"
    before = log.stat().st_size if log.exists() else 0
    with open(log, "ab", opener=_private) as out:
        target = None if visible else out
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            command(home, kubeconfig),
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=target,
            cwd="/" if detached else None,
            start_new_session=detached,
            env=_environment(),
        )
    end = time.monotonic() + START_SECONDS
    try:
        while not ready(home, process.pid):
            if process.poll() is not None:
                raise CliError(_last_words(log, before, process.returncode))
            if time.monotonic() > end:
                stop(process.pid)
                raise CliError(f"cannot start the daemon: no answer after {START_SECONDS:.0f} s, stopped it; its log is {log}")
            time.sleep(_TICK)
    except KeyboardInterrupt:
        stop(process.pid)
        raise
    return process


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _environment() -> dict[str, str]:
    """Ours, with the code found where we found it: a daemon that starts in / must not lose a checkout on PYTHONPATH."""
    paths = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, **({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})}


def _last_words(log: Path, before: int, code: int) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(before if log.stat().st_size >= before else 0)
            text = file.read()[-8000:].decode("utf-8", "replace")
    except OSError:
        text = ""
    lines = [line for line in text.splitlines() if line.strip()]
    plain = [line for line in lines if line.startswith("anneal: ")]
    if plain:
        return (
            plain[-1].removeprefix("anneal: ").replace("cannot run the daemon", "cannot start the daemon", 1) + f" (log: {log})"
        )
    from reconciler.cli.verbs.logs import readable

    said = "\n".join(f"  {clean(readable(line))}" for line in lines[-12:])
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"cannot start the daemon: it ended at once ({how}); its last words:\n{said or '  (none)'}\n  its log is {log}"


def stop(pid: int, *, seconds: float = STOP_SECONDS, still: Callable[[], bool] = lambda: True) -> bool:
    """SIGTERM, wait, SIGKILL. Returns True if it ended in good order, False if it had to be killed.

    The process is held by a pidfd, so a reused pid is never signalled; `still` is asked after that was opened.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not still():
            return True
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
            try:
                signal.pidfd_send_signal(handle, number)
            except ProcessLookupError:
                return True
            if _ended(handle, patience):
                return number == signal.SIGTERM
        raise CliError(
            f"cannot stop the daemon: process {pid} does not end even when killed; it hangs in the kernel (a dead disk?)"
        )
    except PermissionError as error:
        raise CliError(f"cannot stop the daemon: process {pid} belongs to another user; stop it as that user") from error
    finally:
        os.close(handle)


def _ended(handle: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
