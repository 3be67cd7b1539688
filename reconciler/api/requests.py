"""Reading a request: path, query, Accept header, body. Whatever cannot be read is an ApiError 400, 404, 413 or 415."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
import yaml
from aiohttp import web

from reconciler.api import errors
from reconciler.api.admission import FieldValidation
from reconciler.api.jsonvalue import MAX_DEPTH, too_deep
from reconciler.api.listing import ListOptions
from reconciler.api.protobuf import ProtobufError, decode
from reconciler.api.resources import Registry, ResourceType
from reconciler.api.selection import Selection
from reconciler.api.watch import OBJECTS, Form
from reconciler.api.watchstream import WatchOptions

PROTOBUF = "application/vnd.kubernetes.protobuf"
PATCHES = {
    "application/merge-patch+json": "merge",
    "application/json-patch+json": "json",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
    "application/apply-patch+cbor": "",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path is about. Without a name: the collection, of one namespace or (None) of all."""

    rtype: ResourceType
    namespace: str | None
    name: str
    subresource: str


def parse_path(registry: Registry, path: str) -> Target | None:
    """/api/v1/… or /apis/<group>/<version>/… ; None if it is neither, or of a kind that is not served."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) > 2 and not (rest[2] == "status" and group == ""):
        namespace, rest = rest[1], rest[2:]
    rtype = registry.find(group, version, rest[0])
    if rtype is None or len(rest) > 3 or (namespace is not None and not rtype.namespaced) or "" in rest:
        return None
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if (subresource and subresource not in rtype.subresources) or (name and rtype.namespaced and namespace is None):
        return None
    return Target(rtype, namespace, name, subresource)


def form_of(accept: str, query: Mapping[str, str]) -> Form:
    """In which form the client wants objects: the first of its Accept header that this server can make."""
    for part in accept.split(","):
        media, *parameters = (item.strip() for item in part.split(";"))
        if media in ("application/json", "*/*", "application/*"):
            wanted = next((p[3:] for p in parameters if p.startswith("as=")), "")
            if wanted == "Table":
                include = query.get("includeObject", "Metadata")
                if include not in ("Metadata", "Object", "None"):
                    raise errors.bad_request(f'includeObject "{include[:40]}": supported values: "Metadata", "Object", "None"')
                return Form("Table", cast(Any, include))
            if wanted in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                return Form("PartialObjectMetadata")
            if not wanted:
                return OBJECTS
    return OBJECTS


def selection_of(target: Target, query: Mapping[str, str]) -> Selection:
    """The namespace and the selectors."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if target.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={target.name}")))
    return Selection(target.namespace if target.rtype.namespaced else None, labels, fields, target.rtype.kind)


def list_options(target: Target, query: Mapping[str, str]) -> ListOptions:
    """For a GET of a collection."""
    return ListOptions(
        selection_of(target, query),
        limit=max(_number(query, "limit") or 0, 0),
        token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
    )


def watch_options(target: Target, query: Mapping[str, str], form: Form) -> WatchOptions:
    """For a GET with watch=true."""
    initial = query.get("sendInitialEvents")
    return WatchOptions(
        selection_of(target, query),
        resource_version=query.get("resourceVersion", ""),
        bookmarks=is_true(query.get("allowWatchBookmarks")),
        initial_events=None if initial is None else is_true(initial),
        seconds=_number(query, "timeoutSeconds") or None,
        form=form,
    )


def is_true(text: str | None) -> bool:
    """A flag of the query, as Kubernetes reads them: anything but nothing, 0 and false."""
    return text is not None and text.lower() not in ("", "0", "false")


def dry_run(query: Mapping[str, str]) -> bool:
    """Whether nothing is to be stored."""
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        raise errors.bad_request(f'dryRun "{value[:40]}": supported values: "All"')
    return value == "All"


def field_validation(query: Mapping[str, str]) -> FieldValidation | None:
    """What is to be done about unknown fields."""
    value = query.get("fieldValidation", "")
    if value not in ("", "Strict", "Warn", "Ignore"):
        raise errors.bad_request(f'fieldValidation "{value[:40]}": supported values: "Ignore", "Warn", "Strict"')
    return cast(Any, value) or None


def manager_of(request: web.Request) -> str:
    """Who writes: fieldManager, else the name of the program."""
    name = request.query.get("fieldManager") or request.headers.get("User-Agent", "").split("/")[0] or "unknown"
    if len(name) > 128 or not name.isprintable():
        raise errors.bad_request("fieldManager: at most 128 printable characters are allowed")
    return name


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 18:
        raise errors.bad_request(f'{name} "{text[:40]}" is no number')
    return int(text)


# --- bodies ----------------------------------------------------------------------------------------------------------


async def read_body(request: web.Request, limit: int, seconds: float) -> bytes:
    """The whole body; 413 if it is longer than `limit`, 408 if it does not arrive in time."""
    if (request.content_length or 0) > limit:
        raise errors.too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError as e:
        raise errors.status_error(408, "Timeout", f"the body of the request did not arrive within {seconds:g} s") from e
    except web.HTTPRequestEntityTooLarge as e:
        raise errors.too_large(limit) from e


def read_value(body: bytes, media: str) -> Any:
    """The body as a value."""
    if media == PROTOBUF:
        try:
            return decode(body)
        except ProtobufError as e:
            raise errors.unsupported(f"{media}: {e}", ("application/json", "application/yaml")) from e
    try:
        value = orjson.loads(body)
    except ValueError as e:
        if "yaml" not in media:
            raise errors.bad_request(f"couldn't get version/kind; json parse error: {str(e)[:200]}") from e
        value = _yaml(body)
    if too_deep(value):
        raise errors.bad_request(f"cannot read the body: it nests deeper than {MAX_DEPTH} levels")
    return value


def read_object(body: bytes, media: str) -> dict[str, Any]:
    """The body as an object."""
    value = read_value(body, media)
    if not isinstance(value, dict):
        raise errors.bad_request("cannot read the body: it is no object")
    return value


class _Loader(yaml.CSafeLoader):
    """Refuses what JSON cannot say: the same key twice, NaN, infinities."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As always, but for keys that stand there twice."""
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands there twice", node.start_mark)
        return mapping

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """As always, but for what is no number."""
        value = float(super().construct_yaml_float(node))
        if not math.isfinite(value):
            raise yaml.constructor.ConstructorError(None, None, f"{node.value} is not a number", node.start_mark)
        return value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _yaml(body: bytes) -> Any:
    depth = 0
    try:
        for event in yaml.parse(body, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # deeper ones overflow the stack of the C parser, and that is the end of the process
                raise errors.bad_request(f"cannot read the body: it nests deeper than {MAX_DEPTH} levels")
            if isinstance(event, yaml.AliasEvent):  # a few of them can stand for gigabytes
                raise errors.bad_request("cannot read the body: YAML aliases are refused; write the value out")
        # Through JSON and back: dates become text, keys become strings.
        return orjson.loads(orjson.dumps(yaml.load(body, Loader=_Loader), option=orjson.OPT_NON_STR_KEYS))  # noqa: S506 - it is the safe one
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as e:
        raise errors.bad_request(f"cannot read the body: {str(e)[:200]}") from e
