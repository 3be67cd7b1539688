"""This machine as it says it is."""

import os
import socket
import time

import psutil
import pytest

from drivers.contract import InvalidConfiguration, Owner, Present, Step
from drivers.local.driver import LocalDriver
from drivers.local.facts import Cached, facts

OURS = Owner("here", "Machine", "default", "a", "uid-a")


def test_facts_are_those_of_this_machine():
    """Name, cores and memory, as the system says."""
    seen = facts()
    assert seen.hostname == socket.gethostname()
    assert seen.cpu == len(os.sched_getaffinity(0))
    assert seen.memory_bytes == psutil.virtual_memory().total
    assert seen.os
    assert seen.kernel
    assert not any(address.startswith(("127.", "fe80:")) or "%" in address for address in seen.addresses)


def test_facts_are_cheap():
    """Ten thousand Machines may be this machine: no process is started, and those who ask together share one look."""
    cached, after = Cached(), time.monotonic()
    first = cached(after)
    assert all(cached(after) is first for _ in range(10_000))


async def test_it_is_always_there_and_never_touched():
    """Present under one id for every owner; nothing can be made, changed or removed."""
    driver = LocalDriver()
    seen = await driver.observe(OURS, None, time.monotonic())
    assert isinstance(seen, Present)
    assert (await driver.observe(OURS, seen.ref, time.monotonic())).ref == seen.ref
    for act in (driver.apply(Step("create", "host", "why"), None), driver.destroy(seen.ref)):
        with pytest.raises(InvalidConfiguration):
            await act
