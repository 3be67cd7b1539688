"""How many connections each process of a server has. They share a listening socket, and who wakes first would take them all."""

from __future__ import annotations

import mmap
import struct

PROCESSES = 64
"""As many have a place of their own in the memory that they share."""


class Loads:
    """How many connections each process of this server has, in memory that they share. Made before they are."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, struct.calcsize(f"{PROCESSES}I"))
        self._counts = memoryview(self._shared).cast("I")

    def say(self, age: int, connections: int) -> None:
        """age: gunicorn's number of a process, which counts on."""
        self._counts[age % PROCESSES] = connections + 1

    def gone(self, age: int) -> None:
        """It has ended."""
        self._counts[age % PROCESSES] = 0

    def least(self) -> int:
        """What the process with the fewest connections has."""
        return min((count - 1 for count in self._counts if count), default=0)
