"""The few built-in kinds that kubectl, kopf and anneal itself need, as models like any other kind.

Looser than our own kinds where Kubernetes is loose: names may hold dots, and what only other controllers use is not modelled
but kept (`x-kubernetes-preserve-unknown-fields`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from specs.meta import DNS_LABEL, DNS_SUBDOMAIN, Model, ObjectMeta

SubdomainName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
FreeName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^/%]+$")]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
Base64 = Annotated[str, Field(max_length=2_000_000, pattern=r"^[A-Za-z0-9+/\s]*={0,2}\s*$", json_schema_extra={"format": "byte"})]
MicroTime = Annotated[str, Field(max_length=40)]
Text = Annotated[str, Field(max_length=2_000_000)]
Word = Annotated[str, Field(max_length=1024)]


class Loose(Model):
    """A part of a built-in object that may hold more than is modelled here."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})


class SubdomainMeta(ObjectMeta):
    """ObjectMeta whose name may hold dots."""

    name: SubdomainName | None = None
    """Unique within the namespace. Cannot be changed."""
    generate_name: Annotated[str, Field(max_length=253)] | None = None
    """A prefix from which the server makes a unique name."""


class FreeMeta(ObjectMeta):
    """ObjectMeta whose name is any path segment."""

    name: FreeName | None = None
    """Unique within the namespace. Cannot be changed."""
    generate_name: Annotated[str, Field(max_length=253)] | None = None
    """A prefix from which the server makes a unique name."""


class NamespaceMeta(ObjectMeta):
    """ObjectMeta of what is in no namespace."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)] | None = None
    """Unique. Cannot be changed."""


class BuiltIn(Model):
    """The base of the built-in kinds."""

    kind: Word
    """The kind."""


class NamespaceSpec(Model):
    """What holds a namespace."""

    finalizers: Annotated[list[Word], Field(max_length=32)] | None = None
    """Must be empty before the namespace goes."""


class NamespaceStatus(Loose):
    """Whether a namespace is on its way out."""

    phase: Literal["Active", "Terminating"] | None = None
    """Active, or Terminating while its content is deleted."""


class Namespace(BuiltIn):
    """A scope for names."""

    api_version: Literal["v1"]
    """v1."""
    metadata: NamespaceMeta
    """Name, labels, annotations."""
    spec: NamespaceSpec | None = None
    """What holds it."""
    status: NamespaceStatus | None = None
    """Whether it is on its way out."""


class ConfigMap(BuiltIn):
    """Plain configuration."""

    api_version: Literal["v1"]
    """v1."""
    metadata: SubdomainMeta
    """Name, labels, annotations."""
    data: dict[DataKey, Text] | None = None
    """Text by key."""
    binary_data: dict[DataKey, Base64] | None = None
    """Bytes by key, in base64."""
    immutable: bool | None = None
    """True if the data can no longer be changed."""

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """Nothing of an immutable one changes."""
        return _immutable_data(old, new, ("data", "binaryData"))


class Secret(BuiltIn):
    """Secret values; encrypted in the database."""

    api_version: Literal["v1"]
    """v1."""
    metadata: SubdomainMeta
    """Name, labels, annotations."""
    data: dict[DataKey, Base64] | None = None
    """Bytes by key, in base64."""
    string_data: dict[DataKey, Text] | None = None
    """Text by key; write-only, merged into data."""
    type: Word | None = "Opaque"
    """What it is for."""
    immutable: bool | None = None
    """True if the data can no longer be changed."""

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """The type is for life, and nothing of an immutable one changes."""
        refused = _immutable_data(old, new, ("data",))
        if old.get("type", "Opaque") != new.get("type", "Opaque"):
            refused.append(("type", "field is immutable"))
        return refused


def _immutable_data(old: dict[str, Any], new: dict[str, Any], fields: tuple[str, ...]) -> list[tuple[str, str]]:
    if not old.get("immutable"):
        return []
    message = "field is immutable when `immutable` is set"
    refused = [(f, message) for f in fields if (old.get(f) or {}) != (new.get(f) or {})]
    return refused if new.get("immutable") else [("immutable", message), *refused]


class ObjectReference(Model):
    """Which object is spoken of."""

    api_version: Word | None = None
    """Its API version."""
    kind: Word | None = None
    """Its kind."""
    namespace: Word | None = None
    """Its namespace."""
    name: Word | None = None
    """Its name."""
    uid: Word | None = None
    """Its UID."""
    resource_version: Word | None = None
    """Its resourceVersion at the time."""
    field_path: Word | None = None
    """Which part of it."""


class EventSource(Model):
    """Who says it."""

    component: Word | None = None
    """The component."""
    host: Word | None = None
    """The host it runs on."""


class EventSeries(Model):
    """How often it was said."""

    count: int | None = None
    """How often."""
    last_observed_time: MicroTime | None = None
    """When last."""


class Event(BuiltIn):
    """Something that happened to an object. Kept for an hour."""

    api_version: Literal["v1"]
    """v1."""
    metadata: FreeMeta
    """Name, labels, annotations."""
    involved_object: ObjectReference
    """The object it happened to."""
    reason: Word | None = None
    """Why, in one word."""
    message: Annotated[str, Field(max_length=32_768)] | None = None
    """What, for people."""
    source: EventSource | None = None
    """Who says it."""
    first_timestamp: MicroTime | None = None
    """When it was first seen."""
    last_timestamp: MicroTime | None = None
    """When it was last seen."""
    count: int | None = None
    """How often it was seen."""
    type: Word | None = None
    """Normal or Warning."""
    event_time: MicroTime | None = None
    """When it was seen."""
    series: EventSeries | None = None
    """How often it was said."""
    action: Word | None = None
    """What was done or failed."""
    related: ObjectReference | None = None
    """Another object that has to do with it."""
    reporting_component: Word | None = None
    """Which controller says it."""
    reporting_instance: Word | None = None
    """Which instance of it."""


class LeaseSpec(Model):
    """Who holds it, and for how long."""

    holder_identity: Word | None = None
    """Who holds it."""
    lease_duration_seconds: int | None = None
    """How long it holds without being renewed."""
    acquire_time: MicroTime | None = None
    """When it was acquired."""
    renew_time: MicroTime | None = None
    """When it was last renewed."""
    lease_transitions: int | None = None
    """How often the holder changed."""
    strategy: Word | None = None
    """How the holder is chosen."""
    preferred_holder: Word | None = None
    """Who should hold it."""


class Lease(BuiltIn):
    """A right that one holder has at a time."""

    api_version: Literal["coordination.k8s.io/v1"]
    """coordination.k8s.io/v1."""
    metadata: SubdomainMeta
    """Name, labels, annotations."""
    spec: LeaseSpec | None = None
    """Who holds it."""


class Service(BuiltIn):
    """A name for a network service. There are none here: `kubectl cluster-info` and `get all` ask for them all the same."""

    api_version: Literal["v1"]
    """v1."""
    metadata: SubdomainMeta
    """Name, labels, annotations."""
    spec: dict[str, Any] | None = Field(default=None, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    """Where it leads."""


class CustomResourceDefinition(BuiltIn):
    """A kind of this server, as Kubernetes would be told of it. Read-only here: generated from the models."""

    api_version: Literal["apiextensions.k8s.io/v1"]
    """apiextensions.k8s.io/v1."""
    metadata: SubdomainMeta
    """Name, labels, annotations."""
    spec: dict[str, Any] = Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    """Names, scope, versions, schemas."""
    status: dict[str, Any] | None = Field(default=None, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    """Whether it is served."""


class AccessReview(BuiltIn):
    """May I? Whoever holds the token may do everything."""

    api_version: Literal["authorization.k8s.io/v1"]
    """authorization.k8s.io/v1."""
    metadata: FreeMeta | None = None
    """Not used."""
    spec: dict[str, Any] = Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    """What is asked."""
    status: dict[str, Any] | None = Field(default=None, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    """The answer."""


class SelfReview(BuiltIn):
    """Who am I?"""

    api_version: Literal["authentication.k8s.io/v1"]
    """authentication.k8s.io/v1."""
    metadata: FreeMeta | None = None
    """Not used."""
    status: dict[str, Any] | None = Field(default=None, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    """The answer."""
