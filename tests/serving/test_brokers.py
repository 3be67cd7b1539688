"""The embedded broker, and the whole on RabbitMQ and Redis: the same promises."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
import requests
from kombu import Connection, Queue

from serving.broker import folder as embedded
from serving.broker.celery import BrokerDown, Publisher, make
from serving.config import Config
from serving.message import Ask
from tests.serving.conftest import row
from tests.serving.test_reliability import Load, ended, later
from tests.support import brokers
from tests.support.serving import Model, deployed

embedded.register()


def connect(root: Path) -> Connection:
    return Connection(f"{embedded.SCHEME}://localhost", transport_options={"folder": str(root)})


def put(root: Path, *bodies: Any, queue: str = "q") -> None:
    with connect(root) as connection:
        producer = connection.Producer(serializer="json")
        for body in bodies:
            producer.publish(body, routing_key=queue, exchange="")


def take(connection: Connection, queue: str = "q") -> Any:
    message = connection.default_channel.basic_get(queue)
    return message and connection.default_channel.message_to_python(message)


def hold(root: str, ready: Any) -> None:
    """Take a message and keep it, until killed."""
    connection = connect(Path(root))
    ready.put(take(connection).payload)
    time.sleep(60)


def test_in_order_and_once(tmp_path: Path) -> None:
    """First in, first out; what was acknowledged is gone."""
    put(tmp_path, *range(5))
    with connect(tmp_path) as one:
        got = []
        while (message := take(one)) is not None:
            got.append(message.payload)
            message.ack()
        assert got == [0, 1, 2, 3, 4]
    with connect(tmp_path) as two:
        assert take(two) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_takers_never_have_the_same(tmp_path: Path) -> None:
    """Each message goes to one."""
    put(tmp_path, *range(40))
    with connect(tmp_path) as one, connect(tmp_path) as two:
        taken = [take(each) for _ in range(20) for each in (one, two)]
        assert sorted(message.payload for message in taken) == list(range(40))
        for message in taken:
            message.ack()


def test_what_a_dead_taker_had_comes_back_and_is_counted(tmp_path: Path) -> None:
    """kill -9 of who holds a message: it is delivered again, first in line, and says how often."""
    put(tmp_path, "first", "second")
    context = multiprocessing.get_context("spawn")
    for times in (1, 2):
        ready = context.Queue()
        holder = context.Process(target=hold, args=(str(tmp_path), ready))
        holder.start()
        assert ready.get(timeout=60) == "first"
        with connect(tmp_path) as other:
            assert other.default_channel.bring_back() == 0, "who lives keeps what it has"
            os.kill(holder.pid or 0, signal.SIGKILL)
            holder.join()
            assert other.default_channel.bring_back() == 1
        assert len(list((tmp_path / "queues" / "q").glob(f"*.{times}.msg"))) == 1
    with connect(tmp_path) as last:
        message = take(last)
        assert (message.payload, message.headers["x-delivery-count"]) == ("first", 2)
        assert message.delivery_info["redelivered"]
        message.ack()
        assert take(last).payload == "second"


def test_who_ends_well_gives_back_what_it_has(tmp_path: Path) -> None:
    """A connection that is closed leaves nothing in hand."""
    put(tmp_path, "a")
    with connect(tmp_path) as one:
        assert take(one).payload == "a"
    with connect(tmp_path) as two:
        assert take(two).payload == "a"


def test_a_waiting_taker_is_woken(tmp_path: Path) -> None:
    """Not at the next look, but at once."""
    got: list[tuple[Any, float]] = []
    with connect(tmp_path) as connection:

        def on(body: Any, message: Any) -> None:
            got.append((body, time.monotonic()))
            message.ack()

        with connection.Consumer(Queue("q"), callbacks=[on], accept=["json"]):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.01)
            thread = threading.Thread(target=connection.drain_events, kwargs={"timeout": 20})
            thread.start()
            while not list((tmp_path / "queues" / "q" / "bells").iterdir()):
                pass
            sent = time.monotonic()
            put(tmp_path, "now")
            thread.join()
    assert got[0][0] == "now"
    assert got[0][1] - sent < embedded.WAIT_SECONDS


def test_nothing_is_seen_before_it_is_whole(tmp_path: Path) -> None:
    """Takers that look all the time never meet half a message."""
    big = ["x" * 1000] * 500
    over = threading.Event()

    def write() -> None:
        for _ in range(30):
            put(tmp_path, big)
        over.set()

    thread = threading.Thread(target=write)
    thread.start()
    count = 0
    with connect(tmp_path) as connection:
        while count < 30:
            message = take(connection)
            if message is not None:
                assert message.payload == big
                message.ack()
                count += 1
            assert not (over.is_set() and message is None and count < 30 and not list((tmp_path / "queues" / "q").glob("*.msg")))
    thread.join()


@pytest.mark.parametrize("queue", ["../q", "a/b", "", "..", "q" * 129])
def test_a_queues_name_is_no_path(tmp_path: Path, queue: str) -> None:
    """Nothing is written beside the broker's folder."""
    from kombu.exceptions import ChannelError

    with connect(tmp_path) as connection, pytest.raises((ChannelError, Empty)):
        connection.default_channel._put(queue, {"body": "", "properties": {"delivery_tag": "t"}})


def test_a_broker_that_is_away_is_said_within_seconds(tmp_path: Path) -> None:
    """BrokerDown, for RabbitMQ, Redis and a folder that cannot be written."""
    (tmp_path / "broker").write_text("in the way")
    for url in ("amqp://guest:guest@127.0.0.1:1//", "redis://127.0.0.1:1/0", "filesystem"):
        config = Config(name="x", store="models", broker=url, folder=tmp_path)
        start = time.monotonic()
        with pytest.raises(BrokerDown):
            Publisher(config, make(config)).publish("r1", Ask("a", counts=[1], columns={"x": [1]}))
        assert time.monotonic() - start < 12, url


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_on_rabbitmq(tmp_path: Path, store: Path, species: Model) -> None:
    """Quorum queues: answers, answers later, a worker killed under load, a poisonous request: as on the embedded broker."""
    with brokers.rabbitmq(tmp_path / "server") as url:
        options = {"broker": url, "limits": {"timeoutSeconds": 60}}
        with deployed(tmp_path / "d", store, species, workers=2, rough=0.0, **options) as up:
            assert ended(up, later(up, row(species)))["state"] == "SUCCEEDED"
            with Load(up, species, clients=4) as load:
                load.more(50)
                up.kill("worker-r1-0")
                load.more(50)
            assert set(load.codes) == {(200, 1)}
            failed = ended(up, later(up, {**row(species), "island": "kill"}))
            assert (failed["state"], failed["error"]["reason"]) == ("FAILED", "WorkerLost")
            assert sum("kill" in line for line in up.diary.read_text().splitlines()) == 3
            with ThreadPoolExecutor(1) as pool:
                lost = pool.submit(
                    requests.post, f"{up.url}/predict", json={**row(species), "island": "kill"}, timeout=90
                ).result()
            assert (lost.status_code, lost.json()["reason"]) == (500, "WorkerLost")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("results", ["filesystem", "redis"])
def test_on_redis(tmp_path: Path, store: Path, species: Model, results: str) -> None:
    """Answers and answers later. What a killed worker had in hand comes back when its time limit is over, since Redis knows of no
    consumer that died: an accepted request is answered then."""
    with brokers.redis(tmp_path / "server") as url:
        limits = {"timeoutSeconds": 60, "taskTimeLimitSeconds": 3}
        options = {"broker": url, "results": url if results == "redis" else "filesystem", "limits": limits}
        with deployed(tmp_path / "d", store, species, rough=2.0, **options) as up:
            with Load(up, species, clients=4) as load:
                load.more(50)
            assert set(load.codes) == {(200, 1)}
            where = later(up, {**row(species), "island": "slow"})
            up.until(lambda: "slow" in up.diary.read_text())
            up.kill("worker-r1-0")
            up.worker(1, species.digest, rough=0.0)
            up.until(lambda: requests.get(where, timeout=30).status_code == 200, 120)
            assert requests.get(where, timeout=30).json()["state"] == "SUCCEEDED"
