"""Requests that come together leave together; nobody is forgotten, and nobody waits for company that does not come."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from serving import coalesce
from serving.coalesce import TURN, Coalescer, Unanswered
from serving.message import Answer, Ask

LONG = 60.0
SECONDS = 30.0


class Office:
    """A coalescer whose messages arrive here, to be answered when a test wants it."""

    def __init__(self) -> None:
        self.sent: SimpleQueue[Ask] = SimpleQueue()
        self.pool = ThreadPoolExecutor(16)
        self.coalescer = Coalescer(lambda _queue, ask: self.sent.put(ask), "here", lambda _queue: True)

    def ask(self, value: int, seconds: float = SECONDS) -> Future[Answer]:
        """A request of one row, by a thread of its own."""
        return self.pool.submit(self.coalescer.predict, "r1", {"x": [value]}, 1, time.time() + seconds)

    def ask_passing(self, value: int, sent: threading.Event) -> Future[Answer]:
        """A request by a thread that passes its turn on once `sent` is set: as a web server's do when the answer has left."""

        def answered() -> Answer:
            TURN.passes = True
            found.set_result(self.coalescer.predict("r1", {"x": [value]}, 1, time.time() + SECONDS))
            sent.wait(SECONDS)
            TURN.over()
            TURN.passes = False
            return found.result()

        found: Future[Answer] = Future()
        self.pool.submit(answered)
        return found

    def message(self) -> Ask:
        """The next message."""
        return self.sent.get(timeout=SECONDS)

    def answer(self, ask: Ask) -> None:
        """Each row is its own prediction."""
        self.coalescer.deliver(Answer(ask.id, list(ask.columns["x"])))

    def until_waiting(self, count: int) -> None:
        """Until so many requests wait, those under way included."""
        while self.coalescer.waiting < count:
            threading.Event().wait(0.001)


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """One that waits for company as long as it takes, so that tests do not depend on the clock."""
    monkeypatch.setattr(coalesce, "GATHER_SECONDS", LONG)
    monkeypatch.setattr(coalesce, "SECOND_SECONDS", LONG)
    made = Office()
    yield made
    made.pool.shutdown(wait=False, cancel_futures=True)


def test_a_request_of_a_quiet_time_leaves_at_once(office: Office) -> None:
    """One after the other: each is a message of its own, and waits for nobody."""
    for value in range(3):
        asked = office.ask(value)
        message = office.message()
        assert message.counts == [1]
        office.answer(message)
        assert asked.result(SECONDS).labels == [value]


def test_requests_gather_while_a_message_is_under_way(office: Office) -> None:
    """The next message carries them all, and each gets its own answer."""
    first = office.ask(0)
    message = office.message()
    others = [office.ask(value) for value in range(1, 6)]
    office.until_waiting(6)
    office.answer(message)
    again = office.ask(6)  # who was answered comes back, and goes along
    message = office.message()
    assert sorted(message.columns["x"]) == [1, 2, 3, 4, 5, 6]
    office.answer(message)
    assert first.result(SECONDS).labels == [0]
    assert [one.result(SECONDS).labels for one in (*others, again)] == [[value] for value in range(1, 7)]


def test_who_does_not_come_back_is_not_waited_for(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the moment that those who were answered are given, the message leaves without them."""
    monkeypatch.setattr(coalesce, "GATHER_SECONDS", 0.001)
    office.ask(0)
    message = office.message()
    asked = office.ask(1)
    office.until_waiting(2)
    office.answer(message)
    message = office.message()
    assert message.counts == [1]
    office.answer(message)
    assert asked.result(SECONDS).labels == [1]


def test_a_slow_message_does_not_hold_up_the_next(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker may be free: a second message leaves while the first is not answered. A third does not."""
    monkeypatch.setattr(coalesce, "SECOND_SECONDS", 0.001)
    office.ask(0)
    first = office.message()
    office.ask(1)
    second = office.message()
    third = office.ask(2)
    office.until_waiting(3)
    assert office.sent.empty()
    office.answer(second)
    office.answer(office.message())
    office.answer(first)
    assert third.result(SECONDS).labels == [2]


def test_a_leader_that_gave_up_is_replaced(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that was to send the next message ran out of patience: those who wait with it are sent all the same."""
    monkeypatch.setattr(coalesce, "SECOND_SECONDS", 0.001)
    under_way = []
    for value in range(2):
        office.ask(value)
        under_way.append(office.message())
    with pytest.raises(Unanswered):
        office.ask(2, seconds=0.01).result(SECONDS)
    patient = office.ask(3)
    office.until_waiting(3)
    office.coalescer._lanes["r1"].led = time.time() - 1.0  # as if the impatient one had been told to lead in its last moment
    office.answer(under_way[0])
    assert office.sent.empty()
    office.coalescer.tick(time.time())
    office.answer(office.message())
    assert patient.result(SECONDS).labels == [3]


def test_a_broker_that_is_down_is_told_to_all_and_the_next_are_sent(office: Office) -> None:
    """Everyone in the message hears of it; whoever comes later is not held up."""
    working = office.coalescer._publish

    def fail(_queue: str, _ask: Ask) -> None:
        raise OSError("down")

    office.coalescer._publish = fail
    with pytest.raises(OSError, match="down"):
        office.ask(0).result(SECONDS)
    office.coalescer._publish = working
    asked = office.ask(1)
    office.answer(office.message())
    assert asked.result(SECONDS).labels == [1]


def gathered(office: Office, count: int) -> tuple[list[threading.Event], list[Future[Answer]]]:
    """Requests that are answered by one message, in this order: when each answer is sent, and the answers."""
    office.ask(-1)
    message = office.message()
    sent = [threading.Event() for _ in range(count)]
    asked = []
    for value in range(count):
        asked.append(office.ask_passing(value, sent[value]))
        office.until_waiting(value + 2)
    office.answer(message)
    again = office.ask(count)
    office.answer(office.message())
    assert again.result(SECONDS).labels == [count]  # its thread passes nothing on, so it waits for nobody
    return sent, asked


def test_threads_are_woken_one_after_the_other(office: Office) -> None:
    """Each by the one before it, when that has sent its answer; all get their own."""
    sent, asked = gathered(office, 3)
    for value in range(3):
        assert asked[value].result(SECONDS).labels == [value]
        assert not any(one.done() for one in asked[value + 1 :])
        sent[value].set()


def test_nobody_waits_for_long_for_one_who_cannot_send(office: Office) -> None:
    """A client that does not read holds up its own thread, and not those whose turn comes after."""
    sent, asked = gathered(office, 3)
    assert asked[0].result(SECONDS).labels == [0]
    assert not asked[1].done()
    office.coalescer.tick(time.time() + 1.0)
    assert [one.result(SECONDS).labels for one in asked] == [[0], [1], [2]]
    for event in sent:
        event.set()


def test_a_large_message_does_not_hold_up_another_one(office: Office) -> None:
    """As soon as as many wait as it carries, and enough to be worth a message, they leave without waiting for its answer."""
    office.ask(0)
    office.until_waiting(1)
    office.message()
    for value in range(1, coalesce.BULK + 1):
        office.ask(value)
    assert office.message().counts == [1] * coalesce.BULK
