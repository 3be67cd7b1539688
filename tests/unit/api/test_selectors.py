"""Selectors select what Kubernetes' documentation says they do."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.selectors import EVENT_FIELDS, FIELDS, SelectorError, parse_fields, parse_labels

LABELS = {"app": "web", "tier": "front", "example.com/zone": "a", "empty": ""}
SELECTS = {
    "": True,
    "app=web": True,
    "app==web": True,
    "app = web": True,
    "app=db": False,
    "app!=db": True,
    "app!=web": False,
    "missing!=x": True,
    "missing=x": False,
    "empty=": True,
    "app=": False,
    "app": True,
    "missing": False,
    "!app": False,
    "!missing": True,
    "! missing": True,
    "app in (web,db)": True,
    "app in (db)": False,
    "app in ( web , db )": True,
    "empty in (,x)": True,
    "app notin (web)": False,
    "missing notin (web)": True,
    "missing in (web)": False,
    "example.com/zone=a": True,
    "app=web,tier=front": True,
    "app=web, tier in (back)": False,
    "app in (web),!missing,tier": True,
    "in=x": False,
    "notin": False,
}


@pytest.mark.parametrize(("text", "selected"), SELECTS.items(), ids=SELECTS)
def test_label_selectors(text, selected):
    """Every operator selects by presence and value; a missing label satisfies only the negative ones."""
    assert parse_labels(text)(LABELS) is selected


@pytest.mark.parametrize(
    "text",
    ["app=web,", ",app", "=x", "app=web tier=x", "app in web", "app in (web", "a b", "app===x", "app=a b", "!", "app in (a b)",
     "-a", "a/b/c", "x" * 9000],
)  # fmt: skip
def test_a_label_selector_that_cannot_be_read_is_refused(text):
    """What is no selector is an error, never an empty or a full selection."""
    with pytest.raises(SelectorError):
        parse_labels(text)


@given(st.text(alphabet="ab=!,() inot./-", max_size=30))
def test_label_selectors_never_crash(text):
    """Any text is either read or refused."""
    with suppress(SelectorError):
        assert parse_labels(text)(LABELS) in (True, False)


KEYS, VALUES = st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "x", "y"])


@given(st.dictionaries(KEYS, VALUES), KEYS, st.lists(VALUES, min_size=1))
def test_in_and_notin_are_opposites(labels, key, values):
    """Of `in` and `notin` exactly one holds, for any labels."""
    chosen = ",".join(values)
    assert parse_labels(f"{key} in ({chosen})")(labels) is not parse_labels(f"{key} notin ({chosen})")(labels)


EVENT = {
    "metadata": {"name": "e.1", "namespace": "default"},
    "involvedObject": {"kind": "Machine", "name": "w-1", "uid": "u"},
    "reason": "Creating",
    "type": "Normal",
    "source": {"component": "anneal"},
}
FIELD_SELECTS = {
    "": True,
    "metadata.name=e.1": True,
    "metadata.name==e.1,metadata.namespace=default": True,
    "metadata.name!=e.1": False,
    "involvedObject.kind=Machine,involvedObject.name=w-1,involvedObject.uid=u": True,
    "involvedObject.name=w-2": False,
    "reason=Creating,type!=Warning": True,
    "source=anneal": True,
    "involvedObject.fieldPath=": True,
}


@pytest.mark.parametrize(("text", "selected"), FIELD_SELECTS.items(), ids=FIELD_SELECTS)
def test_field_selectors(text, selected):
    """Events are selected by the fields kubectl asks for; a missing field is an empty one."""
    assert parse_fields(text, EVENT_FIELDS)(EVENT) is selected


@pytest.mark.parametrize("text", ["spec.x=1", "metadata.name", "=x", "metadata.labels=x", "reason=x"])
def test_a_field_that_cannot_be_selected_by_is_refused(text):
    """An unsupported field is an error that names the supported ones, never an empty list."""
    with pytest.raises(SelectorError):
        parse_fields(text, FIELDS)
