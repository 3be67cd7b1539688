"""Answers on their way back through Redis: published to who listens, kept on a list for who does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.broker.replies import RedisInbox, RedisOutbox, client
from serving.config import Config
from tests.support.brokers import Server, redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Redis for all of them."""
    with redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


class Ways:
    """Both ends, and what arrived."""

    def __init__(self, folder: Path, url: str) -> None:
        config = Config(name="penguins", folder=folder, store=str(folder), port=1, broker="amqp://nowhere", results=url)
        self.redis = client(url)
        self.heard: list[bytes] = []
        self.inbox, self.outbox = RedisInbox(config, folder.name, self.heard.append), RedisOutbox(config)
        self.name = self.inbox.address.removeprefix("redis:")

    @property
    def listens(self) -> bool:
        """Whether the channel has a listener."""
        return bool(self.redis.pubsub_numsub(self.name)[0][1])

    @property
    def connections(self) -> int:
        """How many were made to Redis so far."""
        return int(self.redis.info("stats")["total_connections_received"])

    def send(self, body: bytes) -> None:
        """An answer, as a worker gives it."""
        assert self.outbox.send(self.inbox.address, body)


@pytest.fixture
def ways(tmp_path: Path, server: Server) -> Iterator[Ways]:
    """Both ends."""
    made = Ways(tmp_path, server.url)
    until(lambda: made.listens)
    yield made
    made.inbox.close()


def test_what_is_heard_is_not_written_down(ways: Ways) -> None:
    """A thousand answers arrive in order, and Redis kept none of them."""
    before = ways.redis.info("persistence")["aof_current_size"]
    sent = [b"%d" % number for number in range(1000)]
    for one in sent:
        ways.send(one)
    until(lambda: len(ways.heard) == len(sent))
    assert ways.heard == sent
    assert ways.redis.info("persistence")["aof_current_size"] == before


def test_what_nobody_hears_is_kept_and_arrives(ways: Ways) -> None:
    """Every connection is cut again and again meanwhile: each answer arrives, and the channel is listened to again."""
    sent = {b"%d" % number for number in range(200)}
    for one in sorted(sent):
        if one.endswith(b"0"):
            ways.redis.client_kill_filter(_type="pubsub")
        ways.send(one)
    until(lambda: set(ways.heard) == sent)
    until(lambda: ways.listens)
    ways.send(b"after")
    until(lambda: b"after" in ways.heard)


def test_a_redis_that_hung_is_listened_to_again(ways: Ways, server: Server) -> None:
    """It answers nothing for longer than it is believed: then it is listened to again, by one connection that stays."""
    server.hang()
    time.sleep(8)  # longer than any patience with it
    server.resume()

    def settles() -> bool:
        before = ways.connections
        time.sleep(1.5)
        return ways.connections == before and ways.listens

    until(settles)
    assert ways.redis.publish(ways.name, b"after") == 1
    until(lambda: ways.heard == [b"after"])


def test_a_user_without_channels_gets_its_answers_by_the_list(tmp_path: Path, server: Server) -> None:
    """As a Redis gives its users by default since version 7."""
    allowed: dict[str, Any] = {"passwords": ["+secret"], "keys": ["*"], "commands": ["+@all"]}
    client(server.url).acl_setuser("bare", enabled=True, **allowed)
    ways = Ways(tmp_path, server.url.replace("redis://", "redis://bare:secret@"))
    for one in (b"1", b"2", b"3"):
        ways.send(one)
    until(lambda: ways.heard == [b"1", b"2", b"3"])
    ways.inbox.close()


def until(check: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
