"""What this server serves: one ResourceType per kind, ours and the built-in ones, and a registry to find them by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from reconciler.api import builtin
from reconciler.client import ResourceId
from specs.kinds import KINDS
from specs.meta import CATEGORY, GROUP, VERSION, Column, Resource

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ_VERBS = ("get", "list", "watch")
CREATE_ONLY = ("create",)


@dataclass(frozen=True, eq=False)
class ResourceType:
    """One kind: its names, its scope, what can be done with it, and the model that validates and documents it."""

    group: str
    """"" for the core group."""
    version: str
    kind: str
    plural: str
    singular: str
    model: type[BaseModel]
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()
    """Such as ("status",): then status is written there only, and nothing else is."""
    columns: tuple[Column, ...] = ()
    """The additional printer columns; empty for the built-in kinds, whose columns are in table.py."""
    sealed: bool = False
    """True if objects are encrypted in the database."""
    stored: bool = True
    """False for a question that is answered and forgotten, such as SelfSubjectAccessReview."""
    counts_generations: bool = field(default=False)
    """True if metadata.generation counts the changes of everything but metadata and status."""

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects: "v1", "anneal.dev/v1alpha1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def id(self) -> ResourceId:
        """Group, version and plural."""
        return ResourceId(self.group, self.version, self.plural)

    @property
    def qualified(self) -> str:
        """The name in messages and in the store: "machines.anneal.dev", "configmaps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        """The kind of a list of them."""
        return f"{self.kind}List"

    @property
    def has_status(self) -> bool:
        """Whether status is a subresource."""
        return "status" in self.subresources

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The structural OpenAPI v3 schema of the whole object, with defaults. Do not change it."""
        from specs.crd import schema

        return schema(self.model)

    @cached_property
    def head(self) -> bytes:
        """The constant beginning of every object's JSON, up to the value of metadata.resourceVersion."""
        return f'{{"apiVersion":"{self.api_version}","kind":"{self.kind}","metadata":{{"resourceVersion":"'.encode()


def _ours(kind: type[Resource]) -> ResourceType:
    names = kind.names
    subresources = ("status", "scale") if kind.scales else ("status",)
    return ResourceType(
        group=GROUP, version=VERSION, kind=names.kind, plural=names.plural, singular=names.singular, model=kind,
        short=names.short, categories=(CATEGORY,), namespaced=names.namespaced, subresources=subresources,
        columns=kind.columns, counts_generations=True,
    )  # fmt: skip


NAMESPACE = ResourceType(
    "", "v1", "Namespace", "namespaces", "namespace", builtin.Namespace, ("ns",), namespaced=False,
    subresources=("status",),
)  # fmt: skip
CONFIGMAP = ResourceType("", "v1", "ConfigMap", "configmaps", "configmap", builtin.ConfigMap, ("cm",))
SECRET = ResourceType("", "v1", "Secret", "secrets", "secret", builtin.Secret, sealed=True)
EVENT = ResourceType("", "v1", "Event", "events", "event", builtin.Event, ("ev",))
SERVICE = ResourceType("", "v1", "Service", "services", "service", builtin.Service, ("svc",), ("all",), verbs=READ_VERBS)
LEASE = ResourceType("coordination.k8s.io", "v1", "Lease", "leases", "lease", builtin.Lease)
CRD = ResourceType(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "customresourcedefinition",
    builtin.CustomResourceDefinition, ("crd", "crds"), ("api-extensions",), namespaced=False, verbs=READ_VERBS,
)  # fmt: skip
ACCESS_REVIEW = ResourceType(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview",
    builtin.AccessReview, namespaced=False, verbs=CREATE_ONLY, stored=False,
)  # fmt: skip
SELF_REVIEW = ResourceType(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview",
    builtin.SelfReview, namespaced=False, verbs=CREATE_ONLY, stored=False,
)  # fmt: skip

BUILT_IN = (NAMESPACE, CONFIGMAP, SECRET, EVENT, SERVICE, LEASE, CRD, ACCESS_REVIEW, SELF_REVIEW)


class Registry:
    """The kinds of one server, in their order of discovery."""

    def __init__(self, types: Iterable[ResourceType]) -> None:
        self.types = tuple(types)
        self._by_path = {(t.group, t.version, t.plural): t for t in self.types}
        self._by_kind = {(t.api_version, t.kind): t for t in self.types}
        self._by_key = {t.qualified: t for t in self.types}

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(self.types)

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        """The type at this place in the URL, or None."""
        return self._by_path.get((group, version, plural))

    def find_kind(self, api_version: str, kind: str) -> ResourceType | None:
        """The type that an object says it is of, or None."""
        return self._by_kind.get((api_version, kind))

    def find_key(self, key: str) -> ResourceType | None:
        """The type by its qualified name, as the store calls it, or None."""
        return self._by_key.get(key)


def registry(kinds: Iterable[type[Resource]] = KINDS) -> Registry:
    """The built-in kinds and ours."""
    return Registry((*BUILT_IN, *(_ours(kind) for kind in kinds)))
