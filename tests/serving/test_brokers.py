"""The brokers: what kombu's own transports over files and over Redis do not promise."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection, Queue

from serving.broker import folder as embedded
from serving.broker.celery import BrokerDown, Publisher, make
from serving.broker.redis import Lease, bring_back
from serving.config import Config, queue_name
from serving.message import Ask
from tests.support import brokers
from tests.support.serving import ROOT

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


HOLD = """
import sys
from kombu import Connection
from serving.broker import folder
folder.register()
channel = Connection("folder://localhost", transport_options={"folder": sys.argv[1]}).default_channel
print(channel.message_to_python(channel.basic_get("q")).payload, flush=True)
sys.stdin.read()
"""


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
    for times in (1, 2):
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"first\n"
            with connect(tmp_path) as other:
                assert other.default_channel.bring_back() == 0, "who lives keeps what it has"
                holder.kill()
                holder.wait()
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


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.Server]:
    with brokers.redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def shared(redis: brokers.Server, tmp_path: Path) -> Config:
    """A deployment's configuration whose queue on Redis holds one message."""
    config = Config(name=tmp_path.name, store="models", broker=redis.url, folder=tmp_path)
    Publisher(config, make(config)).publish("r1", Ask("a", counts=[1], columns={"x": [1]}))
    return config


def test_on_redis_what_a_dead_consumer_had_comes_back_and_is_counted(shared: Config) -> None:
    """Who renews its lease keeps what it has; without one it is dead, and the next one gets it, once, with its count."""
    name = queue_name(shared, "r1")
    for consumer in ("one", "two"):
        Lease(shared, consumer).renew()
    with make(shared, "one").connection_for_read() as one, make(shared, "two").connection_for_read() as two:
        assert one.default_channel.basic_get(name) is not None
        assert bring_back(two.default_channel) == 0
        Lease(shared, "one").end()
        assert bring_back(two.default_channel) == 1
        assert bring_back(two.default_channel) == 0
        message = two.default_channel.basic_get(name)
        assert message.headers["x-delivery-count"] == 1
        message.ack()
        assert two.default_channel.basic_get(name) is None


def test_on_redis_an_acknowledgement_that_was_not_heard_blocks_nobody(redis: brokers.Server, shared: Config) -> None:
    """A consumer with one place, whose acknowledgement meets a Redis that is away, has its place back, and makes it later."""
    with make(shared, "one").connection_for_read() as connection:
        channel = connection.default_channel
        channel.basic_qos(0, 1, False)
        message = channel.basic_get(queue_name(shared, "r1"))
        assert not channel.qos.can_consume()
        redis.kill()
        with pytest.raises(connection.connection_errors):
            message.ack()
        redis.start()
        assert channel.qos.can_consume()
        assert channel.client.hlen(channel.unacked_key) == 1
        channel.qos.restore_visible()
        assert channel.client.hlen(channel.unacked_key) == 0
