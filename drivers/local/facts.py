"""What this machine is. Forks nothing and blocks for less than a millisecond."""

from __future__ import annotations

import os
import platform
import socket
import time
from dataclasses import dataclass

import psutil

SAME_MOMENT = 0.1
NEARBY = ("127.", "169.254.", "fe80:")


@dataclass(frozen=True, slots=True)
class Facts:
    """This machine as it was last seen."""

    hostname: str
    addresses: tuple[str, ...]
    """IPv4 and IPv6 addresses of interfaces that are up, IPv4 first, without loopback and link-local ones."""
    cpu: int
    """Cores that this process may use."""
    memory_bytes: int
    """Physical memory."""
    os: str
    """Such as "Debian GNU/Linux 12 (bookworm)"."""
    kernel: str
    """Such as "Linux 6.1.0-18-amd64"."""
    python: str
    """Version of the Python that runs the daemon."""


def facts() -> Facts:
    """Look at this machine."""
    kernel = os.uname()
    return Facts(
        hostname=socket.gethostname(),
        addresses=addresses(),
        cpu=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        os=_os(),
        kernel=f"{kernel.sysname} {kernel.release}",
        python=platform.python_version(),
    )


def addresses() -> tuple[str, ...]:
    """The addresses under which others may reach this machine."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = [
        (entry.family != socket.AF_INET, entry.address)
        for name, entries in psutil.net_if_addrs().items()
        if name in up
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return tuple(address for _, address in sorted(set(found)) if address != "::1" and not address.startswith(NEARBY))


def _os() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return os.uname().sysname


class Cached:
    """Facts that are looked up once for all who ask at the same time: thousands of Machines may be this machine."""

    def __init__(self) -> None:
        self._facts: Facts | None = None
        self._taken = 0.0

    def __call__(self, after: float) -> Facts:
        """Facts that are not older than `after` (time.monotonic()); within a tenth of a second they count as the same moment."""
        now = time.monotonic()
        if self._facts is None or self._taken < min(after, now - SAME_MOMENT):
            self._facts, self._taken = facts(), now
        return self._facts
