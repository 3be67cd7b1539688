"""HTTP ↔ verbs: one handler for everything under /api and /apis, the discovery documents, OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import orjson
from aiohttp import web

from reconciler.api import errors, openapi, requests, scaling
from reconciler.api.core import Core, Written
from reconciler.api.deletion import DeleteOptions, read_options
from reconciler.api.listing import ListOptions
from reconciler.api.requests import Target
from reconciler.api.resources import ACCESS_REVIEW, ResourceType
from reconciler.api.settings import ApiSettings
from reconciler.api.watch import Form, Hub, as_table, metadata_only, shaped
from reconciler.api.watchstream import stream
from reconciler.client import ApiError
from reconciler.metrics import METRICS

Handler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]
JSON = "application/json"


class Routes:
    """The handlers of one server."""

    def __init__(self, core: Core, hub: Hub, settings: ApiSettings, git_version: str) -> None:
        self.core = core
        self.hub = hub
        self.settings = settings
        self.git_version = git_version
        self._documents: dict[str, bytes | None] = {}
        self._methods: dict[str, Handler] = {
            "GET": self._read, "POST": self._create, "PUT": self._replace, "PATCH": self._patch, "DELETE": self._delete,
        }  # fmt: skip

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request of the Kubernetes API."""
        target = requests.parse_path(self.core.registry, request.path)
        if target is None:
            return self._document(request)
        handler = self._methods.get(request.method)
        if handler is None or not self._allowed(request, target):
            raise errors.not_allowed()
        response = await (self._scale if target.subresource == "scale" else handler)(request, target)
        METRICS.api_requests.labels(request.method, target.rtype.plural, str(response.status)).inc()
        return response

    def _allowed(self, request: web.Request, target: Target) -> bool:
        verbs, named = target.rtype.verbs, bool(target.name)
        wanted = {
            "GET": "get" if named else "list", "POST": "create", "PUT": "update", "PATCH": "patch",
            "DELETE": "delete" if named else "deletecollection",
        }[request.method]  # fmt: skip
        return (
            wanted in verbs
            and (named or request.method in ("GET", "POST", "DELETE"))
            and not (named and request.method == "POST")
        )

    # --- reads --------------------------------------------------------------------------------------------------------

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        form = requests.form_of(request.headers.get("Accept", ""), query)
        if requests.is_true(query.get("watch")):
            return await self._watch(request, target, form)
        if target.name:
            body = self.core.get_body(target.rtype, target.namespace or "", target.name)
            return _json(shaped(target.rtype, body, form))
        return _json(self._list(target.rtype, requests.list_options(target, query), form))

    def _list(self, rtype: ResourceType, options: ListOptions, form: Form) -> bytes:
        found = self.core.list(rtype, options)
        bodies = [self.core.codec.body(rtype, *row) for row in found.rows]
        metadata: dict[str, Any] = {"resourceVersion": str(found.rv)}
        if found.token:
            metadata["continue"] = found.token
        if found.remaining is not None:
            metadata["remainingItemCount"] = found.remaining
        if form.kind == "Table":
            objects = map(orjson.loads, bodies)  # one at a time: a row needs little of its object
            more = {"continue_": found.token, "remaining": found.remaining}
            return orjson.dumps(as_table(rtype, objects, form.include, str(found.rv), **more))
        kind, api_version = rtype.list_kind, rtype.api_version
        if form.kind == "PartialObjectMetadata":
            bodies = [orjson.dumps(metadata_only(orjson.loads(body))) for body in bodies]
            kind, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})
        return b'%b,"items":[%b]}' % (head[:-1], b",".join(bodies))

    async def _watch(self, request: web.Request, target: Target, form: Form) -> web.StreamResponse:
        def cut() -> None:
            if request.transport is not None:
                request.transport.abort()

        options = requests.watch_options(target, request.query, form)
        response = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        async with aclosing(stream(self.core, self.hub, target.rtype, options, self.settings, cut)) as chunks:
            async for lines in chunks:
                if lines:
                    await response.write(lines)
        await response.write_eof()
        return response

    # --- writes -------------------------------------------------------------------------------------------------------

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        rtype = target.rtype
        obj = requests.read_object(await self._body(request), request.content_type)
        if not rtype.stored:
            return _json(orjson.dumps(_answer(rtype, obj)), 201)
        namespace = target.namespace or ""
        if rtype.namespaced and not namespace:
            raise errors.not_allowed()
        options = self._options(request, target)
        return self._written(await self.core.create(rtype, namespace, obj, options), request, rtype, options.warnings)

    async def _replace(self, request: web.Request, target: Target) -> web.StreamResponse:
        obj = requests.read_object(await self._body(request), request.content_type)
        options = self._options(request, target)
        written = await self.core.replace(target.rtype, target.namespace or "", target.name, obj, options)
        return self._written(written, request, target.rtype, options.warnings)

    async def _patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind = requests.PATCHES.get(request.content_type)
        if not kind:
            raise errors.unsupported(request.content_type, (media for media, known in requests.PATCHES.items() if known))
        body = requests.read_value(await self._body(request), request.content_type)
        options = self._options(request, target)
        force = requests.is_true(request.query.get("force"))
        if kind == "apply" and not request.query.get("fieldManager"):
            raise errors.bad_request(
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            )
        written = await self.core.patch(
            target.rtype, target.namespace or "", target.name, body, cast(Any, kind), options, force=force
        )
        return self._written(written, request, target.rtype, options.warnings)

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        raw = await self._body(request)
        body = requests.read_object(raw, request.content_type) if raw else {}
        options = read_options(body, dict(request.query))
        if not target.name:
            return await self._delete_collection(request, target, options)
        if target.subresource:
            raise errors.not_allowed()
        written = await self.core.delete(target.rtype, target.namespace or "", target.name, options)
        return self._written(written, request, target.rtype, [])

    async def _delete_collection(self, request: web.Request, target: Target, options: DeleteOptions) -> web.StreamResponse:
        rtype = target.rtype
        found = self.core.list(rtype, requests.list_options(target, request.query))
        for row in found.rows:
            try:
                await self.core.delete(rtype, row.key.namespace, row.key.name, options)
            except ApiError as e:
                if e.code != 404:
                    raise
        bodies = b",".join(self.core.codec.body(rtype, *row) for row in found.rows)
        head = orjson.dumps(
            {"kind": rtype.list_kind, "apiVersion": rtype.api_version, "metadata": {"resourceVersion": str(found.rv)}}
        )
        return _json(b'%b,"items":[%b]}' % (head[:-1], bodies))

    async def _scale(self, request: web.Request, target: Target) -> web.Response:
        """GET, PUT or PATCH of how many; what it changes is the object, for its own rules to judge."""
        rtype, namespace, name = target.rtype, target.namespace or "", target.name
        if request.method == "DELETE":
            raise errors.not_allowed()
        if request.method == "GET":
            return _json(orjson.dumps(scaling.scale_of(self.core.get(rtype, namespace, name))))
        kind = "put" if request.method == "PUT" else requests.PATCHES.get(request.content_type, "")
        if kind not in ("put", "merge", "json"):
            raise errors.unsupported(request.content_type, scaling.PATCHES)
        raw = await self._body(request)
        if kind == "put":
            scale = requests.read_object(raw, request.content_type)
            change = partial(scaling.replaced, rtype, scale=scale)
        else:
            change = partial(scaling.patched, rtype, body=requests.read_value(raw, request.content_type), kind=kind)
        options = self.core.options(requests.manager_of(request), dry_run=requests.dry_run(request.query))
        written = await self.core.edit(rtype, namespace, name, change, options)
        return _json(orjson.dumps(scaling.scale_of(written.obj)))

    async def _body(self, request: web.Request) -> bytes:
        return await requests.read_body(request, self.settings.body_bytes, self.settings.body_seconds)

    def _options(self, request: web.Request, target: Target) -> Any:
        return self.core.options(
            requests.manager_of(request),
            subresource=target.subresource,
            field_validation=requests.field_validation(request.query),
            dry_run=requests.dry_run(request.query),
        )

    def _written(self, written: Written, request: web.Request, rtype: ResourceType, warnings: list[str]) -> web.Response:
        if written.gone and not written.body:
            return _json(orjson.dumps(written.obj))
        form = requests.form_of(request.headers.get("Accept", ""), request.query)
        response = _json(shaped(rtype, written.body, form), 201 if written.created else 200)
        for text in warnings:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{escaped}"')
        return response

    # --- documents ----------------------------------------------------------------------------------------------------

    def _document(self, request: web.Request) -> web.Response:
        """Discovery and OpenAPI: made when first asked for."""
        path = request.path.rstrip("/")
        if path not in self._documents:
            document = self._make_document(path)
            if document is None:
                raise errors.no_such_path()
            self._documents[path] = orjson.dumps(document)
        if request.method not in ("GET", "HEAD"):
            raise errors.not_allowed()
        body = self._documents[path]
        assert body is not None
        return _json(body)

    def _make_document(self, path: str) -> dict[str, Any] | None:
        types = self.core.registry.types
        match path.strip("/").split("/"):
            case ["api"]:
                return openapi.api_versions()
            case ["apis"]:
                return openapi.api_groups(types)
            case ["apis", group]:
                return openapi.api_group(group, types)
            case ["api", version]:
                return openapi.api_resources(version, types)
            case ["apis", group, version]:
                return openapi.api_resources(f"{group}/{version}", types)
            case ["openapi", "v3"]:
                return openapi.openapi_v3_index(types)
            case ["openapi", "v3", "api", version]:
                return openapi.openapi_v3(version, types)
            case ["openapi", "v3", "apis", group, version]:
                return openapi.openapi_v3(f"{group}/{version}", types)
            case ["version"]:
                return version_document(self.git_version)
        return None


def version_document(git_version: str) -> dict[str, Any]:
    """GET /version."""
    major, minor = git_version.lstrip("v").split(".")[:2]
    return {
        "major": major, "minor": minor, "gitVersion": git_version, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "CPython", "platform": "python/any",
    }  # fmt: skip


def _answer(rtype: ResourceType, question: dict[str, Any]) -> dict[str, Any]:
    """Whoever holds the token may do everything."""
    if rtype is ACCESS_REVIEW:
        status: dict[str, Any] = {"allowed": True, "reason": "whoever holds the token may do everything"}
    else:
        status = {"userInfo": {"username": "anneal", "groups": ["system:masters", "system:authenticated"]}}
    return {**question, "apiVersion": rtype.api_version, "kind": rtype.kind, "status": status}


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
