"""The provider `swarm` of a ModelDeployment: which services on which Swarm, and how one revision gives way to the next."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.meta import Model, Quantity
from specs.references import CredentialsRef, ObjectRef

Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[a-z0-9][-._:/a-zA-Z0-9]*(@sha256:[0-9a-f]{64})?$")]
"""An image as Docker names it."""
Pinned = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[a-z0-9][-._:/a-zA-Z0-9]*@sha256:[0-9a-f]{64}$")]
"""An image by its digest: the same bytes on every node and after every restart."""
Constraint = Annotated[str, Field(min_length=3, max_length=255, pattern=r"^[-._a-zA-Z0-9]+ ?(==|!=) ?[-._:/a-zA-Z0-9]+$")]
"""A placement constraint as Docker writes it: `node.labels.disk == ssd`."""
UserId = Annotated[int, Field(ge=1, le=65_535)]
RegistryUrl = Annotated[
    str, Field(min_length=8, max_length=512, pattern=r"^https?://[-.a-zA-Z0-9]+(:[0-9]{1,5})?(/[a-z0-9]+([-._][a-z0-9]+)*)*/?$")
]
"""A registry of the OCI distribution specification, and a folder in it."""
Seconds = Annotated[int, Field(ge=0, le=86_400)]

TWO = "replicas: two brokers survive the loss of neither; choose 1 or 3"
TWO_WAYS = "credentialsRef: larger models travel through registry or from the bucket, not both; take one of them away"


class Amounts(Model):
    """Of CPU and memory."""

    cpu: Quantity | None = None
    """Cores, such as "500m"."""
    memory: Quantity | None = None
    """Memory, such as "512Mi"."""


class TaskResources(Model):
    """What one task of a service takes."""

    limits: Amounts = Amounts()
    """The most."""
    requests: Amounts = Amounts()
    """What is set aside for it: a node without so much is not chosen."""


class LogDriver(Model):
    """Where the services' output goes."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[-._a-zA-Z0-9/:]+$")] = "json-file"
    """Docker's name of the driver."""
    options: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=32)] = {"max-size": "10m"}
    """Its options."""


class SwarmWeb(Model):
    """The web service."""

    replicas: Annotated[int, Field(ge=1, le=64)] = 2
    """Tasks; each has `web.workers` processes."""
    resources: TaskResources = TaskResources()
    """What each may take."""


class SwarmWorkers(Model):
    """The workers' services, one for each revision; their number is predictor.minReplicas."""

    resources: TaskResources = TaskResources()
    """What each may take; the model's own memory is limited by predictor.resources."""


class SwarmBroker(Model):
    """RabbitMQ of the deployment's own; or another broker, by its URL."""

    credentials_ref: CredentialsRef | None = None
    """The URL of a broker that is there already, with its password: amqp(s)://, redis(s)://. Then none is made. For life."""
    replicas: Annotated[int, Field(ge=1, le=3)] = 1
    """1, or 3: a cluster on three nodes, which goes on without any one of them. For life."""
    image: Image = "rabbitmq:4"
    """Its image."""
    user: UserId = 999
    """Who it runs as: the image's folder /var/lib/rabbitmq must be theirs."""
    resources: TaskResources = TaskResources()
    """What it may take."""

    @model_validator(mode="after")
    def _a_majority(self) -> Self:
        if self.replicas == 2:
            raise ValueError(TWO)
        return self


class SwarmStore(Model):
    """Redis of the deployment's own: accepted requests, results, the routing table. Written to disk before it answers. Or
    another Redis, by its URL."""

    credentials_ref: CredentialsRef | None = None
    """The URL of a Redis that is there already, with its password: redis(s)://. Then none is made. For life."""
    image: Image = "redis:8"
    """Its image."""
    user: UserId = 999
    """Who it runs as: the image's folder /data must be theirs."""
    resources: TaskResources = TaskResources()
    """What it may take."""


class SwarmEntry(Model):
    """HAProxy, where requests come in."""

    image: Image = "haproxy:3.2"
    """Its image."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8437
    """The port on the nodes."""
    resources: TaskResources = TaskResources()
    """What it may take."""


class Analysis(Model):
    """What a new revision's answers must be like, once there are enough; else the one before has the requests again.

    Counted are predictions that somebody waited for, of the last ten minutes.
    """

    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """So many answers of a revision are judged by their errors, five times as many by their latency; fewer say nothing."""
    max_error_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The largest share of its answers that may be errors (5xx), unless those of the revision before are as many."""
    max_latency_ms: Annotated[int, Field(ge=1, le=600_000)] = 1000
    """The 99th percentile of its latency may be so long in any case."""
    max_latency_ratio: Annotated[float, Field(ge=1, le=1000)] = 2.0
    """Beyond that, so many times as long as that of the revision before."""


class SwarmModels(Model):
    """How models get to the workers. Up to 500 kB, packed, they travel as a config of the Swarm; larger ones through a registry,
    or from the bucket that they are kept in."""

    registry: RegistryUrl | None = None
    """Through which registry larger ones travel, such as http://10.0.0.1:5000; null: the SwarmCluster's own."""
    credentials_ref: CredentialsRef | None = None
    """What lets workers read the bucket that the daemon keeps models in (ANNEAL_MODEL_STORE=s3://…): a text in the form of
    ~/.aws/credentials, also with region and endpoint_url. Then larger models are fetched from there."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.registry is not None and self.credentials_ref is not None:
            raise ValueError(TWO_WAYS)
        return self


class Strategy(Model):
    """How requests go over from one revision to the next."""

    type: Literal["rolling", "blueGreen"] = "blueGreen"
    """blueGreen: all requests at once. rolling: by and by, as `steps` says."""
    steps: Annotated[list[Annotated[int, Field(ge=1, le=99)]], Field(min_length=1, max_length=10)] = [10, 50]
    """rolling: the new revision's shares in percent, in growing order, before it gets all of them."""
    step_seconds: Seconds = 10
    """rolling: how long each share stays."""
    bake_seconds: Seconds = 30
    """So long after it got all requests, the revision before stays ready: if the new one fails meanwhile, they go back to it."""
    analysis: Analysis = Analysis()
    """When a revision that gets requests has failed by what it answers."""


class SwarmServing(Model):
    """Services on a Docker Swarm: they outlive the daemon."""

    cluster_ref: ObjectRef
    """The SwarmCluster, in the same namespace."""
    image: Pinned
    """The serving image, by digest; `anneal image build` makes and pushes one."""
    constraints: Annotated[list[Constraint], Field(max_length=16)] = []
    """Where tasks may run."""
    web: SwarmWeb = SwarmWeb()
    """The web service."""
    workers: SwarmWorkers = SwarmWorkers()
    """The workers."""
    broker: SwarmBroker = SwarmBroker()
    """What carries requests."""
    store: SwarmStore = SwarmStore()
    """What keeps requests, results and routes."""
    entry: SwarmEntry = SwarmEntry()
    """Where requests come in."""
    models: SwarmModels = SwarmModels()
    """How models get there."""
    strategy: Strategy = Strategy()
    """How one revision gives way to the next."""
    log_driver: LogDriver = LogDriver()
    """Where the services' output goes."""
