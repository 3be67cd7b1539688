"""The Client protocol over HTTP, for any Kubernetes API server, by kubeconfig."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from reconciler import kubeconfig
from reconciler.client import ApiError, ApiUnavailable, Object, Objects, PatchType, ResourceId
from reconciler.kubeconfig import Access

CHUNK = 500
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
RESTARTS = 3
"""How often a list begins anew because its chunks became too old."""

_CONTENT = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",  # JSON is YAML
}


METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class HttpClient:
    """One connection pool to one API server. Nothing is tried again here: the caller knows whether that is safe."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._http: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path, context: str | None = None) -> HttpClient:
        """For one context of a kubeconfig, by default its current one. KubeconfigError if it cannot be used."""
        return cls(kubeconfig.load(path, context))

    async def get(self, resource: ResourceId, namespace: str | None, name: str) -> Object | None:
        """Read one object as it is now; None if there is none."""
        try:
            return await self._call("GET", resource.path(namespace, name))
        except ApiError as e:
            if e.code == 404:
                return None
            raise

    async def list(
        self, resource: ResourceId, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[Objects, str]:
        """Read all objects (chunked, consistent) and the resourceVersion of the list."""
        query = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        for _ in range(RESTARTS):
            try:
                return await self._chunks(resource.path(namespace), {**query, "limit": str(CHUNK)})
            except ApiError as e:
                if e.code != 410:
                    raise
        return await self._chunks(resource.path(namespace), query)

    async def pages(self, resource: ResourceId) -> AsyncIterator[Objects]:
        """Read all objects as of one moment, a chunk at a time. ApiError 410 if that takes too long."""
        async for page in self._pages(resource.path(None), {"limit": str(CHUNK)}):
            yield _items(page)

    async def versions(self, resource: ResourceId) -> dict[tuple[str, str], str]:
        """The resourceVersion of every object, by namespace and name; only metadata travels."""
        page = await self._call("GET", resource.path(None), accept=METADATA_ONLY)
        metas = [item["metadata"] for item in page.get("items") or ()]
        return {(meta.get("namespace") or "", meta["name"]): meta["resourceVersion"] for meta in metas}

    async def _chunks(self, path: str, query: Mapping[str, str]) -> tuple[Objects, str]:
        items: Objects = []
        version = ""
        async for page in self._pages(path, query):
            items += _items(page)
            version = str(page["metadata"].get("resourceVersion", ""))
        return items, version

    async def _pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Object]:
        token = ""
        while True:
            page = await self._call("GET", path, {**query, "continue": token} if token else query)
            yield page
            if not (token := page["metadata"].get("continue") or ""):
                return

    async def create(self, resource: ResourceId, namespace: str | None, body: Object, *, manager: str = "anneal") -> Object:
        """Create; 409 AlreadyExists if the name is taken."""
        return await self._call("POST", resource.path(namespace), {"fieldManager": manager}, body)

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
        query = {"fieldManager": manager}
        if force and kind == "apply":
            query["force"] = "true"
        if dry_run:
            query["dryRun"] = "All"
        return await self._call("PATCH", resource.path(namespace, name, subresource), query, body, _CONTENT[kind])

    async def delete(
        self, resource: ResourceId, namespace: str | None, name: str, *, uid: str | None = None, propagation: str = "Background"
    ) -> None:
        """Ask for deletion; a missing object is fine. With `uid`, only that very object."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", resource.path(namespace, name), {}, body)
        except ApiError as e:
            if e.code != 404:
                raise

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, content: str = "application/json",
        accept: str = "application/json",
    ) -> Object:  # fmt: skip
        headers = {"Accept": accept}
        data = None
        if body is not None:
            data, headers["Content-Type"] = orjson.dumps(body), content
        try:
            if token := self._access.bearer():
                headers["Authorization"] = f"Bearer {token}"
            request = self._session().request(
                method, self._access.server + path, params=query or {}, data=data, headers=headers,
                server_hostname=self._access.server_name,
            )  # fmt: skip
            async with request as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as e:
            raise ApiUnavailable(f"cannot {method} {path}: {str(e) or type(e).__name__}; whether it took place is unknown") from e
        return _answer(response.status, raw, f"{method} {path}")

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=READ_SECONDS, sock_connect=CONNECT_SECONDS)
            context = self._access.context()
            connector = aiohttp.TCPConnector(ssl=context if context is not None else True)
            self._http = aiohttp.ClientSession(
                timeout=timeout, connector=connector, headers={"User-Agent": "anneal"}, raise_for_status=False
            )
        return self._http


def _answer(code: int, raw: bytes, what: str) -> Object:
    try:
        value = orjson.loads(raw)
    except ValueError:
        value = None
    if code < 400 and isinstance(value, dict):
        return value
    status = value if isinstance(value, dict) else {}
    message = status.get("message") or f"cannot {what}: the server answered {code}: {raw[:200].decode(errors='replace')}"
    if code >= 500 or code < 400:  # an answer that cannot be read says nothing either
        raise ApiUnavailable(message)
    raise ApiError(code, status.get("reason") or "Unknown", message, status)


def _items(page: Object) -> Objects:
    """What stands in a list names neither its kind nor its version."""
    kind, api_version = str(page.get("kind", "")).removesuffix("List"), page.get("apiVersion")
    return [{"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or ()]
