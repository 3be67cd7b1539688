"""What RabbitMQ itself gave up: messages that came back more often than its delivery limit, beside each revision's queue.

They are brought into the record, where all other dead letters are. A message leaves its dead-letter queue after it stands there.
"""

from __future__ import annotations

import time
from typing import Any

import orjson

from serving import routes
from serving.broker.celery import BrokerDown, make
from serving.config import Config, queue_name
from serving.message import Ask
from serving.predicting import LOST
from serving.records import DeadLetter, Records

EARLIER = 32
"""So many revisions back is looked: the queue of one before has long been gone."""


def drain(config: Config, records: Records) -> int:
    """Empty the dead-letter queues of this deployment; how many messages were in them. Raises BrokerDown, RecordDown."""
    if not config.broker_is("amqp", "amqps", "pyamqp"):
        return 0
    table = {route.revision: route.digest for route in routes.connect(config).now().revisions}
    newest, count, app = max(table, default=0), 0, make(config)
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1)
            for revision in range(max(1, newest - EARLIER), newest + 1):
                count += _drain(
                    connection, f"{queue_name(config, f'r{revision}')}.dead", records, revision, table.get(revision, "")
                )
    except (OSError, *app.connection_for_write().connection_errors) as error:
        raise BrokerDown(f"cannot read the broker's dead letters: {type(error).__name__}; try again") from error
    return count


def _drain(connection: Any, queue: str, records: Records, revision: int, digest: str) -> int:
    channel, count = connection.channel(), 0
    try:
        while (message := channel.basic_get(queue)) is not None:
            bury(records, Ask(**orjson.loads(message.body)[0][0]), revision, digest)
            channel.basic_ack(message.delivery_tag)
            count += 1
        channel.close()
    except connection.channel_errors:  # there is no such queue
        return count
    return count


def bury(records: Records, ask: Ask, revision: int, digest: str) -> None:
    """Keep what a message asked as dead letters, one for each request."""
    for one in ask.parts(ask.attempts):
        if one.jobs:
            records.fail(one.jobs[0], LOST, time.time())
        else:
            records.bury(DeadLetter(one.letter, revision, digest, LOST.reason, LOST.message, one.columns, time.time()))
