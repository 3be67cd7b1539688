"""Tables print what `kubectl get` prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.jsonpath import JsonPathError, compile_path
from reconciler.api.resources import registry
from reconciler.api.table import NAME, age, columns_of, duration, table
from specs.meta import Column

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 365 * 86_400

# From k8s.io/apimachinery/pkg/util/duration/duration_test.go.
DURATIONS = {
    0.999: "0s",
    1: "1s",
    119: "119s",
    120: "2m",
    150: "2m30s",
    10 * MINUTE - 1: "9m59s",
    10 * MINUTE: "10m",
    10 * MINUTE + 1: "10m",
    3 * HOUR - 1: "179m",
    3 * HOUR: "3h",
    3 * HOUR + 11 * MINUTE: "3h11m",
    8 * HOUR - 1: "7h59m",
    8 * HOUR: "8h",
    2 * DAY - 1: "47h",
    2 * DAY: "2d",
    2 * DAY + HOUR: "2d1h",
    8 * DAY - 1: "7d23h",
    8 * DAY: "8d",
    2 * YEAR - 1: "729d",
    2 * YEAR: "2y",
    2 * YEAR + DAY: "2y1d",
    8 * YEAR - 1: "7y364d",
    8 * YEAR: "8y",
    -1: "0s",
    -1.9: "0s",
    -2: "<invalid>",
}


@pytest.mark.parametrize(("seconds", "text"), DURATIONS.items(), ids=[f"{s}s" for s in DURATIONS])
def test_durations_read_as_kubectl_prints_them(seconds, text):
    """The units get coarser as time goes by, exactly where kubectl's do."""
    assert duration(seconds) == text


@given(st.floats(0, 1e10))
def test_a_duration_is_short(seconds):
    """Any age fits into a column."""
    assert 2 <= len(duration(seconds)) <= 7


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        ("2029-12-31T23:59:15Z", "45s"),
        ("2029-12-31T23:59:15.500000Z", "44s"),
        ("2030-01-01T01:00:00+02:00", "60m"),
        (None, "<unknown>"),
        ("", "<unknown>"),
        ("yesterday", "<invalid>"),
    ],
    ids=repr,
)
def test_ages(stamp, text):
    """Timestamps become ages; none is unknown; nonsense is invalid and breaks no table."""
    assert age(stamp, NOW) == text


MACHINE = {
    "kind": "Machine",
    "metadata": {"name": "w-1", "creationTimestamp": (NOW - timedelta(hours=5)).isoformat()},
    "status": {
        "conditions": [{"type": "Other", "status": "Unknown"}, {"type": "Ready", "status": "True", "reason": "Healthy"}],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "fd00::1"}],
        "count": 3,
        "ok": True,
        "labels.with/dots": "x",
    },
}
PATHS = {
    ".metadata.name": ["w-1"],
    "{.metadata.name}": ["w-1"],
    "$.metadata.name": ["w-1"],
    "metadata.name": ["w-1"],
    ".status.nothing.at.all": [],
    '.status.conditions[?(@.type=="Ready")].status': ["True"],
    ".status.conditions[?(@.type == 'Ready')].reason": ["Healthy"],
    '.status.conditions[?(@.type!="Ready")].status': ["Unknown"],
    '.status.conditions[?(@.type=="Absent")].status': [],
    ".status.conditions[0].type": ["Other"],
    ".status.conditions[-1].type": ["Ready"],
    ".status.conditions[9].type": [],
    ".status.conditions[*].type": ["Other", "Ready"],
    '.status.addresses[?(@.type=="InternalIP")].address': ["10.0.0.1", "fd00::1"],
    r".status.labels\.with/dots": ["x"],
    ".status['labels.with/dots']": ["x"],
    ".metadata[0]": [],
}


@pytest.mark.parametrize(("path", "found"), PATHS.items(), ids=PATHS)
def test_json_paths(path, found):
    """The JSONPath that printer columns use finds what Kubernetes' finds; what is not there is nothing, no error."""
    assert compile_path(path)(MACHINE) == found


@pytest.mark.parametrize("path", [".a[", ".a[?(@.b)]", ".a..b", ".a[1:2]", ".a[?(@.b=~'x')]"])
def test_a_path_beyond_the_subset_is_refused(path):
    """What this subset lacks is an error when it is compiled, not a wrong cell."""
    with pytest.raises(JsonPathError):
        compile_path(path)


def cells(column: Column, obj: dict[str, Any]) -> Any:
    return table([column], [obj], resource_version="1", now=NOW)["rows"][0]["cells"][0]


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [
        ("string", ".status.count", "3"),
        ("string", ".status.ok", "true"),
        ("string", ".status.addresses[*].address", "10.0.0.1 fd00::1"),
        ("string", ".status.none", None),
        ("integer", ".status.count", 3),
        ("integer", ".status.ok", None),
        ("integer", ".metadata.name", None),
        ("boolean", ".status.ok", True),
        ("date", ".metadata.creationTimestamp", "5h"),
        ("date", ".metadata.deletionTimestamp", "<unknown>"),
        ("string", ".broken[", None),
    ],
)
def test_cells_are_of_their_columns_type(kind, path, cell):
    """A cell is what its column promises, or empty."""
    assert cells(Column("C", kind, path, ""), MACHINE) == cell


def test_a_table_of_machines():
    """A Machine shows its name first, then its kind's columns; those for -o wide carry priority 1."""
    rtype = next(t for t in registry() if t.kind == "Machine")
    made = table(columns_of(rtype.group, rtype.kind, rtype.columns), [MACHINE], resource_version="7", now=NOW)
    shown = {d["name"]: c for d, c in zip(made["columnDefinitions"], made["rows"][0]["cells"], strict=True) if not d["priority"]}
    assert shown == {"Name": "w-1", "Ready": "True", "Reason": "Healthy", "Age": "5h", "Message": None}
    assert made["metadata"] == {"resourceVersion": "7"}
    assert made["columnDefinitions"][0]["format"] == "name"


@pytest.mark.parametrize("include", ["Metadata", "Object", "None"])
def test_rows_carry_what_was_asked_for(include):
    """includeObject decides whether a row carries metadata, all of the object, or nothing."""
    (row,) = table([NAME], [MACHINE], include=include, resource_version="1", now=NOW)["rows"]
    carried = {
        "Metadata": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": MACHINE["metadata"]},
        "Object": MACHINE,
        "None": None,
    }
    assert row.get("object") == carried[include]


def test_a_chunk_says_how_to_go_on():
    """A chunk of a list carries its continue token and how many are left."""
    made = table([NAME], [], resource_version="1", continue_="token", remaining=5, now=NOW)
    assert made["metadata"] == {"resourceVersion": "1", "continue": "token", "remainingItemCount": 5}


BUILT_IN = {
    "Namespace": ({"metadata": {"name": "n"}, "status": {"phase": "Active"}}, {"Name": "n", "Status": "Active"}),
    "ConfigMap": ({"metadata": {"name": "c"}, "data": {"a": "1"}, "binaryData": {"b": ""}}, {"Name": "c", "Data": 2}),
    "Secret": ({"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "x"}}, {"Name": "s", "Type": "Opaque", "Data": 1}),
    "Lease": ({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}, {"Name": "l", "Holder": "me"}),
    "Event": (
        {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Machine", "name": "w"},
            "type": "Warning",
            "reason": "Creating",
            "message": "m",
            "lastTimestamp": "2029-12-31T23:59:50Z",
            "count": 2,
        },
        {"Last Seen": "10s", "Type": "Warning", "Reason": "Creating", "Object": "machine/w", "Message": "m", "Count": 2},
    ),
}


@pytest.mark.parametrize(("kind", "obj", "shown"), [(k, *v) for k, v in BUILT_IN.items()], ids=BUILT_IN)
def test_built_in_kinds_have_the_columns_people_know(kind, obj, shown):
    """The built-in kinds print as on any cluster."""
    rtype = next(t for t in registry() if t.kind == kind)
    made = table(columns_of(rtype.group, rtype.kind, rtype.columns), [obj], resource_version="1", now=NOW)
    found = dict(zip((d["name"] for d in made["columnDefinitions"]), made["rows"][0]["cells"], strict=True))
    assert shown.items() <= found.items()


@pytest.mark.parametrize("rtype", [t for t in registry() if t.stored], ids=lambda t: t.kind)
def test_an_empty_object_breaks_no_table(rtype):
    """Even an object without any field has a row: a table is what one looks at when something is wrong."""
    assert table(columns_of(rtype.group, rtype.kind, rtype.columns), [{}], resource_version="1", now=NOW)["rows"]
