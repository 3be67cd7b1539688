"""What plan, why, status, logs and tree print of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli.verbs import logs, plan, status, tree, why

STEP: dict[str, Any] = {
    "verb": "delete",
    "part": "server",
    "why": "flavor changed",
    "destroys": "its local disk",
    "interrupts": None,
    "changes": {},
}
CREATE: dict[str, Any] = {
    "verb": "create",
    "part": "server",
    "why": "",
    "destroys": None,
    "interrupts": None,
    "changes": {"flavor": "big"},
}


def row(name: str, action: str, *steps: dict[str, Any], message: str = "") -> dict[str, Any]:
    return {
        "kind": "Machine",
        "namespace": "default",
        "name": name,
        "action": action,
        "reason": "",
        "message": message,
        "steps": list(steps),
    }


def test_a_plan_shows_each_step_and_what_it_destroys() -> None:
    """Marks + ~ -, the reason of each step, its changes, and the loss in the words of the driver; what stays is only counted."""
    lines = plan.render([row("a", "none"), row("b", "replace", STEP, CREATE)])
    assert lines == [
        "Machine/b  replace",
        "  -delete server  flavor changed",
        "      destroys its local disk",
        "  +create server",
        "      flavor: big",
        "",
        "2 objects: 1 to create, 0 to update, 1 to delete. 1 step destroys something.",
    ]


def test_status_shows_what_a_cloud_has_left() -> None:
    """Used and limit of each quota, how old that is; what is used up is red, and a cloud that does not tell says why."""
    rows = [{"resource": "cores", "used": 20, "limit": 20}, {"resource": "ports", "used": 3, "limit": None}]
    found = [
        {"account": "default/cloud#lab", "asOf": None, "error": None, "quotas": rows},
        {"account": "default/cloud#far", "asOf": None, "error": "no answer yet", "quotas": []},
    ]
    assert status.clouds(found) == [
        "",
        "Cloud default/cloud#lab",
        "  QUOTA   USED   LIMIT",
        "  cores   20     20",
        "  ports   3      -",
        "",
        "Cloud default/cloud#far",
        "  quotas cannot be told: no answer yet",
    ]
    assert [line for line in status.clouds(found, colour=True) if "\x1b[31m" in line] == [
        "  \x1b[31mcores   20     20\x1b[0m",
        "\x1b[31m  quotas cannot be told: no answer yet\x1b[0m",
    ]


def test_a_loss_is_red_on_a_terminal() -> None:
    """What is destroyed or interrupted cannot be overlooked."""
    text = "\n".join(plan.render([row("b", "replace", STEP | {"interrupts": "it reboots"})], colour=True))
    assert "\x1b[31mdestroys its local disk\x1b[0m" in text
    assert "\x1b[31minterrupts: it reboots\x1b[0m" in text


def test_a_plan_without_objects_says_how_to_get_some() -> None:
    """Nothing is never an empty screen."""
    assert "anneal up" in plan.render([])[0]


def node(depth: int, kind: str, name: str, type_: str, reason: str, message: str) -> dict[str, Any]:
    condition = {"type": type_, "status": "False", "reason": reason, "message": message}
    return {"depth": depth, "kind": kind, "namespace": "default", "name": name, "condition": condition}


def test_why_leads_to_the_deepest_cause() -> None:
    """Each object under the one that needs it, the raw words of what failed, what comes next, the runbook."""
    nodes = [
        node(0, "RayCluster", "tuning", "WorkersReady", "DependencyNotReady", "1 of 2 workers is missing"),
        node(1, "Machine", "cpu-1", "Provisioned", "QuotaExceeded", "Quota exceeded for cores"),
    ]
    assert why.render({"nodes": nodes, "next": "again in 4 min", "runbook": "docs/runbooks/QuotaExceeded.md"}) == [
        "RayCluster/tuning  WorkersReady=False  1 of 2 workers is missing",
        "└─ Machine/cpu-1   Provisioned=False   QuotaExceeded",
        "   Quota exceeded for cores",
        "   again in 4 min",
        "   see docs/runbooks/QuotaExceeded.md",
    ]


STATUS: dict[str, Any] = {
    "version": "1", "installation": "i", "pid": 7, "startedAt": "2026-01-01T00:00:00Z", "home": "/h", "apiserver": "https://x",
    "mode": "embedded", "leader": {"holder": "me", "self": True}, "ready": True, "notReady": [], "sources": [],
    "kinds": [{"kind": "Machine", "plural": "machines", "total": 2, "ready": 1}], "queue": {"depth": 0, "busy": 0, "retrying": 1},
    "breakers": [], "informer": {"restarts": 0},
}  # fmt: skip
SOURCE: dict[str, Any] = {
    "id": "lab-1",
    "path": "/lab",
    "state": "Synced",
    "files": 1,
    "objects": 2,
    "lastSync": None,
    "errors": [],
    "pendingRemovals": [],
}


@pytest.mark.parametrize(
    ("change", "well"),
    [({}, True), ({"sources": [SOURCE]}, True), ({"ready": False, "notReady": ["standing by"]}, False),
     ({"sources": [SOURCE | {"state": "Errors"}]}, False),
     ({"breakers": [{"driver": "d", "open": True, "message": "m"}]}, False)],
    ids=["well", "synced", "standby", "file-errors", "breaker"],
)  # fmt: skip
def test_status_is_well_only_if_all_is_well(change: dict[str, Any], well: bool) -> None:
    """The exit code that scripts see."""
    assert status.healthy(STATUS | change) is well


def test_status_shows_what_needs_a_person() -> None:
    """Errors with their place and hint, removals that wait, open breakers, and the command that helps."""
    error = {
        "file": "a.yaml",
        "line": 3,
        "column": 5,
        "object": "Machine/x",
        "path": "spec.y",
        "message": "unknown field",
        "hint": "fix it",
    }
    broken = SOURCE | {"state": "Errors", "errors": [error], "pendingRemovals": ["machine/default/a"]}
    text = "\n".join(
        status.render(STATUS | {"sources": [broken], "breakers": [{"driver": "d", "open": True, "message": "too many"}]})
    )
    assert "a.yaml:3:5  Machine/x  spec.y\n  unknown field\n  fix it" in text
    assert "anneal confirm lab-1" in text
    assert "Breaker d is open: too many" in text
    assert "Machine   2         1       1" in text


@pytest.mark.parametrize(
    ("line", "shown"),
    [('{"timestamp":"2026-01-01T10:11:12Z","level":"info","event":"made","plural":"machines","name":"w","id":"s 1"}',
      '10:11:12 info    made machines/w id="s 1"'),
     ("Segmentation fault\x1b[0m", "Segmentation fault[0m"),
     ('{"a": 1}', '{"a": 1}')],
    ids=["event", "no-json", "no-event"],
)  # fmt: skip
def test_a_log_line_is_readable(line: str, shown: str) -> None:
    """Time, level, event, about whom, the rest; what is no event stays as it is, without control characters."""
    assert logs.readable(line) == shown


def obj(name: str, uid: str, *owners: str, ready: str = "True", parts: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "apiVersion": "anneal.dev/v1alpha1",
        "kind": "Machine",
        "metadata": {"name": name, "uid": uid, "ownerReferences": [{"uid": owner} for owner in owners]},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "reason": "Building", "message": "soon"}],
            "parts": [{"name": part, "ref": f"id-{part}"} for part in parts],
        },
    }


def test_a_tree_shows_owned_objects_and_external_parts() -> None:
    """Owners above, owned below, what exists outside as leaves; what is not ready says why."""
    root = obj("a", "1")
    objects = [root, obj("b", "2", "1", ready="False", parts=("server",)), obj("c", "3", "1")]
    assert list(tree.render(root, objects)) == [
        "✔ machine/a",
        "├─ ✘ machine/b  Building: soon",
        "│  └─ server  id-server",
        "└─ ✔ machine/c",
    ]


def test_owners_in_a_ring_end() -> None:
    """Two objects that own each other are shown once each, not for ever."""
    one, two = obj("a", "1", "2"), obj("b", "2", "1")
    assert len(list(tree.render(one, [one, two]))) == 2
