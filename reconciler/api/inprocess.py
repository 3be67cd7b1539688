"""The Client protocol on the embedded server itself: no TLS, no HTTP, no detour through bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from reconciler.api import errors
from reconciler.api.core import Core
from reconciler.api.deletion import DeleteOptions
from reconciler.api.jsonvalue import clone_object
from reconciler.api.listing import ListOptions
from reconciler.api.resources import ResourceType
from reconciler.api.selection import Selection
from reconciler.client import ApiError, ApiUnavailable, Object, Objects, PatchType, ResourceId

PAGE = 250


class InProcessClient:
    """What it returns is the caller's own; what it is given is not changed."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def get(self, resource: ResourceId, namespace: str | None, name: str) -> Object | None:
        """Read one object as it is now; None if there is none."""
        try:
            return self._core.get(self._type(resource), namespace or "", name)
        except ApiError as e:
            if e.code == 404:
                return None
            raise _unavailable(e) from e

    async def list(
        self, resource: ResourceId, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """Read all objects and the resourceVersion of the list."""
        rtype = self._type(resource)
        try:
            found = self._core.list(rtype, ListOptions(Selection(namespace or None, labels, fields, rtype.kind)))
            return [self._core.codec.load(rtype, row) for row in found.rows], str(found.rv)
        except ApiError as e:
            raise _unavailable(e) from e

    async def pages(self, resource: ResourceId) -> AsyncIterator[Objects]:
        """Read all objects as of one moment, some hundreds at a time; others get their turn between."""
        rtype = self._type(resource)
        token = ""
        while True:
            try:
                found = self._core.list(rtype, ListOptions(Selection(None), PAGE, token))
                objects = [self._core.codec.load(rtype, row) for row in found.rows]
            except ApiError as e:
                raise _unavailable(e) from e
            yield objects
            if not (token := found.token):
                return
            await asyncio.sleep(0)

    async def versions(self, resource: ResourceId) -> dict[tuple[str, str], str]:
        """The resourceVersion of every object, by namespace and name."""
        try:
            return self._core.versions(self._type(resource))
        except ApiError as e:
            raise _unavailable(e) from e

    async def create(self, resource: ResourceId, namespace: str | None, body: Object, *, manager: str = "anneal") -> Object:
        """Create; 409 AlreadyExists if the name is taken."""
        try:
            written = await self._core.create(
                self._type(resource), namespace or "", clone_object(body), self._core.options(manager)
            )
        except ApiError as e:
            raise _unavailable(e) from e
        return written.obj

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
        if kind == "apply":  # its values go into the result as they are
            body = clone_object(body)
        options = self._core.options(manager, subresource=subresource or "", dry_run=dry_run)
        try:
            written = await self._core.patch(self._type(resource), namespace or "", name, body, kind, options, force=force)
        except ApiError as e:
            raise _unavailable(e) from e
        return written.obj

    async def delete(
        self, resource: ResourceId, namespace: str | None, name: str, *, uid: str | None = None, propagation: str = "Background"
    ) -> None:
        """Ask for deletion; a missing object is fine. With `uid`, only that very object."""
        if propagation not in ("Background", "Foreground", "Orphan"):
            raise errors.bad_request(f'propagationPolicy "{propagation[:40]}": supported values: Background, Foreground, Orphan')
        try:
            await self._core.delete(self._type(resource), namespace or "", name, DeleteOptions(propagation, uid))  # type: ignore[arg-type]
        except ApiError as e:
            if e.code != 404:
                raise _unavailable(e) from e

    async def close(self) -> None:
        """Nothing to let go of."""

    def _type(self, resource: ResourceId) -> ResourceType:
        rtype = self._core.registry.find(resource.group, resource.version, resource.plural)
        if rtype is None:
            raise errors.no_such_path()
        return rtype


def _unavailable(error: ApiError) -> ApiError:
    return ApiUnavailable(error.message) if error.code >= 500 else error
