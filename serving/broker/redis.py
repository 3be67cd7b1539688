"""Redis as the broker: kombu's transport, and what Redis does not know, which is that a consumer died.

kombu's own answer is a time after which a message that nobody acknowledged is handed out again. It must be longer than the
longest task, and is looked at every 100 seconds: what a killed worker had came back minutes later. Here each consumer keeps what
it has in hand in a hash of its own, and renews a lease while it lives; what a consumer without a lease holds is put back within
seconds, with its count of deliveries.

    <prefix>:consumers        the names of all consumers
    <prefix>:alive:<name>     there while the consumer lives
    <prefix>:held:<name>      what it took and has not acknowledged; held:<name>:since has the times
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as transport
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from serving.broker.replies import client, prefix
from serving.config import Config

LEASE_SECONDS = 5.0
"""A consumer that has not been heard of for so long is dead."""
RENEW_SECONDS = 1.0
LOOK_SECONDS = 1
"""How often a consumer looks for what the dead had in hand."""


def options(config: Config, consumer: str) -> dict[str, Any]:
    """The transport's options for a consumer of that name."""
    base = prefix(config)
    held = f"{base}:held:{consumer}"
    return {
        "consumers": base, "unacked_key": held, "unacked_index_key": f"{held}:since", "unacked_mutex_key": f"{held}:mutex",
        "unacked_restore_interval": LOOK_SECONDS, "unacked_restore_throttle": 1,
    }  # fmt: skip


class Lease:
    """Says that this consumer lives, from a thread, until its process ends."""

    def __init__(self, config: Config, consumer: str) -> None:
        self._redis, self._base, self._consumer = client(config.broker), prefix(config), consumer

    def start(self) -> None:
        """Take the lease, then renew it every second."""
        with contextlib.suppress(redis.RedisError):
            self.renew()
        threading.Thread(target=self._run, name="lease", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(RENEW_SECONDS):
            with contextlib.suppress(redis.RedisError):  # it is away; whoever looks for the dead finds it away, too
                self.renew()

    def renew(self) -> None:
        """For LEASE_SECONDS from now."""
        with self._redis.pipeline(transaction=True) as line:
            line.set(f"{self._base}:alive:{self._consumer}", 1, px=int(LEASE_SECONDS * 1000))
            line.sadd(f"{self._base}:consumers", self._consumer)
            line.execute()

    def end(self) -> None:
        """It is known to be dead: what it had in hand may be taken at once."""
        with contextlib.suppress(redis.RedisError):
            self._redis.delete(f"{self._base}:alive:{self._consumer}")
        self._redis.close()


class QoS(transport.QoS):  # type: ignore[misc]
    """What a consumer has in hand. Looks for what the dead had whenever kombu looks for what is late."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owed: set[str] = set()

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge. If Redis does not hear it, it is owed, and the place is free all the same: kombu would keep it taken for
        ever, and a consumer with one place would never take a message again."""
        try:
            super().ack(delivery_tag)
        except self.channel.connection_errors:
            self._owed.add(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
            raise

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Pay what is owed, then put back what is late, and what the dead had."""
        while self._owed:
            tag = self._owed.pop()
            try:
                self._remove_from_indices(tag).execute()
            except self.channel.connection_errors:
                self._owed.add(tag)
                raise
        super().restore_visible(*args, **kwargs)
        if self.channel.consumers:
            bring_back(self.channel)


class Channel(transport.Channel):  # type: ignore[misc]
    """Counts deliveries."""

    QoS = QoS
    consumers = ""
    from_transport_options = (*transport.Channel.from_transport_options, "consumers")

    def _do_restore_message(self, payload: Any, exchange: str, routing_key: str, pipe: Any, leftmost: bool = False) -> None:
        headers = payload["headers"]
        headers["x-delivery-count"] = int(headers.get("x-delivery-count") or 0) + 1
        super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)


class Transport(transport.Transport):  # type: ignore[misc]
    """kombu's, with our channels."""

    Channel = Channel


def bring_back(channel: Channel) -> int:
    """Put the messages of consumers without a lease first in line; their number."""
    base, count = channel.consumers, 0
    with channel.conn_or_acquire() as connection:
        for name in map(bytes_to_str, connection.smembers(f"{base}:consumers")):
            if connection.exists(f"{base}:alive:{name}"):
                continue
            held = f"{base}:held:{name}"
            for tag in connection.hkeys(held):
                connection.transaction(lambda pipe, held=held, tag=tag: _back(channel, pipe, held, tag), held)
                count += 1
            connection.srem(f"{base}:consumers", name)
    return count


def _back(channel: Channel, pipe: Any, held: str, tag: bytes) -> None:
    """One message, in a transaction: whoever comes second finds nothing."""
    found = pipe.hget(held, tag)
    pipe.multi()
    pipe.hdel(held, tag)
    pipe.zrem(f"{held}:since", tag)
    if found:
        message, exchange, routing_key = loads(bytes_to_str(found))
        channel._do_restore_message(message, exchange, routing_key, pipe)


def register() -> None:
    """Make kombu use this for redis:// and rediss://."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


__all__ = ["Lease", "Transport", "bring_back", "options", "register"]
