"""Gathers the requests that arrive while the previous message is on its way, and sends them as one.

One Celery task costs milliseconds, whatever it carries; a row in it costs microseconds. So nobody waits for company: the first
request of a quiet time leaves at once, and while its message is under way the next ones gather. Whoever makes room sends.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from serving.message import Answer, Ask, Columns

WINDOW: Final = 2
"""Messages of one web process that are under way to one revision at a time."""
MAX_ROWS: Final = 1024
"""Rows after which a message takes no further request."""
STALE_SECONDS: Final = 2.0
"""A message without an answer for so long holds nobody up any more; its answer is still welcome."""

Publish = Callable[[str, Ask], None]
"""Put an Ask on the queue of that name. Called under a lock, by one thread at a time; raises BrokerDown."""


class Unanswered(Exception):
    """No worker answered in time."""


class Moved(Exception):
    """The revision that was asked is no longer served: ask the one that is."""


class Waiter:
    """One request that waits for its rows."""

    __slots__ = ("_bell", "answer", "columns", "deadline", "error", "queue", "rows")

    def __init__(self, queue: str, columns: Columns, rows: int, deadline: float) -> None:
        self.queue, self.columns, self.rows, self.deadline = queue, columns, rows, deadline
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self._bell = threading.Lock()
        self._bell.acquire()

    def ring(self, answer: Answer | None, error: Exception | None = None) -> None:
        """Answer it. The first answer stays."""
        if self.answer is None and self.error is None:
            self.answer, self.error = answer, error
            self._bell.release()

    def wait(self) -> Answer:
        """The answer; raises what went wrong."""
        if not self._bell.acquire(timeout=max(0.0, self.deadline - time.time())):
            raise Unanswered
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


@dataclass(slots=True)
class Batch:
    """A message under way, and who waits for it."""

    id: str
    queue: str
    waiters: list[Waiter]
    sent: float
    counted: bool = True
    unanswered: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Lane:
    """What goes to one queue."""

    waiting: deque[Waiter] = field(default_factory=deque)
    under_way: int = 0


class Coalescer:
    """All requests of one web process that wait for an answer."""

    def __init__(self, publish: Publish, reply: str, serves: Callable[[str], bool]) -> None:
        """reply: where workers send the answers. serves(queue): whether the routing table still names that queue."""
        self._publish, self._reply, self._serves = publish, reply, serves
        self._lock = threading.Lock()
        self._wire = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._batches: dict[str, Batch] = {}

    def predict(self, queue: str, columns: Columns, rows: int, deadline: float) -> Answer:
        """The predictions of some rows; blocks. Raises Unanswered, Moved or BrokerDown."""
        waiter = Waiter(queue, columns, rows, deadline)
        with self._lock:
            lane = self._lanes.setdefault(queue, Lane())
            lane.waiting.append(waiter)
            batch = self._take(queue, lane)
        if batch:
            self._send(batch)
        return waiter.wait()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        with self._lock:
            return sum(len(lane.waiting) for lane in self._lanes.values()) + sum(len(b.waiters) for b in self._batches.values())

    def deliver(self, answer: Answer) -> None:
        """An answer came: first make use of the room, then tell those who wait."""
        with self._lock:
            batch = self._batches.get(answer.id)
            if batch is None:
                return
            following = self._release(batch)
            if answer.part is None:
                batch.unanswered.clear()
            else:
                batch.unanswered.discard(answer.part)
            if not batch.unanswered:
                del self._batches[batch.id]
        if following:
            self._send(following)
        if answer.part is not None:
            batch.waiters[answer.part].ring(answer)
            return
        if len(batch.waiters) == 1:
            batch.waiters[0].ring(answer)
            return
        start = 0
        for waiter in batch.waiters:
            waiter.ring(answer.slice(start, waiter.rows))
            start += waiter.rows

    def tick(self, now: float) -> None:
        """Look after messages without an answer: call it a few times a second."""
        sends: list[Batch] = []
        moved: list[Waiter] = []
        with self._lock:
            for batch in list(self._batches.values()):
                age = now - batch.sent
                if age > STALE_SECONDS and (following := self._release(batch)):
                    sends.append(following)
                gone = age > STALE_SECONDS / 2 and not self._serves(batch.queue)
                if gone or now > max(waiter.deadline for waiter in batch.waiters):
                    del self._batches[batch.id]
                    self._release(batch)
                    moved.extend(batch.waiters if gone else ())
            for queue, lane in list(self._lanes.items()):
                if lane.waiting and not self._serves(queue):
                    moved.extend(lane.waiting)
                    lane.waiting.clear()
                if not lane.waiting and not lane.under_way and not self._serves(queue):
                    del self._lanes[queue]
        for batch in sends:
            self._send(batch)
        for waiter in moved:
            waiter.ring(None, Moved())

    def _release(self, batch: Batch) -> Batch | None:
        """Its place in the window is free. Returns what goes next."""
        if not batch.counted:
            return None
        batch.counted = False
        lane = self._lanes.setdefault(batch.queue, Lane())
        lane.under_way -= 1
        return self._take(batch.queue, lane)

    def _take(self, queue: str, lane: Lane) -> Batch | None:
        if lane.under_way >= WINDOW or not lane.waiting:
            return None
        now, rows = time.time(), 0
        chosen: list[Waiter] = []
        while lane.waiting and (not chosen or rows + lane.waiting[0].rows <= MAX_ROWS):
            waiter = lane.waiting.popleft()
            if waiter.deadline > now:
                chosen.append(waiter)
                rows += waiter.rows
        if not chosen:
            return None
        batch = Batch(uuid.uuid4().hex, queue, chosen, now, unanswered=set(range(len(chosen))))
        self._batches[batch.id] = batch
        lane.under_way += 1
        return batch

    def _send(self, batch: Batch) -> None:
        waiters = batch.waiters
        if len(waiters) == 1:
            columns = waiters[0].columns
        else:
            columns = {name: [value for waiter in waiters for value in waiter.columns[name]] for name in waiters[0].columns}
        deadline = max(waiter.deadline for waiter in waiters)
        ask = Ask(batch.id, self._reply, deadline, [waiter.rows for waiter in waiters], columns)
        try:
            with self._wire:
                self._publish(batch.queue, ask)
        except Exception as error:  # whatever it is, those who wait must hear of it
            with self._lock:
                self._batches.pop(batch.id, None)
                following = self._release(batch)
            for waiter in waiters:
                waiter.ring(None, error)
            if following:
                self._send(following)
