"""From client-side to server-side apply: what kubectl applied before becomes its own, and nobody else's."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest

from reconciler.api.managed import LAST_APPLIED, ApplyConflict
from tests.support.managed import do_apply, do_update, owned, thing


def client_side(spec: dict[str, Any], changed: dict[str, Any] | None = None) -> dict[str, Any]:
    applied = thing(spec)
    annotation = {LAST_APPLIED: orjson.dumps(applied).decode()}
    live = do_update(None, thing(spec, annotations=annotation), "kubectl-client-side-apply")
    if changed:
        new = deepcopy(live)
        new["spec"] |= changed
        live = do_update(live, new, "somebody")
    return live


def test_kubectl_may_move_from_client_side_to_server_side():
    """kubectl changes, without force, what kubectl applied client-side."""
    live = client_side({"a": "p", "b": {"x": 1}})
    after = do_apply(live, thing({"a": "q", "b": {"x": 1}}), "kubectl")
    assert after["spec"]["a"] == "q"
    assert ".spec.a" in owned(after, "kubectl")


def test_the_annotation_keeps_up():
    """Server-side applies by kubectl are noted where client-side ones were, so that one can go back; by others they are not."""
    live = client_side({"a": "p"})
    after = do_apply(live, thing({"a": "q"}), "kubectl")
    assert orjson.loads(after["metadata"]["annotations"][LAST_APPLIED])["spec"] == {"a": "q"}
    assert do_apply(after, thing({"a": "q"}), "kubectl", now="t9") == after
    other = do_apply(live, thing({"b": {"x": 1}}), "terraform")
    assert other["metadata"]["annotations"] == live["metadata"]["annotations"]
    assert LAST_APPLIED not in do_apply(do_apply(None, thing({"a": "p"}), "kubectl"), thing(), "kubectl")["metadata"].get(
        "annotations", {}
    )


def test_others_may_not_move_in():
    """Only kubectl inherits what kubectl applied."""
    with pytest.raises(ApplyConflict):
        do_apply(client_side({"a": "p"}), thing({"a": "q"}), "terraform")


def test_moving_does_not_steal_what_somebody_changed_since():
    """A field that no longer has the value kubectl applied belongs to whoever changed it."""
    with pytest.raises(ApplyConflict) as caught:
        do_apply(client_side({"a": "p"}, changed={"a": "r"}), thing({"a": "q"}), "kubectl")
    assert [c.manager for c in caught.value.conflicts] == ["somebody"]


@pytest.mark.parametrize("annotation", ["{", "[]", "null", '"x"'], ids=repr)
def test_a_broken_annotation_moves_nothing(annotation):
    """An annotation that cannot be read proves nothing about who owns what."""
    live = do_update(None, thing({"a": "p"}, annotations={LAST_APPLIED: annotation}), "kubectl-client-side-apply")
    with pytest.raises(ApplyConflict):
        do_apply(live, thing({"a": "q"}), "kubectl")
