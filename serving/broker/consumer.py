"""Celery's consumer without its delayed delivery, which on RabbitMQ is two dozen quorum queues that nobody here ever uses."""

from __future__ import annotations

from celery.worker.consumer import consumer

LEFT_OUT = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Prompt(consumer.Consumer):  # type: ignore[misc]  # Celery has no types
    """Delivers at once, always: a worker starts as soon as it has its one queue."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The steps of a start."""

        default_steps = [step for step in consumer.Consumer.Blueprint.default_steps if step != LEFT_OUT]
