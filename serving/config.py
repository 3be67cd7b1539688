"""What one deployment's processes are told: one JSON file, read once at start.

Everything that the processes share lies in the folder of that file, so that a deployment is one folder and one command away.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

EMBEDDED = "filesystem"
WITHIN = re.compile(r"\{file:([^{}]+)\}")
SPARE = 8
"""Threads of a web process beyond those that may wait for predictions."""


class ConfigError(Exception):
    """The configuration cannot be used. The text says which field and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)


class Limits(_Part):
    """What one request may cost, and how long things may take. All of them answer with a status, none with a trace."""

    max_bytes: Annotated[int, Field(alias="maxBytes", ge=1024)] = 16 * 1024 * 1024
    """Largest request body, before and after it is unpacked."""
    max_rows: Annotated[int, Field(alias="maxRows", ge=1)] = 10_000
    """Most rows of one request that waits for its answer."""
    max_upload_rows: Annotated[int, Field(alias="maxUploadRows", ge=1)] = 100_000
    """Most rows of a request that is answered later: an uploaded CSV, or `Prefer: respond-async`."""
    requests_per_second: Annotated[float | None, Field(alias="requestsPerSecond", gt=0)] = None
    """Most requests a second of one client address in each web process; None: no limit but web.threads."""
    max_jobs: Annotated[int, Field(alias="maxJobs", ge=1)] = 10_000
    """Most accepted requests that are not answered yet. More are answered 429 at once."""
    timeout_seconds: Annotated[float, Field(alias="timeoutSeconds", gt=0, le=3600)] = 10.0
    """How long a request waits for its answer before it gets 503."""
    body_timeout_seconds: Annotated[float, Field(alias="bodyTimeoutSeconds", gt=0)] = 10.0
    """How long a client may take to send its body before it gets 408."""
    task_time_limit_seconds: Annotated[int, Field(alias="taskTimeLimitSeconds", ge=1)] = 60
    """After so long a worker's process that still computes one message is killed."""
    consumer_timeout_seconds: Annotated[int | None, Field(alias="consumerTimeoutSeconds", ge=1)] = None
    """After so long the broker takes a message back that was not acknowledged. Must exceed the task's time limit; None: 30
    minutes, or more where the limit asks for it."""
    memory_bytes: Annotated[int | None, Field(alias="memoryBytes", ge=1024)] = None
    """What a worker may take for its model and what it answers; None: 2 GiB, or eight times the model if that is more."""
    max_deliveries: Annotated[int, Field(alias="maxDeliveries", ge=1, le=10)] = 3
    """A message that has killed its worker so often is dead-lettered."""
    result_ttl_seconds: Annotated[int, Field(alias="resultTtlSeconds", ge=1)] = 3600
    """So long the result of an accepted request can be fetched; then 410."""
    job_deadline_seconds: Annotated[int, Field(alias="jobDeadlineSeconds", ge=1)] = 24 * 3600
    """An accepted request that nobody has answered by then is dead-lettered."""

    @model_validator(mode="after")
    def _the_broker_waits_longer_than_a_task(self) -> Self:
        if self.task_time_limit_seconds >= self.broker_patience:
            raise ValueError(
                f"taskTimeLimitSeconds ({self.task_time_limit_seconds}) must be less than consumerTimeoutSeconds "
                f"({self.broker_patience}): the broker would hand out again what is still being computed"
            )
        return self

    @property
    def broker_patience(self) -> int:
        """What the broker is told, in seconds. The same for all usual limits: a queue that is there cannot be told otherwise."""
        return self.consumer_timeout_seconds or max(1800, self.task_time_limit_seconds + 300)


class WebSettings(_Part):
    """The web processes."""

    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 64
    """Requests that wait in each of them at a time; more are answered 429. SPARE more threads answer the health checks."""


class Config(_Part):
    """One deployment, as its processes see it."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The ModelDeployment's name; the model's name in the Open Inference Protocol."""
    namespace: Annotated[str, Field(min_length=1, max_length=253)] = "default"
    """Its namespace."""
    broker: str = EMBEDDED
    """"filesystem": a folder beside this file; or a URL: amqp:// (RabbitMQ, quorum queues) or redis://. `env:NAME` and
    `file:PATH` say where the URL is to be read, since it may hold a password; `{file:PATH}` within it, where the password is."""
    results: str = EMBEDDED
    """Where accepted requests and their results are kept. "filesystem": an SQLite database beside this file; or a redis:// URL,
    `env:NAME` or `file:PATH`."""
    store: str
    """The model store: a folder, any fsspec URL, or `archives:` and a folder with one archive for each model."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8437
    """Port to listen on."""
    trusted_hosts: Annotated[tuple[str, ...] | None, Field(alias="trustedHosts")] = None
    """Host names that requests may name. Default: those of this machine's loopback when `host` is one, else any."""
    limits: Limits = Limits()
    web: WebSettings = WebSettings()
    supervised: bool = False
    """Whether each process is a container of its own that an orchestrator looks after. Then no folder is shared: the routes are
    in the result store; and a worker ends with the process that it looks after, for all to see."""
    folder: Path = Path()
    """Where the processes write. None given: the folder of the file."""

    @property
    def embedded(self) -> bool:
        """Whether the broker is the folder beside the file."""
        return self.broker == EMBEDDED

    def broker_is(self, *schemes: str) -> bool:
        """Whether the broker's URL has one of these schemes."""
        return self.broker.partition(":")[0] in schemes

    @property
    def one_machine(self) -> bool:
        """Whether all processes are on one machine: answers then come back over Unix sockets."""
        return self.results == EMBEDDED

    @property
    def routes_file(self) -> Path:
        """The routing table."""
        return self.folder / "routes.json"

    @property
    def state_folder(self) -> Path:
        """Where each process says how it is."""
        return self.folder / "state"

    @property
    def replies_folder(self) -> Path:
        """The Unix sockets of the web processes."""
        return self.folder / "replies"

    @property
    def broker_folder(self) -> Path:
        """The embedded broker's queues."""
        return self.folder / "broker"

    @property
    def records_file(self) -> Path:
        """The embedded record of accepted requests."""
        return self.folder / "requests.sqlite"

    @property
    def metrics_folder(self) -> Path:
        """Where all processes write their metrics for the one that is asked."""
        return self.folder / "metrics"


def load(file: Path) -> Config:
    """Read the configuration; raises ConfigError."""
    try:
        config = Config.model_validate_json(file.read_bytes())
        return config.model_copy(
            update={
                "folder": config.folder if config.folder != Path() else file.resolve().parent,
                "broker": _resolve(config.broker),
                "results": _resolve(config.results),
            }
        )
    except OSError as error:
        raise ConfigError(
            f"cannot read {error.filename}: {error.strerror}; give the deployment's config.json with --config"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(f"cannot use {file}: {where}: {first['msg']}; correct it and start again") from error


def _resolve(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind == "env":
        if rest not in os.environ:
            raise ConfigError(f"cannot read the URL: the environment has no {rest}; set it and start again")
        return os.environ[rest]
    if kind == "file":
        return Path(rest).read_text(encoding="utf-8").strip()
    return WITHIN.sub(lambda found: quote(Path(found[1]).read_text(encoding="utf-8").strip(), safe=""), value)


def queue_name(config: Config, queue: str) -> str:
    """The revision's queue on a broker that several deployments may share."""
    return queue if config.embedded else f"anneal.{config.namespace}.{config.name}.{queue}"
