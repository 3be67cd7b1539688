"""CPU seconds and memory of processes, and whether the machine is otherwise idle."""

from __future__ import annotations

import asyncio
import os
import platform
import time

import psutil

BUSY_SHARE = 0.15


class Meter:
    """The CPU that some processes take together, threads and all."""

    def __init__(self, *pids: int | None) -> None:
        self._processes = [psutil.Process(pid) for pid in pids if pid is not None]
        self._cpu, self._time = self.cpu(), time.monotonic()

    def cpu(self) -> float:
        """User and system seconds since the processes began."""
        return sum(times.user + times.system for times in (process.cpu_times() for process in self._processes))

    def rss(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        return sum(process.memory_info().rss for process in self._processes) / 1e6

    def taken(self) -> float:
        """CPU seconds since this meter was made."""
        return self.cpu() - self._cpu

    def share(self) -> float:
        """CPU seconds per second since this meter was made, in percent of one core."""
        return 100 * self.taken() / (time.monotonic() - self._time)

    async def quiet(self, *, share: float = 4.0, rounds: int = 3, seconds: float = 900.0) -> None:
        """Wait until the processes took less than `share` percent of a core for some seconds in a row."""
        deadline, calm = time.monotonic() + seconds, 0
        while calm < rounds:
            if time.monotonic() > deadline:
                raise TimeoutError(f"still busy after {seconds:.0f} s")
            before = self.cpu()
            await asyncio.sleep(1.0)
            calm = calm + 1 if 100 * (self.cpu() - before) < share else 0


def machine() -> dict[str, object]:
    """What the figures were measured on, and how busy it was with other things."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(load, 2) for load in os.getloadavg()],
        "busy": round(psutil.cpu_percent(interval=1.0) / 100, 3),
        "date": time.strftime("%Y-%m-%d"),
    }


def warning(seen: dict[str, object]) -> str:
    """A sentence if the machine has other things to do; empty if it is idle."""
    busy = seen["busy"]
    assert isinstance(busy, float)
    if busy <= BUSY_SHARE:
        return ""
    return (
        f"the machine is not idle ({busy:.0%} of its CPU is taken by others, load {seen['load']}): these figures are worth little"
    )


def _cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
