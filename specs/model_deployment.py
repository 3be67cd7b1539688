"""ModelDeployment: a web app and workers that serve one model, and how it changes. Names follow KServe and Argo Rollouts."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from specs.dataset import Digest
from specs.meta import Column, Counter, Model, Names, ObjectName, Quantity, Resource, Rule, Status, Timestamp
from specs.model_deployment_swarm import TWO, TWO_WAYS, Pinned, SwarmServing
from specs.references import CredentialsRef, ObjectRef

SOURCES = ("from_experiment", "model_version_ref")
PROVIDERS = ("local", "swarm")
OWN_BROKER = "cannot be honoured by the provider swarm, which brings a RabbitMQ of its own: see swarm.broker"

KEEPERS = ("broker", "store")
FOR_LIFE = "it is for life: what was accepted lies in it, and is not carried over; delete the ModelDeployment, and create it anew"


class LocalServing(Model):
    """Processes on this machine: they outlive the daemon."""

    host: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9.:-]+$")] = "127.0.0.1"
    """The address to listen on. Others than loopback make the app reachable for everybody there."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The port; null: a free one from 8437 on, kept for life."""


class FromExperiment(Model):
    """The model is the best that an Experiment finds: a better one is rolled out by itself."""

    name: ObjectName
    """The Experiment, in the same namespace."""
    min_improvement: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """By how much a new model must beat the served one, both on the newest table's held-out rows; 0: it is not worse."""
    promotion: Literal["Automatic", "Manual"] = "Automatic"
    """Manual: a better model waits for `anneal rollout promote`."""


class PredictorModel(Model):
    """Which model: exactly one of the two."""

    from_experiment: FromExperiment | None = None
    """The best of an Experiment."""
    model_version_ref: ObjectRef | None = None
    """A ModelVersion."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in SOURCES) != 1:
            raise ValueError("exactly one of fromExperiment, modelVersionRef must be set")
        return self


class WorkerLimits(Model):
    """The most that one worker may take."""

    memory: Quantity | None = None
    """Memory, for the model and what it answers; null: 2Gi, or eight times the model's files if that is more."""


class WorkerResources(Model):
    """What a worker may take."""

    limits: WorkerLimits = WorkerLimits()
    """The most."""


class Predictor(Model):
    """The workers."""

    model: PredictorModel
    """Which model they predict with."""
    min_replicas: Annotated[int, Field(ge=0, le=256)] = 1
    """How many worker processes; 0: requests that wait are answered with 503, others stay pending."""
    timeout: Annotated[int, Field(ge=1, le=600)] = 10
    """Seconds that one prediction may take."""
    resources: WorkerResources = WorkerResources()
    """What each worker may take."""


class Web(Model):
    """The web app."""

    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Web processes."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 64
    """Requests that wait in each of them at a time."""


class Broker(Model):
    """What carries requests to the workers. Nothing given: files of this machine."""

    credentials_ref: CredentialsRef
    """The broker's URL with its password: amqp(s)://, redis(s)://"""


class ServingLimits(Model):
    """What the web app takes in."""

    max_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Rows of one request."""
    max_bytes: Annotated[int, Field(ge=1024, le=1_000_000_000)] = 16_777_216
    """Bytes of one request, unpacked."""
    requests_per_second: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests of one client in each web process; null: as many as there are threads."""
    result_ttl_seconds: Annotated[int, Field(ge=10, le=2_592_000)] = 3600
    """How long an asynchronous result is kept."""


class Rollout(Model):
    """What `anneal rollout` writes. Fields of its own: no file sets them, and a file that is applied leaves them alone."""

    paused: bool = False
    """True: no other model is rolled out."""
    revision: Counter | None = None
    """Serve this revision's model again, whatever is newer."""
    promote: Digest | None = None
    """A person's yes to this very model."""


class ModelDeploymentSpec(Model):
    """The app that should run."""

    local: LocalServing | None = None
    """As processes on this machine."""
    swarm: SwarmServing | None = None
    """As services on a Docker Swarm."""
    predictor: Predictor
    """The workers and their model."""
    web: Web = Web()
    """The web app."""
    broker: Broker | None = None
    """What carries requests; null: files of this machine. The provider swarm brings a RabbitMQ of its own."""
    limits: ServingLimits = ServingLimits()
    """What the web app takes in."""
    progress_deadline_seconds: Annotated[int, Field(ge=10, le=86_400)] = 120
    """A revision that is not up by then has failed; the one before goes on."""
    revision_history_limit: Annotated[int, Field(ge=1, le=32)] = 10
    """How many revisions are remembered."""
    rollout: Rollout | None = None
    """What `anneal rollout` writes; leave it out of files."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        present = [name for name in PROVIDERS if getattr(self, name) is not None]
        if len(present) != 1:
            raise ValueError(f"exactly one provider of {', '.join(PROVIDERS)} must be set, not {len(present)}")
        if self.swarm is not None and self.broker is not None:
            raise ValueError(f"broker {OWN_BROKER}")
        return self


class RevisionStatus(Model):
    """One model that was, is or should have been served."""

    revision: Counter
    """Its number: counts up."""
    digest: Digest
    """Its model."""
    image: Pinned | None = None
    """The image that it is served with; null: this machine's own environment."""
    model_version: Annotated[str, Field(max_length=63)] | None = None
    """Its ModelVersion."""
    state: Literal["Pending", "Serving", "Superseded", "Failed"]
    """Whether it is served. A failed one is not tried again until the spec changes."""
    generation: Counter | None = None
    """The generation of the spec under which it failed."""
    reason: Literal["PreflightFailed", "RolloutFailed", "RolledBack"] | None = None
    """What failed: trying it out, starting its workers, or serving: then the one before got the requests back."""
    engine: Annotated[str, Field(max_length=63)] | None = None
    """What predicts: onnx or sklearn."""
    created_time: Timestamp | None = None
    """When it was begun."""
    served_from: Timestamp | None = None
    """Since when it got the requests; null: it never did."""
    served_until: Timestamp | None = None
    """When another one got them in its place; null: it still serves, or never did."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it was chosen, or why it failed."""


class ChallengerStatus(Model):
    """How the latest model of the Experiment compares with the served one, on the same held-out rows."""

    digest: Digest
    """The challenger."""
    model_version: Annotated[str, Field(max_length=63)] | None = None
    """Its ModelVersion."""
    against: Digest | None = None
    """The served model that it was compared with."""
    dataset_digest: Digest | None = None
    """The table whose held-out rows were used."""
    metric: Annotated[str, Field(max_length=63)] | None = None
    """What was measured."""
    score: Annotated[str, Field(max_length=63)] | None = None
    """Its score, as text."""
    incumbent_score: Annotated[str, Field(max_length=63)] | None = None
    """The served model's score, as text."""
    rows: Counter | None = None
    """On so many rows."""
    decision: Literal["Promoted", "NotBetter", "AwaitsPromotion", "Scoring"]
    """What came of it."""


class ModelDeploymentStatus(Status):
    """The app as it was last seen."""

    url: Annotated[str, Field(max_length=2048)] | None = None
    """Where the web app answers."""
    revision: Counter | None = None
    """The revision that is served."""
    model_version: Annotated[str, Field(max_length=63)] | None = None
    """Its ModelVersion."""
    digest: Digest | None = None
    """Its model."""
    replicas: Counter | None = None
    """How many workers there are."""
    ready_replicas: Counter | None = None
    """How many of them answer."""
    revisions: Annotated[list[RevisionStatus], Field(max_length=40)] = []
    """What was served, newest last."""
    challenger: ChallengerStatus | None = None
    """How the latest model compares."""
    pins: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=8)] | None = None
    """Where what keeps data is at home: broker and store, each with the id of its node."""
    homes: Annotated[dict[str, Annotated[str, Field(max_length=255)]], Field(max_length=8)] | None = None
    """The same by the names of the nodes: one that joins the Swarm again has another id."""
    resolved: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """The inputs that it was made with."""


class ModelDeployment(Resource):
    """A web app, workers and a queue that serve one model, and roll out a better one by themselves."""

    names: ClassVar[Names] = Names("ModelDeployment", "modeldeployments", "modeldeployment", ("mdep",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether it answers"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("URL", "string", ".status.url", "Where the web app answers", 1),
        Column("Revision", "integer", ".status.revision", "The revision that is served", 1),
        Column("Model", "string", ".status.modelVersion", "Its ModelVersion", 1),
        Column("Workers", "integer", ".status.readyReplicas", "Workers that answer", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "Where it answers, or the deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("spec", "[has(self.local), has(self.swarm)].filter(x, x).size() == 1",
             "exactly one provider of local, swarm must be set"),
        Rule("spec", "!(has(self.swarm) && has(self.broker))",
             f"broker {OWN_BROKER}"),
        Rule("spec.predictor.model", "[has(self.fromExperiment), has(self.modelVersionRef)].filter(x, x).size() == 1",
             "exactly one of fromExperiment, modelVersionRef must be set"),
        Rule("spec.broker.credentialsRef",
             "[has(self.file), has(self.env), has(self.secretKeyRef)].filter(x, x).size() == 1",
             "exactly one of file, env, secretKeyRef must be set"),
        *(Rule(f"spec.swarm.{name}.credentialsRef",
               "[has(self.file), has(self.env), has(self.secretKeyRef)].filter(x, x).size() == 1",
               "exactly one of file, env, secretKeyRef must be set") for name in (*KEEPERS, "models")),
        *(Rule(f"spec.swarm.{name}", "has(self.credentialsRef) == has(oldSelf.credentialsRef)", f"{name}: {FOR_LIFE}")
          for name in KEEPERS),
        Rule("spec.swarm.broker", "self.replicas != 2", TWO),
        Rule("spec.swarm.models", "!(has(self.registry) && has(self.credentialsRef))", TWO_WAYS),
        Rule("spec.swarm.broker", "self.replicas == oldSelf.replicas", f"replicas: {FOR_LIFE}"),
    )  # fmt: skip

    kind: Literal["ModelDeployment"]
    """ModelDeployment."""
    spec: ModelDeploymentSpec
    """The app that should run."""
    status: ModelDeploymentStatus | None = None
    """The app as it was last seen."""

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """Where accepted requests are kept is for life."""
        before, after = ((each.get("spec") or {}).get("swarm") or {} for each in (old, new))
        if not before or not after:
            return []
        kept = [
            (f"spec.swarm.{name}", FOR_LIFE)
            for name in KEEPERS
            if (_part(before, name).get("credentialsRef") is None) != (_part(after, name).get("credentialsRef") is None)
        ]
        if _part(before, "broker").get("replicas", 1) != _part(after, "broker").get("replicas", 1):
            kept.append(("spec.swarm.broker.replicas", FOR_LIFE))
        return kept


def _part(swarm: dict[str, Any], name: str) -> dict[str, Any]:
    return swarm.get(name) or {}
