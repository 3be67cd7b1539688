"""The narrow waist to any Kubernetes API: what the engine, the sources and the informer ask of it.

Two implementations pass the same contract suite: HttpClient here (any API server, by kubeconfig) and InProcessClient in
reconciler/api (the embedded server, without the detour over TLS).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from specs.meta import GROUP, VERSION

Object = dict[str, Any]
Objects = list[Object]
PatchType = Literal["merge", "json", "apply"]


@dataclass(frozen=True, slots=True)
class ResourceId:
    """Group, version and plural: what stands in the URL."""

    group: str
    version: str
    plural: str

    @property
    def prefix(self) -> str:
        """The URL prefix of the group and version."""
        return f"/api/{self.version}" if not self.group else f"/apis/{self.group}/{self.version}"

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection or of one object."""
        parts = [self.prefix]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


CONFIGMAPS = ResourceId("", "v1", "configmaps")
EVENTS = ResourceId("", "v1", "events")
SECRETS = ResourceId("", "v1", "secrets")
LEASES = ResourceId("coordination.k8s.io", "v1", "leases")


def ours(plural: str) -> ResourceId:
    """One of anneal's own kinds, by its plural."""
    return ResourceId(GROUP, VERSION, plural)


class ApiError(Exception):
    """The API server said no. `status` is the metav1.Status it answered with."""

    def __init__(self, code: int, reason: str, message: str, status: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.status = status or {}


class ApiUnavailable(ApiError):
    """No answer, or a 5xx: whether a write took place is unknown."""

    def __init__(self, message: str) -> None:
        super().__init__(503, "ServiceUnavailable", message)


class Client(Protocol):
    """What we ask of an API server. Every method raises ApiError; a write that got no answer raises ApiUnavailable."""

    async def get(self, resource: ResourceId, namespace: str | None, name: str) -> Object | None:
        """Read one object as it is now; None if there is none."""

    async def list(
        self, resource: ResourceId, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """Read all objects (chunked, consistent) and the resourceVersion of the list."""

    def pages(self, resource: ResourceId) -> AsyncIterator[Objects]:
        """Read all objects as of one moment, some hundreds at a time: for whoever needs to see all, but not all at once.

        ApiError 410 if the moment is too long ago before the end is reached: begin again.
        """

    async def versions(self, resource: ResourceId) -> dict[tuple[str, str], str]:
        """Map (namespace, name) of every object to its resourceVersion, as cheaply as can be: the informer audits itself by it.

        In process: one query of columns, no bodies. Over HTTP: PartialObjectMetadataList.
        """

    async def create(self, resource: ResourceId, namespace: str | None, body: Object, *, manager: str = "anneal") -> Object:
        """Create; 409 AlreadyExists if the name is taken."""

    async def patch(
        self,
        resource: ResourceId,
        namespace: str | None,
        name: str,
        body: Any,
        kind: PatchType = "merge",
        *,
        subresource: str | None = None,
        manager: str = "anneal",
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Patch; `apply` is server-side apply. 409 if a metadata.resourceVersion in the body is not the current one."""

    async def delete(
        self, resource: ResourceId, namespace: str | None, name: str, *, uid: str | None = None, propagation: str = "Background"
    ) -> None:
        """Ask for deletion; a missing object is fine. With `uid`, only that very object."""

    async def close(self) -> None:
        """Let go of connections."""
