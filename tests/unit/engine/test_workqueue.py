"""The work queue: no wake-up is lost, no key is worked on twice at once, delays grow."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.workqueue import Backoff, WorkQueue

pytestmark = pytest.mark.looptime


async def test_a_key_added_twice_is_worked_on_once():
    """Adding a key that already waits changes nothing."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.depth == 0


async def test_a_key_is_never_worked_on_by_two_at_once():
    """A key that is added while it is worked on waits for its worker, and is then worked on once more."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert queue.depth == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_keys_come_in_the_order_in_which_they_were_added():
    """First come, first served: a busy key does not starve the others."""
    queue: WorkQueue[str] = WorkQueue()
    for key in "abc":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]


async def test_of_several_delays_the_earliest_counts():
    """add_after never puts off what is due earlier."""
    queue: WorkQueue[str] = WorkQueue()
    start = asyncio.get_running_loop().time()
    queue.add_after("a", 60)
    queue.add_after("a", 5)
    queue.add_after("a", 30)
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() - start == pytest.approx(5, abs=0.1)
    queue.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 120)


async def test_adding_now_voids_a_delay():
    """A key that is woken early is not worked on a second time when its timer would have fired."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 10)
    queue.add("a")
    await queue.get()
    queue.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 60)


async def test_retries_grow_until_it_goes_well():
    """Back-off doubles per key, is capped, and starts anew after `forget`."""
    queue: WorkQueue[str] = WorkQueue(Backoff(base=1, cap=10), jitter=lambda: 1.0)
    assert [queue.retry("a") for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert queue.retry("b") == 1
    assert queue.retrying == 2
    queue.forget("a")
    assert queue.retry("a") == 1


async def test_a_cancelled_worker_loses_no_key():
    """A worker that is cancelled while waiting hands its wake-up to the next."""
    queue: WorkQueue[str] = WorkQueue()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"


@given(st.integers(1, 200), st.floats(0, 0.999), st.floats(0.01, 10), st.floats(10, 1000))
def test_backoff_stays_within_its_bounds(failures, jitter, base, cap):
    """Never shorter than half the base, never longer than the cap, however many failures."""
    assert base / 2 <= Backoff(base, cap).seconds(failures, jitter) <= cap


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "work"])), max_size=60))
def test_whatever_was_added_is_worked_on_afterwards(script):
    """For any interleaving: after the last `add` of a key there is a `get` of it."""

    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue()
        pending: set[str] = set()
        for key, act in script:
            if act == "add":
                queue.add(key)
                pending.add(key)
            elif queue.depth:
                taken = await queue.get()
                pending.discard(taken)
                queue.done(taken)
        while queue.depth:
            taken = await queue.get()
            pending.discard(taken)
            queue.done(taken)
        assert not pending

    asyncio.run(play())
