"""What every kind shares: metadata, references, quantities, conditions, and the closed list of reasons.

Field names and rules are those of the Kubernetes API conventions (sig-architecture/api-conventions.md).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "anneal.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "anneal"

FINALIZER = f"{GROUP}/cleanup"
PAUSED_ANNOTATION = f"{GROUP}/paused"
REBUILD_ANNOTATION = f"{GROUP}/rebuild"
"""On a Machine: another value than before puts its server's image onto its disk anew, once."""
SOURCE_LABEL = f"{GROUP}/source"
SOURCE_FILE_ANNOTATION = f"{GROUP}/source-file"
INSTALLATION = "anneal-installation"
"""The ConfigMap in namespace `default` whose `data.id` tells this installation from others on the same cloud."""

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUALIFIED_NAME = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})$"
CONDITION_TYPE = r"^[A-Z][A-Za-z0-9]*$"

ObjectName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=QUALIFIED_NAME)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
AnnotationValue = Annotated[str, Field(max_length=262_144)]
Timestamp = Annotated[str, Field(max_length=40, pattern=RFC3339, json_schema_extra={"format": "date-time"})]
Counter = Annotated[int, Field(ge=0, le=2**53)]
"""A count that every JSON reader holds exactly."""


class Reason(StrEnum):
    """Every reason a condition or an event may carry. Each has a page in docs/runbooks/ of the same name."""

    # all is well
    HEALTHY = "Healthy"
    PROVISIONED = "Provisioned"
    NOT_REQUIRED = "NotRequired"
    OBSERVED = "Observed"
    CONVERGED = "Converged"
    VALID = "Valid"
    AVAILABLE = "Available"
    SUCCEEDED = "Succeeded"
    VERIFIED = "Verified"
    PREFLIGHT_PASSED = "PreflightPassed"
    # on the way
    PENDING = "Pending"
    CREATING = "Creating"
    BUILDING = "Building"
    UPDATING = "Updating"
    REPLACING = "Replacing"
    DELETING = "Deleting"
    VERIFYING = "Verifying"
    STARTING = "Starting"
    RESTARTING = "Restarting"
    FETCHING = "Fetching"
    TRAINING = "Training"
    CHECKING = "Checking"
    ROLLING_OUT = "RollingOut"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    DEPENDENCY_NOT_FOUND = "DependencyNotFound"
    # somebody said stop
    PAUSED = "Paused"
    STOPPED = "Stopped"
    SUSPENDED = "Suspended"
    AWAITS_PROMOTION = "AwaitsPromotion"
    NOT_BETTER = "NotBetter"
    BREAKER_OPEN = "BreakerOpen"
    CONFIRMATION_REQUIRED = "ConfirmationRequired"
    # the outside world refuses
    PROVIDER_UNREACHABLE = "ProviderUnreachable"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    CERTIFICATE_INVALID = "CertificateInvalid"
    FORBIDDEN = "Forbidden"
    QUOTA_EXCEEDED = "QuotaExceeded"
    RATE_LIMITED = "RateLimited"
    INVALID_CONFIGURATION = "InvalidConfiguration"
    SERVER_FAILED = "ServerFailed"
    DELETION_BLOCKED = "DeletionBlocked"
    # data, training, models, serving
    FETCH_FAILED = "FetchFailed"
    DIGEST_MISMATCH = "DigestMismatch"
    CHECKS_FAILED = "ChecksFailed"
    PROCESS_FAILED = "ProcessFailed"
    TRAINING_FAILED = "TrainingFailed"
    RESTORE_UNAVAILABLE = "RestoreUnavailable"
    MODEL_NOT_FOUND = "ModelNotFound"
    CORRUPT = "Corrupt"
    IMPORT_FAILED = "ImportFailed"
    PREFLIGHT_FAILED = "PreflightFailed"
    ROLLOUT_FAILED = "RolloutFailed"
    ROLLED_BACK = "RolledBack"
    STALLED = "Stalled"
    # a Swarm
    QUORUM_LOST = "QuorumLost"
    NODES_NOT_READY = "NodesNotReady"
    # the outside world is not what we recorded
    NOT_OURS = "NotOurs"
    DUPLICATE_EXTERNAL = "DuplicateExternal"
    EXTERNAL_NOT_FOUND = "ExternalNotFound"
    EXTERNAL_DELETED = "ExternalDeleted"
    # our own side
    INVALID_SPEC = "InvalidSpec"
    INTERNAL_ERROR = "InternalError"
    STORE_UNAVAILABLE = "StoreUnavailable"
    LEASE_LOST = "LeaseLost"
    # sources of desired state
    APPLIED = "Applied"
    PRUNED = "Pruned"
    PARSE_ERROR = "ParseError"
    SOURCE_UNREADABLE = "SourceUnreadable"


class Model(BaseModel):
    """The base of everything a user may write: camelCase outside, unknown fields refused, types strict, values frozen."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


_QUANTITY = re.compile(r"^([0-9]{1,15}(?:\.[0-9]{1,9})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")
_FACTORS = {
    None: 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50,
}  # fmt: skip


def parse_quantity(text: str) -> float:
    """Read a Kubernetes quantity ("500m", "2", "16Gi") as a plain number; ValueError if it is none."""
    if not (found := _QUANTITY.fullmatch(text)):
        raise ValueError(f'expected a quantity such as "2", "500m" or "16Gi", not {text[:40]!r}')
    return float(found[1]) * _FACTORS[found[2]]


def _quantity(text: str) -> str:
    parse_quantity(text)
    return text


Quantity = Annotated[str, Field(min_length=1, max_length=32, pattern=_QUANTITY.pattern), AfterValidator(_quantity)]


class OwnerReference(Model):
    """metav1.OwnerReference: the object goes when its owner goes."""

    api_version: Annotated[str, Field(max_length=253)]
    """API version of the owner."""
    kind: Annotated[str, Field(max_length=63)]
    """Kind of the owner."""
    name: Annotated[str, Field(max_length=253)]
    """Name of the owner, in the same namespace."""
    uid: Annotated[str, Field(max_length=64)]
    """UID of the owner. A namesake with another UID is somebody else."""
    controller: bool | None = None
    """True if the owner is the managing controller."""
    block_owner_deletion: bool | None = None
    """True if a foreground deletion of the owner waits for this object."""


class ObjectMeta(Model):
    """metav1.ObjectMeta. What is not for the user to set is set by the API server."""

    name: ObjectName | None = None
    """Unique within the namespace. Cannot be changed."""
    generate_name: Annotated[str, Field(max_length=58)] | None = None
    """A prefix from which the server makes a unique name."""
    namespace: NamespaceName | None = None
    """The namespace; "default" where none is given."""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] | None = None
    """Short key-value pairs that select objects."""
    annotations: Annotated[dict[LabelKey, AnnotationValue], Field(max_length=64)] | None = None
    """Key-value pairs for tools and people."""
    finalizers: Annotated[list[Annotated[str, Field(max_length=317)]], Field(max_length=32)] | None = None
    """The object stays, marked as deleting, until this list is empty."""
    owner_references: Annotated[list[OwnerReference], Field(max_length=32)] | None = None
    """The objects without which this one is garbage."""
    uid: Annotated[str, Field(max_length=64)] | None = None
    """Set by the server: unique in space and time."""
    resource_version: Annotated[str, Field(max_length=64)] | None = None
    """Set by the server: opaque, changes with every write."""
    generation: Counter | None = None
    """Set by the server: counts the changes of spec."""
    creation_timestamp: Timestamp | None = None
    """Set by the server."""
    deletion_timestamp: Timestamp | None = None
    """Set by the server when deletion was asked for."""
    deletion_grace_period_seconds: Counter | None = None
    """Set by the server."""
    managed_fields: Annotated[list[dict[str, Any]], Field(max_length=256)] | None = None
    """Set by the server: who set which field."""
    self_link: Annotated[str, Field(max_length=2048)] | None = None
    """Not used any more."""


class Condition(Model):
    """metav1.Condition: one fact about the object, why it is so, and since when."""

    type: Annotated[str, Field(min_length=1, max_length=63, pattern=CONDITION_TYPE)]
    """What the condition says of the object, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds. Unknown means that we could not tell."""
    reason: Annotated[str, Field(min_length=1, max_length=63, pattern=CONDITION_TYPE)]
    """One word from a closed list; docs/runbooks/ has a page for each."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """For people: what is the matter, in the words of what failed, and what happens next."""
    observed_generation: Counter | None = None
    """The generation of the spec that this was said of."""
    last_transition_time: Timestamp
    """When `status` last changed."""


class IntentRecord(Model):
    """A create that was about to be sent. Until its outcome was observed, nothing is created in its place."""

    part: Annotated[str, Field(max_length=63)]
    """The part that was to be created."""
    name: Annotated[str, Field(max_length=255)]
    """The external name that it was given."""
    time: Timestamp
    """When the intent was stored."""


class PartRecord(Model):
    """One external thing that belongs to this object."""

    name: Annotated[str, Field(max_length=63)]
    """Which part it is, such as "server" or "port/0"."""
    ref: Annotated[str, Field(max_length=255)]
    """The provider's own id."""
    deleting: bool = False
    """True once its removal was asked for: that it is gone is then no surprise."""


class FailureRecord(Model):
    """What was tried in vain for one part, so that a restart does not try it all over again."""

    part: Annotated[str, Field(max_length=63)]
    """The part that failed."""
    count: Annotated[int, Field(ge=1, le=1_000_000)]
    """How often, for this generation of the spec."""
    generation: Counter
    """The generation of the spec it failed with: a new spec starts anew."""
    time: Timestamp
    """When it last failed."""
    not_before: Timestamp
    """When it may be tried again."""
    reason: Annotated[str, Field(min_length=1, max_length=63, pattern=CONDITION_TYPE)]
    """What kind of failure it was."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """What the provider said."""


class Status(Model):
    """What the engine writes for every kind."""

    observed_generation: Counter | None = None
    """The generation of the spec that this status speaks of."""
    conditions: Annotated[
        list[Condition],
        Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = []
    """What holds and what does not, and why."""
    intents: Annotated[list[IntentRecord], Field(max_length=64)] = []
    """Creates whose outcome was not yet observed."""
    parts: Annotated[list[PartRecord], Field(max_length=64)] = []
    """The external things that belong to this object."""
    failures: Annotated[list[FailureRecord], Field(max_length=64)] = []
    """What was tried in vain."""


class Column(NamedTuple):
    """One additionalPrinterColumn of `kubectl get`; priority 1 shows with -o wide only."""

    name: str
    type: Literal["string", "integer", "number", "boolean", "date"]
    json_path: str
    description: str
    priority: int = 0


class Names(NamedTuple):
    """How a kind is called on the command line and in URLs."""

    kind: str
    plural: str
    singular: str
    short: tuple[str, ...] = ()
    namespaced: bool = True


class Rule(NamedTuple):
    """One CEL rule of the CRD. The model enforces the same in Python; one table of cases tests both."""

    path: str
    """Where the rule stands, such as "spec": `self` is the value there."""
    cel: str
    message: str


class Resource(Model):
    """The base of all kinds: four fields at the top, nothing else."""

    names: ClassVar[Names]
    columns: ClassVar[tuple[Column, ...]] = ()
    rules: ClassVar[tuple[Rule, ...]] = ()
    scales: ClassVar[bool] = False
    """Whether spec.replicas and status.replicas are also served as the scale subresource."""

    api_version: Literal["anneal.dev/v1alpha1"]
    """Group and version of this kind."""
    kind: str
    """The kind."""
    metadata: ObjectMeta
    """Name, namespace, labels, annotations, owners."""

    @classmethod
    def parse(cls, obj: dict[str, Any]) -> Self:
        """Validate a JSON-like object strictly; pydantic.ValidationError names each wrong field by its path."""
        return cls.model_validate_json(orjson.dumps(obj))

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """List (field path, message) for each change from `old` to `new` that only a new object can have."""
        return []
