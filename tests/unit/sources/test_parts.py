"""Names, manifests, comparisons, pauses, statuses: the small parts of a source."""

import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sources.identity import source_id
from reconciler.sources.objects import Key, covers, live, manager, wanted
from reconciler.sources.pauses import Pauses
from reconciler.sources.status import Problem, SourceStatus
from specs.loading import load
from specs.meta import SOURCE_FILE_ANNOTATION, SOURCE_LABEL

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.text(alphabet=st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_any_folder_has_a_valid_id(name):
    """Valid as a label's value and in the name of a ConfigMap, whatever the folder is called."""
    id = source_id(Path("/srv") / name, "installation")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", id)
    assert len(f"anneal-source-{id}") <= 63


def test_the_id_stays(tmp_path):
    """The same folder by another path is the same source; another folder, or installation, is another."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path)
    first = source_id(tmp_path / "specs", "one")
    assert first.startswith("specs-")
    assert source_id(tmp_path / "alias" / "specs", "one") == first
    assert source_id(tmp_path / "x" / ".." / "specs", "one") == first
    assert source_id(tmp_path / "specs", "two") != first
    assert source_id(tmp_path / "specs2", "one") != first


def test_the_manifest():
    """What is applied is what was written, the source's label and file, and a Secret's text as data."""
    text = """
kind: Secret
apiVersion: v1
metadata: {name: s, labels: {team: ml}}
stringData: {user: me}
data: {old: eA==}
"""
    (document,) = load(text, name="sub/a.yaml").documents
    made = wanted(document, "specs-1")
    assert orjson.loads(made.body) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s",
            "namespace": "default",
            "labels": {"team": "ml", SOURCE_LABEL: "specs-1"},
            "annotations": {SOURCE_FILE_ANNOTATION: "sub/a.yaml"},
        },
        "data": {"old": "eA==", "user": "bWU="},
    }
    assert (str(made.key), made.place) == ("secret/default/s", "sub/a.yaml:2")


@pytest.mark.parametrize(
    ("label", "by", "ours"),
    [
        pytest.param("s-1", "source/s-1", True, id="labelled and applied by us"),
        pytest.param("s-1", "kubectl", False, id="a copy, with the label copied"),
        pytest.param("s-2", "source/s-1", False, id="relabelled"),
        pytest.param(None, "source/s-1", False, id="label removed"),
    ],
)
def test_whose_an_object_is(label, by, ours):
    """It takes the label and the field manager: whoever copies an object copies its labels."""
    labels = {SOURCE_LABEL: label} if label else {}
    meta = {"name": "a", "namespace": "default", "uid": "u", "labels": labels, "managedFields": [{"manager": by}]}
    assert (live("Machine", {"metadata": meta}, "s-1") is not None) == ours
    assert manager("s-1") == "source/s-1"


@given(json)
def test_everything_covers_itself(value):
    """What was applied and is unchanged is no drift."""
    assert covers(value, value)


@given(st.dictionaries(st.text(max_size=3), json, max_size=4), st.dictionaries(st.text(max_size=3), json, max_size=4))
def test_fields_of_others_are_no_drift(want, more):
    """A map may hold more than what is wanted; what is wanted must be in it."""
    assert covers({**more, **want}, want)
    for name in want:
        if want[name] is not None:
            assert not covers({key: value for key, value in want.items() if key != name}, want)


@pytest.mark.parametrize(
    ("there", "want"),
    [([1, 2], [1]), ([1], [1, 2]), ({"a": {"b": 1}}, {"a": {"b": 2}}), ([{"a": 1}], [{"a": 2}]), ("x", {"a": 1})],
)
def test_a_difference_is_drift(there, want):
    """Lists agree as a whole, maps field by field."""
    assert not covers(there, want)


def test_pauses_grow_and_end():
    """Some attempts are free, then each pause doubles up to a cap; another key knows nothing of it."""
    pauses = Pauses(free=2, base=1.0, cap=5.0)
    assert [pauses.tried("a", 0.0) for _ in range(6)] == [0, 0, 1, 2, 4, 5]
    assert (pauses.ready("a", 4.9), pauses.ready("a", 5.0), pauses.ready("b", 0.0)) == (False, True, True)
    assert pauses.next(4.0) == 1.0
    pauses.forget("a")
    assert pauses.next(0.0) is None
    pauses.tried("a", 0.0)
    assert pauses.tried("a", 1000.0) == 0.0


def test_the_status_shape():
    """The JSON that `anneal status` reads; a new time alone is no change."""
    problem = Problem("a.yaml", 3, 5, "Machine/x", "spec.locl", "unknown field", "did you mean local?")
    status = SourceStatus("s-1", "/specs", "Errors", 2, 7, "2026-01-01T00:00:00Z", (problem,), ("machine/default/a",))
    shape = status.as_dict()
    assert shape["errors"] == [
        {
            "file": "a.yaml",
            "line": 3,
            "column": 5,
            "object": "Machine/x",
            "path": "spec.locl",
            "message": "unknown field",
            "hint": "did you mean local?",
        }
    ]
    assert list(shape) == ["id", "path", "state", "files", "objects", "lastSync", "errors", "pendingRemovals"]
    assert status.same({**shape, "lastSync": "later"})
    assert not status.same({**shape, "objects": 8})
    assert str(problem) == "a.yaml:3:5  Machine/x  spec.locl  unknown field"


def test_keys_as_people_write_them():
    """kind/namespace/name; a kind that is in no namespace has none."""
    assert str(Key("Machine", "default", "a")) == "machine/default/a"
    assert str(Key("Namespace", "", "prod")) == "namespace/prod"
