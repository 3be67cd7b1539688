"""The protobuf bodies of kubectl are read as the JSON they stand for; broken ones are refused."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.protobuf import ProtobufError, decode


def varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(*fields: tuple[int, Any]) -> bytes:
    """Encode (number, value) pairs: numbers as varints, texts and bytes by length."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + message((1, message((1, api_version), (2, kind))), (2, raw), (3, ""), (4, ""))


def entry(key: str, value: str | bytes) -> bytes:
    return message((1, key), (2, value))


META = message((1, "n"), (2, ""), (3, "default"), (5, ""), (7, 0), (8, b""), (11, entry("a", "b")), (14, "f1"), (14, "f2"))
META_JSON = {"name": "n", "namespace": "default", "generation": 0, "labels": {"a": "b"}, "finalizers": ["f1", "f2"]}

BODIES = {
    "namespace": ("v1", "Namespace", message((1, META), (2, b""), (3, b"")), {"spec": {}, "status": {}}),
    "configmap": (
        "v1", "ConfigMap", message((1, META), (2, entry("k", "v")), (2, entry("empty", "")), (3, entry("b", b"\x00\xff"))),
        {"data": {"k": "v", "empty": ""}, "binaryData": {"b": base64.b64encode(b"\x00\xff").decode()}},
    ),
    "secret": (
        "v1", "Secret", message((1, META), (2, entry("k", b"v")), (3, "Opaque"), (5, 1)),
        {"data": {"k": "dg=="}, "type": "Opaque", "immutable": True},
    ),
    "lease": (
        "coordination.k8s.io/v1", "Lease",
        message((1, META), (2, message((1, "me"), (2, 15), (4, message((1, 1_700_000_000), (2, 123_456_000)))))),
        {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2023-11-14T22:13:20.123456Z"}},
    ),
    "event": (
        "v1", "Event",
        message((1, META), (2, message((1, "Machine"), (3, "w"))), (3, "R"), (6, message((1, 1_700_000_000))), (8, 3)),
        {"involvedObject": {"kind": "Machine", "name": "w"}, "reason": "R", "firstTimestamp": "2023-11-14T22:13:20Z", "count": 3},
    ),
    "access-review": (
        "authorization.k8s.io/v1", "SelfSubjectAccessReview",
        message((1, META), (2, message((1, message((1, "ns"), (2, "get"), (5, "machines")))))),
        {"spec": {"resourceAttributes": {"namespace": "ns", "verb": "get", "resource": "machines"}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind", "raw", "fields"), BODIES.values(), ids=BODIES)
def test_bodies_of_built_in_kinds_are_read(api_version, kind, raw, fields):
    """Every field comes out under its JSON name, bytes in base64, times in RFC 3339."""
    assert decode(envelope(api_version, kind, raw)) == {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": META_JSON,
        **fields,
    }


def test_delete_options_of_any_version_are_read():
    """A DELETE's options come with the version of what is deleted."""
    raw = message((1, -1), (2, message((1, "u"))), (4, "Foreground"), (5, "All"))
    assert decode(envelope("v1", "DeleteOptions", raw)) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": -1,
        "preconditions": {"uid": "u"},
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


def test_unknown_fields_are_passed_over():
    """A newer kubectl may send fields that are not known here."""
    raw = message((1, META), (99, "new"), (98, 7)) + varint(97 << 3 | 5) + b"1234" + varint(96 << 3 | 1) + b"12345678"
    assert decode(envelope("v1", "Namespace", raw))["metadata"] == META_JSON


GOOD = envelope("v1", "ConfigMap", BODIES["configmap"][2])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"k8s\x00\xff\xff",
        GOOD[:-5],
        envelope("v1", "Pod", b""),
        envelope("v1", "ConfigMap", message((1, 5))),
        envelope("v1", "ConfigMap", message((1, message((1, b"\xff"))))),
        envelope("v1", "Event", message((1, META), (6, message((1, 1 << 62))))),
        envelope("v1", "ConfigMap", b"\x0b"),
    ],
    ids=["empty", "json", "garbage", "cut", "unknown-kind", "wrong-wire", "no-utf8", "year-billions", "group-wire"],
)
def test_a_broken_body_is_refused(body):
    """What cannot be read is refused whole, with an error that says so."""
    with pytest.raises(ProtobufError):
        decode(body)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_read_or_refused(noise, at):
    """No body crashes the decoder."""
    for body in (b"k8s\x00" + noise, GOOD[:at] + noise + GOOD[at + len(noise) :]):
        with suppress(ProtobufError):
            assert isinstance(decode(body), dict)
