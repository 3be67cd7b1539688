"""What the server says of itself: discovery, and the OpenAPI v3 documents that kubectl apply, diff and explain read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from reconciler.api.jsonvalue import Object, clone_object
from reconciler.api.objectmeta import MANAGED_FIELDS_ENTRY, OBJECT_META, OWNER_REFERENCE
from reconciler.api.resources import ResourceType

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
PATCH_TYPES = ("application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml")
STRATEGIC = "application/strategic-merge-patch+json"


# --- discovery -------------------------------------------------------------------------------------------------------


def api_versions() -> Object:
    """GET /api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    }


def api_groups(types: Iterable[ResourceType]) -> Object:
    """GET /apis: every group but the core one."""
    versions: dict[str, list[str]] = {}
    for rtype in types:
        if rtype.group and rtype.version not in versions.setdefault(rtype.group, []):
            versions[rtype.group].append(rtype.version)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, found) for name, found in versions.items()]}


def api_group(group: str, types: Iterable[ResourceType]) -> Object | None:
    """GET /apis/<group>; None if nothing of it is served."""
    found = next((g for g in api_groups(types)["groups"] if g["name"] == group), None)
    return found and {"kind": "APIGroup", "apiVersion": "v1", **found}


def _group(name: str, versions: Sequence[str]) -> Object:
    found = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def api_resources(group_version: str, types: Iterable[ResourceType]) -> Object | None:
    """GET /api/v1 and /apis/<group>/<version>: the kinds and their subresources; None if nothing of it is served."""
    served = [rtype for rtype in types if rtype.api_version == group_version]
    if not served:
        return None
    resources = [entry for rtype in served for entry in (_resource(rtype), *_subresources(rtype))]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _resource(rtype: ResourceType) -> Object:
    entry: Object = {
        "name": rtype.plural,
        "singularName": rtype.singular,
        "namespaced": rtype.namespaced,
        "kind": rtype.kind,
        "verbs": sorted(rtype.verbs),
    }
    if rtype.short:
        entry["shortNames"] = list(rtype.short)
    if rtype.categories:
        entry["categories"] = list(rtype.categories)
    if rtype.stored:
        entry["storageVersionHash"] = hashlib.sha256(f"{rtype.api_version}/{rtype.kind}".encode()).hexdigest()[:11] + "="
    return entry


def _subresources(rtype: ResourceType) -> Iterable[Object]:
    for name in rtype.subresources:
        verbs = ["update"] if name == "finalize" else ["get", "patch", "update"]
        other = {"group": "autoscaling", "version": "v1", "kind": "Scale"} if name == "scale" else {"kind": rtype.kind}
        yield {
            "name": f"{rtype.plural}/{name}",
            "singularName": "",
            "namespaced": rtype.namespaced,
            **other,
            "verbs": verbs,
        }


# --- OpenAPI v3 ------------------------------------------------------------------------------------------------------


def openapi_v3_index(types: Iterable[ResourceType]) -> Object:
    """GET /openapi/v3: where the document of each group version is. The hash lets clients keep what they have."""
    found = list(types)
    paths = {}
    for group_version in dict.fromkeys(rtype.api_version for rtype in found):
        path = _prefix(group_version).lstrip("/")
        digest = hashlib.sha256(orjson.dumps(openapi_v3(group_version, found))).hexdigest()[:32].upper()
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def openapi_v3(group_version: str, types: Iterable[ResourceType]) -> Object | None:
    """GET /openapi/v3/<api/v1 or apis/group/version>: paths and schemas; None if nothing of it is served."""
    served = [rtype for rtype in types if rtype.api_version == group_version]
    if not served:
        return None
    paths: Object = {}
    schemas: Object = dict(_SHARED)
    for rtype in served:
        schemas[_name(rtype)] = _component(rtype)
        if rtype.stored:
            schemas[f"{_name(rtype)}List"] = _list_component(rtype)
        paths |= _paths(rtype)
    return {
        "openapi": "3.0.0",
        "info": {"title": "anneal", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _prefix(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def _name(rtype: ResourceType) -> str:
    """The component's name, as Kubernetes makes it: the group's domain reversed."""
    if not rtype.group:
        return f"io.k8s.api.core.{rtype.version}.{rtype.kind}"
    if rtype.group.endswith(".k8s.io"):
        return f"io.k8s.api.{rtype.group.removesuffix('.k8s.io')}.{rtype.version}.{rtype.kind}"
    return ".".join([*reversed(rtype.group.split(".")), rtype.version, rtype.kind])


def _gvk(rtype: ResourceType, suffix: str = "") -> Object:
    return {"group": rtype.group, "version": rtype.version, "kind": rtype.kind + suffix}


def _ref(name: str) -> Object:
    return {"$ref": f"#/components/schemas/{name}"}


def _component(rtype: ResourceType) -> Object:
    schema = clone_object(rtype.schema)
    properties = schema.setdefault("properties", {})
    described = properties.get("metadata", {}).get("description") or OBJECT_META["description"]
    properties["apiVersion"] = {"type": "string", "description": f'API version of this object: "{rtype.api_version}".'}
    properties["kind"] = {"type": "string", "description": f'Kind of this object: "{rtype.kind}".'}
    properties["metadata"] = {"description": described, "allOf": [_ref(f"{META}.ObjectMeta")], "default": {}}
    schema["required"] = [name for name in schema.get("required", []) if name not in ("apiVersion", "kind", "metadata")]
    if not schema["required"]:
        del schema["required"]
    schema["x-kubernetes-group-version-kind"] = [_gvk(rtype)]
    return schema


def _list_component(rtype: ResourceType) -> Object:
    return {
        "type": "object",
        "description": f"A list of {rtype.kind} objects.",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "API version of the list."},
            "kind": {"type": "string", "description": "Kind of the list."},
            "metadata": {"description": "Where the list was taken.", "allOf": [_ref(f"{META}.ListMeta")], "default": {}},
            "items": {"type": "array", "items": _ref(_name(rtype)), "description": "The objects."},
        },
        "x-kubernetes-group-version-kind": [_gvk(rtype, "List")],
    }


def _paths(rtype: ResourceType) -> Object:
    prefix = _prefix(rtype.api_version)
    scope = "/namespaces/{namespace}" if rtype.namespaced else ""
    found: Object = {
        f"{prefix}{scope}/{rtype.plural}": _operations(rtype, {"get": "list", "post": "create", "delete": "deletecollection"})
    }
    if "get" in rtype.verbs:
        one = f"{prefix}{scope}/{rtype.plural}/{{name}}"
        found[one] = _operations(rtype, {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}, named=True)
        for name in rtype.subresources:
            if name == "status":
                found[f"{one}/status"] = _operations(rtype, {"get": "get", "put": "update", "patch": "patch"}, named=True)
    if rtype.namespaced and "list" in rtype.verbs:
        found[f"{prefix}/{rtype.plural}"] = _operations(rtype, {"get": "list"}, everywhere=True)
    return found


_ACTIONS = {
    "get": "get", "list": "list", "create": "post", "update": "put", "patch": "patch", "delete": "delete",
    "deletecollection": "deletecollection",
}  # fmt: skip


def _operations(rtype: ResourceType, methods: dict[str, str], *, named: bool = False, everywhere: bool = False) -> Object:
    parameters = [_parameter("name", "path", "string", "Name of the object.")] if named else []
    if rtype.namespaced and not everywhere:
        parameters.append(_parameter("namespace", "path", "string", "The namespace."))
    found: Object = {"parameters": parameters} if parameters else {}
    for method, verb in methods.items():
        if verb in rtype.verbs:
            found[method] = _operation(rtype, verb)
    return found


def _operation(rtype: ResourceType, verb: str) -> Object:
    answer = f"{_name(rtype)}List" if verb == "list" else f"{META}.Status" if verb.startswith("delete") else _name(rtype)
    operation: Object = {
        "tags": [f"{rtype.group or 'core'}_{rtype.version}"],
        "description": f"{verb} {rtype.kind}",
        "operationId": f"{verb}{rtype.group.split('.')[0].title() or 'Core'}{rtype.version.title()}{rtype.kind}",
        "parameters": [_PARAMETERS[name] for name in _TAKES.get(verb, ())],
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": _ref(answer)}}}},
        "x-kubernetes-action": _ACTIONS[verb],
        "x-kubernetes-group-version-kind": _gvk(rtype),
    }
    if verb in ("create", "update"):
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": _ref(_name(rtype))}}}
    elif verb == "patch":
        kinds = PATCH_TYPES if rtype.columns else (*PATCH_TYPES, STRATEGIC)
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": _ref(f"{META}.Patch")} for kind in kinds}}
    return operation


def _parameter(name: str, where: str, kind: str, description: str) -> Object:
    parameter: Object = {"name": name, "in": where, "description": description, "schema": {"type": kind, "uniqueItems": True}}
    return {**parameter, "required": True} if where == "path" else parameter


_PARAMETERS = {
    parameter["name"]: parameter
    for parameter in (
        _parameter("dryRun", "query", "string", '"All": do everything but store it.'),
        _parameter("fieldManager", "query", "string", "Who writes; becomes the owner of the fields."),
        _parameter("fieldValidation", "query", "string", "Unknown fields: Strict refuses them, Warn warns, Ignore drops them."),
        _parameter("force", "query", "boolean", "Server-side apply only: take over fields that others own."),
        _parameter("labelSelector", "query", "string", "Only objects whose labels match."),
        _parameter("fieldSelector", "query", "string", "Only objects whose fields match."),
        _parameter("limit", "query", "integer", "At most so many; the answer says how to go on."),
        _parameter("continue", "query", "string", "Where the previous answer left off."),
        _parameter("resourceVersion", "query", "string", "From when."),
        _parameter("resourceVersionMatch", "query", "string", "How resourceVersion is meant."),
        _parameter("watch", "query", "boolean", "Stream changes instead of a list."),
        _parameter("allowWatchBookmarks", "query", "boolean", "Send bookmarks in a watch."),
        _parameter("timeoutSeconds", "query", "integer", "End the watch after so long."),
        _parameter("propagationPolicy", "query", "string", "Background, Foreground or Orphan."),
        _parameter("gracePeriodSeconds", "query", "integer", "Accepted and ignored."),
    )
}
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_TAKES: dict[str, Sequence[str]] = {
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, "force"),
    "delete": ("dryRun", "propagationPolicy", "gracePeriodSeconds"),
    "deletecollection": ("dryRun", "propagationPolicy", "labelSelector", "fieldSelector"),
    "list": (
        "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "watch",
        "allowWatchBookmarks", "timeoutSeconds",
    ),
}  # fmt: skip


def _shared() -> Object:
    meta: Object = clone_object(OBJECT_META)
    fields: dict[str, Any] = meta["properties"]
    fields["ownerReferences"]["items"] = _ref(f"{META}.OwnerReference")
    fields["managedFields"]["items"] = _ref(f"{META}.ManagedFieldsEntry")
    return {
        f"{META}.ObjectMeta": meta,
        f"{META}.OwnerReference": OWNER_REFERENCE,
        f"{META}.ManagedFieldsEntry": MANAGED_FIELDS_ENTRY,
        f"{META}.ListMeta": {
            "type": "object",
            "description": "Where a list was taken, and how to go on.",
            "properties": {
                "resourceVersion": {"type": "string", "description": "The version of the whole list."},
                "continue": {"type": "string", "description": "Where to go on."},
                "remainingItemCount": {"type": "integer", "format": "int64", "description": "How many are left."},
            },
        },
        f"{META}.Patch": {"type": "object", "description": "A patch."},
        f"{META}.Status": {
            "type": "object",
            "description": "What became of a request.",
            "properties": {
                "status": {"type": "string", "description": "Success or Failure."},
                "message": {"type": "string", "description": "For people."},
                "reason": {"type": "string", "description": "In one word."},
                "code": {"type": "integer", "format": "int32", "description": "The HTTP status."},
            },
        },
    }


_SHARED = _shared()
