"""Fault 31: a task that outlasts the broker's patience would be handed out again while it is computed, for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some
from pydantic import ValidationError

from serving.broker.celery import queue, transport_options
from serving.config import Config, Limits
from tests.support import brokers
from tests.support.asking import ended, later, row
from tests.support.serving import ENVIRONMENT, ROOT, Deployment, Model, deployed

SECONDS = some.integers(1, 10**6)


@given(limit=SECONDS, patience=some.none() | SECONDS)
def test_every_broker_waits_longer_than_a_task_may_take(limit: int, patience: int | None) -> None:
    """Whatever limits are accepted: what RabbitMQ and Redis are told exceeds the time limit, and no heartbeat ends it sooner."""
    try:
        limits = Limits(task_time_limit_seconds=limit, consumer_timeout_seconds=patience)
    except ValidationError:
        assert patience is not None
        assert patience <= limit
        return
    assume(limits is not None)
    rabbit = Config(name="x", store="s", broker="amqp://localhost//", limits=limits)
    assert queue(rabbit, "r1").queue_arguments["x-consumer-timeout"] > limit * 1000
    redis = Config(name="x", store="s", broker="redis://localhost/0", limits=limits)
    assert transport_options(redis, "a")["visibility_timeout"] > limit


def test_a_time_limit_beyond_the_brokers_is_refused_at_the_start(tmp_path: Path, store: Path) -> None:
    """No process starts so, and each says which two numbers do not fit."""
    made = Deployment(tmp_path, store, options={"limits": {"taskTimeLimitSeconds": 60, "consumerTimeoutSeconds": 60}})
    for module in (["serving.web"], ["serving.worker", "--revision", "1", "--digest", "sha256:" + "0" * 64]):
        command = [sys.executable, "-m", *module[:1], "--config", str(made.config), *module[1:]]
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert "taskTimeLimitSeconds (60) must be less than consumerTimeoutSeconds (60)" in done.stderr


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "kind", [brokers.EMBEDDED, *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("rabbitmq", "redis"))]
)
def test_what_takes_too_long_is_ended_and_does_not_loop(tmp_path: Path, store: Path, species: Model, kind: str) -> None:
    """The time limit ends it three times, then it is a dead letter, on every broker; the next request is answered."""
    limits = {"taskTimeLimitSeconds": 1, "consumerTimeoutSeconds": 60, "timeoutSeconds": 60}
    with (
        brokers.broker(kind, tmp_path / "broker") as (_, options),
        deployed(tmp_path / "d", store, species, rough=60.0, limits=limits, **options) as up,
    ):
        failed = ended(up, later(up, {**row(species), "island": "slow"}))
        assert (failed["state"], failed["error"]["reason"]) == ("FAILED", "WorkerLost")
        assert up.diary.read_text().split() == ["slow"] * 3
        assert ended(up, later(up, row(species)))["state"] == "SUCCEEDED"
