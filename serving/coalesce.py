"""Gathers the requests that arrive while the previous message is on its way, and sends them as one.

One Celery task costs milliseconds, whatever it carries; a row in it costs microseconds. So the first request of a quiet time
leaves at once, and while its message is under way the next ones gather. The first of those who wait leads: it sends them all when
the answer is there. Just then many were answered and are about to ask again, so in busy times it gives them a moment to join.

A process runs one thread at a time. Were all threads of a message woken by its answer, they would fight for the interpreter,
which costs more than what they do with it: they are woken one after the other, each by the one before it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Final

from serving.message import Answer, Ask, Columns

WINDOW: Final = 2
"""Messages of one web process that are under way to one revision at a time."""
SECOND_SECONDS: Final = 0.01
"""A message that takes longer does not hold up the next one: other workers may be free."""
BULK: Final = 8
"""Nor does one hold up a message as large as itself, if that carries so many requests: it costs little beside them."""
GATHER_SECONDS: Final = 0.001
GATHER_MOST_SECONDS: Final = 0.01
"""The moment after an answer is twice what messages take lately, within these bounds: a message that carries few costs as much as
one that carries many. It ends early when as many ask again as asked before."""
WOKEN_SECONDS: Final = 0.1
"""After so long all threads of a message are woken, whatever became of those before them."""
LEADER_SECONDS: Final = 0.1
"""A leader that did not send by then, its own patience being over, leads no more."""
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


class Turn(threading.local):
    """Of a thread that answers requests, one after the other."""

    passes: bool = False
    """Whether it will call `over` when its answer is sent."""
    after: Waiter | None = None
    """Whose turn it is then."""

    def over(self) -> None:
        """Its answer is sent: wake the next one."""
        after, self.after = self.after, None
        if after is not None:
            after.wake()


TURN = Turn()


class Waiter:
    """One request that waits for its rows."""

    __slots__ = ("_bell", "after", "answer", "columns", "deadline", "error", "passes", "queue", "rows")

    def __init__(self, queue: str, columns: Columns, rows: int, deadline: float) -> None:
        self.queue, self.columns, self.rows, self.deadline = queue, columns, rows, deadline
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.passes = TURN.passes
        self.after: Waiter | None = None
        self._bell: SimpleQueue[bool] = SimpleQueue()

    @property
    def told(self) -> bool:
        """Whether it has its answer, or what went wrong."""
        return self.answer is not None or self.error is not None

    def wake(self) -> None:
        """Have its thread look whether it was answered."""
        self._bell.put(True)

    def ring(self, answer: Answer | None, error: Exception | None = None) -> None:
        """Answer it. The first answer stays."""
        if not self.told:
            self.answer, self.error = answer, error
            self.wake()

    def lead(self) -> None:
        """Have its thread send for all who wait."""
        self._bell.put(False)

    def wait(self, lead: Callable[[str], None]) -> Answer:
        """The answer; raises what went wrong. Calls `lead` with its queue when it is told to."""
        try:
            while not self._bell.get(timeout=max(0.0, self.deadline - time.time())):
                lead(self.queue)
        except Empty:
            if not self.told:
                raise Unanswered from None
        TURN.after = self.after
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
    sent: float = 0.0
    """When the last message left; and when the last answer came."""
    answered: float = 0.0
    company: int = 1
    """How many asked at that time: those who were answered, and those who waited."""
    carried: int = 1
    """How many requests the last message carries."""
    takes: float = 0.0
    """How long messages take lately, in seconds: each counts an eighth."""
    led: float = 0.0
    """Since when a thread is about to send; 0: there is none."""
    bell: SimpleQueue[None] = field(default_factory=SimpleQueue)
    """Tells that thread to look again."""


class Coalescer:
    """All requests of one web process that wait for an answer."""

    def __init__(self, publish: Publish, reply: str, serves: Callable[[str], bool]) -> None:
        """reply: where workers send the answers. serves(queue): whether the routing table still names that queue."""
        self._publish, self._reply, self._serves = publish, reply, serves
        self._lock = threading.Lock()
        self._wire = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._batches: dict[str, Batch] = {}
        self._told: deque[tuple[float, list[Waiter]]] = deque()
        """Who is woken one after the other, and since when."""

    def predict(self, queue: str, columns: Columns, rows: int, deadline: float) -> Answer:
        """The predictions of some rows; blocks. Raises Unanswered, Moved or BrokerDown."""
        waiter = Waiter(queue, columns, rows, deadline)
        with self._lock:
            lane = self._lanes.setdefault(queue, Lane())
            lane.waiting.append(waiter)
            leads = not lane.led and lane.under_way < WINDOW
            if leads:
                lane.led = time.time()
            elif lane.led and len(lane.waiting) == self._enough(lane):
                lane.bell.put(None)
        if leads:
            self._lead(queue)
        return waiter.wait(self._lead)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        with self._lock:
            return sum(len(lane.waiting) for lane in self._lanes.values()) + sum(len(b.waiters) for b in self._batches.values())

    def deliver(self, answer: Answer) -> None:
        """An answer came: tell those who wait for it, and the first of those who wait for room."""
        with self._lock:
            batch = self._batches.get(answer.id)
            if batch is None:
                return
            leader = self._release(batch)
            if answer.part is None:
                batch.unanswered.clear()
            else:
                batch.unanswered.discard(answer.part)
            if not batch.unanswered:
                del self._batches[batch.id]
        if answer.part is not None:
            batch.waiters[answer.part].ring(answer)
        elif len(batch.waiters) == 1:
            batch.waiters[0].ring(answer)
        else:
            self._tell(batch.waiters, answer)
        if leader:
            leader.lead()

    def _tell(self, waiters: list[Waiter], answer: Answer) -> None:
        """Give each its rows. Threads that pass their turn on are woken one after the other, all others at once."""
        start, line = 0, list[Waiter]()
        for waiter in waiters:
            part = answer.slice(start, waiter.rows)
            start += waiter.rows
            if not waiter.passes:
                waiter.ring(part)
            elif not waiter.told:
                waiter.answer = part
                line.append(waiter)
        for before, after in pairwise(line):
            before.after = after
        if line:
            self._told.append((time.time(), line))
            line[0].wake()

    def tick(self, now: float) -> None:
        """Look after messages without an answer: call it a few times a second."""
        leaders: list[Waiter | None] = []
        moved: list[Waiter] = []
        while self._told and now - self._told[0][0] > WOKEN_SECONDS:
            for waiter in self._told.popleft()[1]:
                waiter.wake()
        with self._lock:
            for batch in list(self._batches.values()):
                age = now - batch.sent
                if age > STALE_SECONDS:
                    leaders.append(self._release(batch))
                gone = age > STALE_SECONDS / 2 and not self._serves(batch.queue)
                if gone or now > max(waiter.deadline for waiter in batch.waiters):
                    del self._batches[batch.id]
                    leaders.append(self._release(batch))
                    moved.extend(batch.waiters if gone else ())
            for queue, lane in list(self._lanes.items()):
                if lane.waiting and not self._serves(queue):
                    moved.extend(lane.waiting)
                    lane.waiting.clear()
                if not lane.waiting and not lane.under_way and not self._serves(queue):
                    del self._lanes[queue]
                elif lane.led and now - lane.led > LEADER_SECONDS:
                    lane.led = 0.0
                    leaders.append(self._leader(lane))
        for leader in leaders:
            if leader:
                leader.lead()
        for waiter in moved:
            waiter.ring(None, Moved())

    def _release(self, batch: Batch) -> Waiter | None:
        """Its place in the window is free. Returns who is to lead now, if nobody does."""
        if not batch.counted:
            return None
        batch.counted = False
        lane = self._lanes.setdefault(batch.queue, Lane())
        lane.under_way -= 1
        lane.answered = time.time()
        lane.takes += (lane.answered - batch.sent - lane.takes) / 8
        lane.company = len(batch.waiters) + len(lane.waiting)
        if lane.led:
            lane.bell.put(None)
        return self._leader(lane)

    def _leader(self, lane: Lane) -> Waiter | None:
        if lane.led or lane.under_way >= WINDOW:
            return None
        now = time.time()
        leader = next((waiter for waiter in lane.waiting if waiter.deadline > now), None)
        if leader:
            lane.led = now
        return leader

    def _lead(self, queue: str) -> None:
        """Send those who wait, once it is time."""
        while True:
            with self._lock:
                lane = self._lanes.setdefault(queue, Lane())
                pause = self._pause(lane, time.time())
                if pause <= 0:
                    lane.led, lane.bell = 0.0, SimpleQueue()
                    batch = self._take(queue, lane)
                    break
            try:
                lane.bell.get(timeout=pause)
            except Empty:
                continue
        if batch:
            self._send(batch)

    def _pause(self, lane: Lane, now: float) -> float:
        """For how long it is better to wait."""
        if lane.under_way >= WINDOW or len(lane.waiting) >= self._enough(lane):
            return 0.0
        if lane.under_way:
            return lane.sent + SECOND_SECONDS - now
        return lane.answered + max(GATHER_SECONDS, min(2 * lane.takes, GATHER_MOST_SECONDS)) - now

    def _enough(self, lane: Lane) -> int:
        """So many waiting requests are worth a message now."""
        return max(BULK, lane.carried) if lane.under_way else lane.company

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
        lane.sent, lane.carried = now, len(chosen)
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
                leader = self._release(batch)
            for waiter in waiters:
                waiter.ring(None, error)
            if leader:
                leader.lead()
