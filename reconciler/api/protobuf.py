"""The protobuf bodies that kubectl sends for built-in kinds, read into the JSON they stand for.

kubectl does not fall back to JSON when told 415, so these few must be understood; answers are JSON, which it reads.
Field numbers: the generated.proto files of k8s.io/api and k8s.io/apimachinery, where they never change.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from reconciler.api.jsonvalue import MAX_DEPTH, Object

MAGIC = b"k8s\x00"


class ProtobufError(ValueError):
    """The body is no protobuf message of a kind that is known here. The API answers 400 or 415."""


# A field is (name, type); a type is a scalar's name, a table of fields, or one of them in a list, or ("map", type).
Message = Mapping[int, tuple[str, Any]]

_TIME: Message = {1: ("seconds", "int"), 2: ("nanos", "int")}
_OWNER_REFERENCE: Message = {
    1: ("kind", "str"), 3: ("name", "str"), 4: ("uid", "str"), 5: ("apiVersion", "str"), 6: ("controller", "bool"),
    7: ("blockOwnerDeletion", "bool"),
}  # fmt: skip
_MANAGED_FIELDS: Message = {
    1: ("manager", "str"), 2: ("operation", "str"), 3: ("apiVersion", "str"), 4: ("time", "time"), 6: ("fieldsType", "str"),
    7: ("fieldsV1", "json"), 8: ("subresource", "str"),
}  # fmt: skip
_META: Message = {
    1: ("name", "str"), 2: ("generateName", "str"), 3: ("namespace", "str"), 4: ("selfLink", "str"), 5: ("uid", "str"),
    6: ("resourceVersion", "str"), 7: ("generation", "int"), 8: ("creationTimestamp", "time"), 9: ("deletionTimestamp", "time"),
    10: ("deletionGracePeriodSeconds", "int"), 11: ("labels", ("map", "str")), 12: ("annotations", ("map", "str")),
    13: ("ownerReferences", [_OWNER_REFERENCE]), 14: ("finalizers", ["str"]), 17: ("managedFields", [_MANAGED_FIELDS]),
}  # fmt: skip
_REFERENCE: Message = {
    1: ("kind", "str"), 2: ("namespace", "str"), 3: ("name", "str"), 4: ("uid", "str"), 5: ("apiVersion", "str"),
    6: ("resourceVersion", "str"), 7: ("fieldPath", "str"),
}  # fmt: skip
_EVENT: Message = {
    1: ("metadata", _META), 2: ("involvedObject", _REFERENCE), 3: ("reason", "str"), 4: ("message", "str"),
    5: ("source", {1: ("component", "str"), 2: ("host", "str")}), 6: ("firstTimestamp", "time"), 7: ("lastTimestamp", "time"),
    8: ("count", "int"), 9: ("type", "str"), 10: ("eventTime", "microtime"),
    11: ("series", {1: ("count", "int"), 2: ("lastObservedTime", "microtime")}), 12: ("action", "str"),
    13: ("related", _REFERENCE), 14: ("reportingComponent", "str"), 15: ("reportingInstance", "str"),
}  # fmt: skip
_DELETE_OPTIONS: Message = {
    1: ("gracePeriodSeconds", "int"), 2: ("preconditions", {1: ("uid", "str"), 2: ("resourceVersion", "str")}),
    3: ("orphanDependents", "bool"), 4: ("propagationPolicy", "str"), 5: ("dryRun", ["str"]),
}  # fmt: skip
_ACCESS_REVIEW: Message = {
    1: ("metadata", _META),
    2: ("spec", {
        1: ("resourceAttributes", {
            1: ("namespace", "str"), 2: ("verb", "str"), 3: ("group", "str"), 4: ("version", "str"), 5: ("resource", "str"),
            6: ("subresource", "str"), 7: ("name", "str"),
        }),
        2: ("nonResourceAttributes", {1: ("path", "str"), 2: ("verb", "str")}),
    }),
}  # fmt: skip
_LEASE: Message = {
    1: ("metadata", _META),
    2: ("spec", {
        1: ("holderIdentity", "str"), 2: ("leaseDurationSeconds", "int"), 3: ("acquireTime", "microtime"),
        4: ("renewTime", "microtime"), 5: ("leaseTransitions", "int"), 6: ("strategy", "str"), 7: ("preferredHolder", "str"),
    }),
}  # fmt: skip
_NAMESPACE: Message = {1: ("metadata", _META), 2: ("spec", {1: ("finalizers", ["str"])}), 3: ("status", {1: ("phase", "str")})}
_CONFIG_MAP: Message = {
    1: ("metadata", _META), 2: ("data", ("map", "str")), 3: ("binaryData", ("map", "bytes")), 4: ("immutable", "bool"),
}  # fmt: skip
_SECRET: Message = {
    1: ("metadata", _META), 2: ("data", ("map", "bytes")), 3: ("type", "str"), 4: ("stringData", ("map", "str")),
    5: ("immutable", "bool"),
}  # fmt: skip

KINDS: Mapping[tuple[str, str], Message] = {
    ("v1", "Namespace"): _NAMESPACE,
    ("v1", "ConfigMap"): _CONFIG_MAP,
    ("v1", "Secret"): _SECRET,
    ("v1", "Event"): _EVENT,
    ("coordination.k8s.io/v1", "Lease"): _LEASE,
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): _ACCESS_REVIEW,
    ("authentication.k8s.io/v1", "SelfSubjectReview"): {1: ("metadata", _META)},
}


def decode(body: bytes) -> Object:
    """Read one object in the Kubernetes envelope. Raises ProtobufError for what is broken or of a kind not known here."""
    if not body.startswith(MAGIC):
        raise ProtobufError("cannot read the body: it lacks the Kubernetes protobuf prefix; send JSON")
    envelope = _read(body[4:], {1: ("type", {1: ("apiVersion", "str"), 2: ("kind", "str")}), 2: ("raw", "raw")}, 0)
    named = envelope.get("type") or {}
    api_version, kind = named.get("apiVersion", ""), named.get("kind", "")
    message = _DELETE_OPTIONS if kind == "DeleteOptions" else KINDS.get((api_version, kind))
    if message is None:
        raise ProtobufError(f"cannot read the body: protobuf of {api_version[:80]}, {kind[:80]} is not understood; send JSON")
    return {"apiVersion": api_version, "kind": kind, **_read(envelope.get("raw", b""), message, 0)}


def _read(data: bytes, message: Message, depth: int) -> Object:
    if depth > MAX_DEPTH:
        raise ProtobufError("cannot read the body: it nests too deeply")
    found: Object = {}
    for number, value in _fields(data):
        if number not in message:
            continue
        name, kind = message[number]
        if isinstance(kind, list):
            found.setdefault(name, []).append(_value(value, kind[0], depth))
        elif isinstance(kind, tuple):
            entry = _read(_bytes(value), {1: ("key", "str"), 2: ("value", kind[1])}, depth + 1)
            found.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
        else:
            read = _value(value, kind, depth)
            if read is not None and read != "":  # Go writes empty strings for what is not set
                found[name] = read
    return found


def _value(value: int | bytes, kind: Any, depth: int) -> Any:
    match kind:
        case "int":
            number = _int(value)
            return number - (1 << 64) if number >= 1 << 63 else number
        case "bool":
            return bool(_int(value))
        case "str":
            return _text(_bytes(value))
        case "bytes":
            return base64.b64encode(_bytes(value)).decode()
        case "raw":
            return _bytes(value)
        case "json":
            return _fields_v1(_bytes(value))
        case "time" | "microtime":
            return _time(_read(_bytes(value), _TIME, depth + 1), micro=kind == "microtime")
    return _read(_bytes(value), kind, depth + 1)


def _fields_v1(data: bytes) -> Any:
    try:
        return orjson.loads(_read(data, {1: ("raw", "raw")}, 0).get("raw") or b"{}")
    except ValueError as e:
        raise ProtobufError("cannot read the body: fieldsV1 is no JSON") from e


def _time(parts: Object, *, micro: bool) -> str | None:
    if not parts:
        return None
    try:
        moment = datetime.fromtimestamp(parts.get("seconds", 0), UTC)
    except (OverflowError, ValueError, OSError) as e:
        raise ProtobufError("cannot read the body: a time is out of range") from e
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{parts.get('nanos', 0) // 1000:06d}Z" if micro else f"{text}Z"


# --- the wire format: https://protobuf.dev/programming-guides/encoding -----------------------------------------------


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ProtobufError(f"cannot read the body: unknown wire type {wire}")
        if at + length > len(data):
            raise ProtobufError("cannot read the body: it is cut short")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
        shift += 7
    raise ProtobufError("cannot read the body: it is cut short")


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ProtobufError("cannot read the body: a number was expected")
    return value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ProtobufError("cannot read the body: bytes were expected")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise ProtobufError("cannot read the body: a text is not UTF-8") from e
