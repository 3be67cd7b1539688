"""How Python's garbage collector is set in our long-running processes.

Nearly all of our garbage is freed by reference counting at once; what the collector finds are the few cycles of exceptions and
tasks. By default it looks through the young objects at every 700th allocation, and reading a list of 1,000 objects allocates a
hundred times as many: half of the CPU of such a request was the collector's.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 20_000, 50, 100


def settle() -> None:
    """Look for cycles rarely, and never in what was loaded until now. Call once, when the program has imported its modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
