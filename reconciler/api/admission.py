"""What happens to an object between a request and the database. Pure: values in, the object to store or an ApiError out.

In Kubernetes' order: identity, what only the server sets, subresources kept apart, unknown fields, defaults, validation,
immutability, generation, managedFields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from reconciler.api import errors, metadata, validation
from reconciler.api.jsonvalue import same
from reconciler.api.managed import track
from reconciler.api.resources import NAMESPACE, SECRET, ResourceType
from reconciler.api.validation import Cause

Object = dict[str, Any]
FieldValidation = Literal["Strict", "Warn", "Ignore"]


@dataclass(slots=True)
class Options:
    """How a write was asked for."""

    manager: str
    now: str
    """RFC 3339, seconds."""
    uid: str = ""
    """The UID for a new object."""
    subresource: str = ""
    field_validation: FieldValidation | None = None
    """None: Strict for our own kinds, Warn for the built-in ones."""
    dry_run: bool = False
    applied: bool = False
    """True if managedFields were written already, by server-side apply."""
    warnings: list[str] = field(default_factory=list)
    """What the answer warns of; filled here."""


def for_create(rtype: ResourceType, obj: Object, namespace: str, options: Options) -> Object:
    """The object to store for a create. `obj` is changed."""
    _check_type(rtype, obj)
    meta = metadata_of(obj)
    if meta.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    _check_namespace(rtype, meta, namespace)
    if not meta.get("name"):
        if not isinstance(prefix := meta.get("generateName"), str) or not prefix:
            required = Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
            raise errors.invalid(rtype, "", [required])
        meta["name"] = metadata.generated_name(prefix)
    for name in (*metadata.SERVER_SET, "selfLink"):
        meta.pop(name, None)
    if namespace:
        meta["namespace"] = namespace
    if rtype.has_status:
        obj.pop("status", None)
    _fill_built_in(rtype, obj)
    _shape(rtype, obj, options)
    meta["uid"] = options.uid
    meta["creationTimestamp"] = options.now
    if rtype.counts_generations:
        meta["generation"] = 1
    causes = metadata.check(meta) + _validate(rtype, obj)
    if causes:
        raise errors.invalid(rtype, str(meta.get("name", "")), causes)
    if not options.applied:
        _track(rtype, None, obj, options)
    return obj


def for_update(rtype: ResourceType, old: Object, new: Object, options: Options) -> Object:
    """The object to store for a replace or patch of `old`; `old` itself if nothing changes. `new` is changed."""
    _check_type(rtype, new)
    before, meta = old["metadata"], metadata_of(new)
    check_identity(rtype, before, meta)
    metadata.keep_server_set(before, meta)
    if options.subresource:
        new = {
            **old,
            options.subresource: new.get(options.subresource),
            "metadata": {**before, "managedFields": meta.get("managedFields")},
        }
        if new[options.subresource] is None:
            del new[options.subresource]
        meta = new["metadata"]
        if not options.applied or meta["managedFields"] is None:
            _copy(before, meta, "managedFields")
    elif rtype.has_status:
        _copy(old, new, "status")
    _fill_built_in(rtype, new)
    _shape(rtype, new, options)
    if not options.applied:
        _track(rtype, old, new, options)
    if new == old and same(new, old):
        return old
    if rtype.counts_generations and _spec_changed(old, new):
        meta["generation"] = before.get("generation", 0) + 1
    _refuse(rtype, old, new)
    return new


def _refuse(rtype: ResourceType, old: Object, new: Object) -> None:
    before, meta = old["metadata"], new["metadata"]
    causes = metadata.late_finalizers(rtype, before, meta) + metadata.check(meta, before)
    if wrong := _validate(rtype, new):
        # What was stored before the rules became stricter may stay as it is: or nobody could take its finalizer off.
        accepted = set(_validate(rtype, old))
        wrong = [cause for cause in wrong if cause not in accepted]
    causes += wrong
    # Asked only of what is well-formed: it need not expect anything else.
    if not wrong and (changes_refused := getattr(rtype.model, "changes_refused", None)) is not None:
        causes += [Cause("FieldValueInvalid", f"Invalid value: {message}", path) for path, message in changes_refused(old, new)]
    if causes:
        raise errors.invalid(rtype, meta["name"], causes)


def _check_type(rtype: ResourceType, obj: Object) -> None:
    for name, wanted in (("apiVersion", rtype.api_version), ("kind", rtype.kind)):
        given = obj.setdefault(name, wanted)
        if given != wanted:
            text = f"the {name} of the provided object ({str(given)[:80]}) does not match the expected {name} ({wanted})"
            raise errors.bad_request(text)


def metadata_of(obj: Object) -> Object:
    """The object's metadata, made if it has none. ApiError 400 if they are of a shape that cannot be read."""
    meta: Object = obj.setdefault("metadata", {})
    if wrong := metadata.malformed(obj):
        raise errors.bad_request(f"cannot read the provided object: {wrong}")
    for name in [name for name, value in meta.items() if value is None]:
        del meta[name]  # null is as good as nothing, here as in Kubernetes
    return meta


def _check_namespace(rtype: ResourceType, meta: Object, namespace: str) -> None:
    given = meta.get("namespace")
    if not rtype.namespaced:
        meta.pop("namespace", None)
    elif given and given != namespace:
        text = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.bad_request(f"{text} ({given!s:.80} != {namespace})")


def check_identity(rtype: ResourceType, before: Object, meta: Object) -> None:
    """ApiError if metadata names another object, or another version of it, than is there. `meta` is filled in."""
    name = before["name"]
    if meta.setdefault("name", name) != name:
        text = f"the name of the object ({meta['name']!s:.80}) does not match the name on the URL ({name})"
        raise errors.bad_request(text)
    if rtype.namespaced:
        _check_namespace(rtype, meta, before["namespace"])
    if (uid := meta.get("uid")) and uid != before["uid"]:
        why = f"Precondition failed: UID in precondition: {uid!s:.80}, UID in object meta: {before['uid']}"
        raise errors.conflict(rtype, name, why)
    if (rv := meta.get("resourceVersion")) and rv != before["resourceVersion"]:
        raise errors.conflict(rtype, name)


def _shape(rtype: ResourceType, obj: Object, options: Options) -> None:
    drop_unknown(rtype, obj, options)
    validation.default(obj, rtype.schema)


def drop_unknown(rtype: ResourceType, obj: Object, options: Options) -> None:
    """Refuse unknown fields, or drop them, with a warning or without, as the options say."""
    if unknown := validation.decode_strict(obj, rtype.schema):
        mode = options.field_validation or ("Strict" if rtype.counts_generations else "Warn")
        hints = [_unknown(path, rtype) for path in unknown[:20]]
        if mode == "Strict":
            text = f'{rtype.kind} in version "{rtype.version}" cannot be handled as a {rtype.kind}: strict decoding error: '
            raise errors.bad_request(text + ", ".join(hints))
        if mode == "Warn":
            options.warnings += hints
        validation.prune(obj, rtype.schema)


def _unknown(path: str, rtype: ResourceType) -> str:
    hint = validation.did_you_mean(path, rtype.schema)
    return f'unknown field "{path}"' + (f': did you mean "{hint}"?' if hint else "")


def _validate(rtype: ResourceType, obj: Object) -> list[Cause]:
    # managedFields are the server's own, and the longest part of many objects
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return validation.validate(rtype.model, {**obj, "metadata": meta})


def _track(rtype: ResourceType, old: Object | None, new: Object, options: Options) -> None:
    entries = track(
        old, new, manager=options.manager, schema=rtype.schema, now=options.now, api_version=rtype.api_version,
        subresource=options.subresource,
    )  # fmt: skip
    if entries:
        new["metadata"]["managedFields"] = entries
    else:
        new["metadata"].pop("managedFields", None)


def _spec_changed(old: Object, new: Object) -> bool:
    fields = (old.keys() | new.keys()) - {"metadata", "status"}
    return any(old.get(name) != new.get(name) for name in fields)


def _copy(source: Object, target: Object, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)


def _fill_built_in(rtype: ResourceType, obj: Object) -> None:
    """What Kubernetes fills in for two of its own kinds."""
    if rtype is SECRET:
        if isinstance(text := obj.get("stringData"), dict) and isinstance(obj.get("data") or {}, dict):
            del obj["stringData"]
            obj["data"] = {**(obj.get("data") or {}), **{key: _base64(value) for key, value in text.items()}}
    elif rtype is NAMESPACE and "status" not in obj:
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]


def _base64(value: Any) -> Any:
    import base64

    return base64.b64encode(value.encode()).decode() if isinstance(value, str) else value
