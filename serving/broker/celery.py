"""The Celery application: the same queues, guarantees and JSON on the embedded broker, RabbitMQ and Redis.

A message is acknowledged after it was answered; one whose worker died or ran out of time comes back; nothing but JSON is read.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import orjson
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.serialization import registry

from serving.broker import folder
from serving.config import Config, queue_name
from serving.message import TASK, Ask

BROKER_SAFETY = 12
"""A quorum queue drops to the dead-letter queue after so many returns: a net below our own, smaller, limit."""
UNUSED_SECONDS = 7 * 24 * 3600
"""A revision's queue that has had no worker for so long goes: accepted requests have long been answered or given up by then."""
AWAY_SECONDS = 0.5
RETRY_SECONDS = 0.2
CONNECT_SECONDS = 2
ANSWER_SECONDS = 5
"""A broker that takes longer is away: whoever waits hears of it instead of waiting on."""


class BrokerDown(Exception):
    """A message could not be put on its queue."""


def make(config: Config, consumer: str = "") -> Celery:
    """The application of one deployment; `consumer` is the name of the process if it takes messages. Connects to nothing yet."""
    folder.register()
    if config.broker_is("redis", "rediss"):
        from serving.broker import redis

        redis.register()
    registry.register("json", _dumps, orjson.loads, content_type="application/json", content_encoding="utf-8")
    app = Celery("serving", broker=f"{folder.SCHEME}://localhost" if config.embedded else config.broker, set_as_current=False)
    app.conf.update(
        accept_content=["json"], task_serializer="json", result_serializer="json",
        task_ignore_result=True, result_backend=None,
        task_acks_late=True, task_reject_on_worker_lost=True, task_send_sent_event=False, worker_send_task_events=False,
        worker_prefetch_multiplier=1, worker_concurrency=1, worker_enable_remote_control=False,
        worker_consumer="serving.broker.consumer:Prompt", worker_hijack_root_logger=False, worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True, broker_connection_max_retries=None,
        broker_transport_options=transport_options(config, consumer), broker_pool_limit=4,
        broker_heartbeat=0,  # a worker that computes sends none; the kernel's keepalive finds a peer that is gone
        task_create_missing_queues=False, task_queues=[], enable_utc=True, event_queue_exclusive=False,
    )  # fmt: skip
    return app


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def transport_options(config: Config, consumer: str = "") -> dict[str, Any]:
    """What the transport needs to keep our promises."""
    if config.embedded:
        return {"folder": str(config.broker_folder)}
    if config.broker_is("redis", "rediss"):
        from serving.broker import redis

        return {
            # after so long a message comes back that its own consumer forgot, as when a connection broke; not those of the dead
            "visibility_timeout": config.limits.task_time_limit_seconds + 10,
            "socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": CONNECT_SECONDS, "health_check_interval": 10,
            **(redis.options(config, consumer) if consumer else {}),
        }  # fmt: skip
    return {
        "confirm_publish": True, "connect_timeout": CONNECT_SECONDS, "write_timeout": ANSWER_SECONDS,
        "read_timeout": None if consumer else ANSWER_SECONDS,
        "socket_settings": {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3},
    }  # fmt: skip


def queue(config: Config, name: str) -> Queue:
    """A revision's queue: durable; on RabbitMQ a quorum queue with a delivery limit and a dead-letter queue beside it."""
    full = queue_name(config, name)
    arguments = None
    if config.broker_is("amqp", "amqps", "pyamqp"):
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": BROKER_SAFETY,
            "x-expires": UNUSED_SECONDS * 1000,
            "x-consumer-timeout": config.limits.broker_patience * 1000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{full}.dead",
        }
    return Queue(full, Exchange(""), routing_key=full, durable=True, queue_arguments=arguments)


def declare(config: Config, app: Celery, name: str) -> None:
    """Make the queue, and its dead-letter queue where the broker has such. Raises BrokerDown."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=RETRY_SECONDS, timeout=ANSWER_SECONDS)
            channel = connection.default_channel
            wanted = queue(config, name)
            if wanted.queue_arguments:
                Queue(f"{wanted.name}.dead", durable=True, queue_arguments={"x-queue-type": "quorum"})(channel).queue_declare()
            wanted(channel).queue_declare()
    except (OSError, OperationalError, *app.connection_for_write().connection_errors) as error:
        raise BrokerDown(f"cannot reach the broker: {type(error).__name__}; start it, or correct its URL") from error


class Publisher:
    """Puts messages on queues over one connection. Not for two threads at once: the caller holds a lock."""

    def __init__(self, config: Config, app: Celery) -> None:
        self._config, self._app = config, app
        self._producer: Any = None
        self._queues: dict[str, Queue] = {}
        self._away_until = 0.0

    def publish(self, name: str, ask: Ask) -> None:
        """Put one message on the queue, and return when the broker has it. Raises BrokerDown."""
        if time.monotonic() < self._away_until:  # who stood in line behind a timeout does not wait for the next one
            raise BrokerDown(f"cannot put a message on queue {name}: the broker did not answer a moment ago")
        for attempt in (0, 1):
            try:
                self._send(name, ask)
                return
            except Exception as error:  # every transport has its own errors
                self.close()
                if attempt or "Timeout" in type(error).__name__:
                    self._away_until = time.monotonic() + AWAY_SECONDS
                    raise BrokerDown(f"cannot put a message on queue {name}: {type(error).__name__}") from error

    def _send(self, name: str, ask: Ask) -> None:
        if self._producer is None:
            connection = self._app.connection_for_write()
            connection.ensure_connection(max_retries=1, interval_start=RETRY_SECONDS, timeout=CONNECT_SECONDS)
            self._producer = self._app.amqp.Producer(connection.default_channel, auto_declare=False)
        if name not in self._queues:
            declare(self._config, self._app, name)
            self._queues[name] = queue(self._config, name)
        headers, properties, body, _ = self._app.amqp.as_task_v2(
            f"{ask.id}-{ask.part}" if ask.part is not None else ask.id, TASK, (ask.dump(),),
            argsrepr="-", kwargsrepr="-", ignore_result=True,
        )  # fmt: skip
        self._producer.publish(  # as Celery's send_task does in the end, which looks for routes and listeners before
            body, exchange="", routing_key=self._queues[name].name, serializer="json", headers=headers, **properties,
            delivery_mode=2, retry=False, confirm_timeout=ANSWER_SECONDS,
        )  # fmt: skip

    def close(self) -> None:
        """Drop the connection; the next message makes a new one."""
        producer, self._producer = self._producer, None
        self._queues.clear()
        if producer is not None:
            with contextlib.suppress(Exception):
                producer.connection.collect(CONNECT_SECONDS)  # without a farewell, which a broker that hangs would never answer
