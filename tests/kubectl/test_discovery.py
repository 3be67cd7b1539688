"""What kubectl learns of the server: explain, api-resources, events, describe, auth, version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kubectl import Kubectl, machine

pytestmark = pytest.mark.kubectl


def test_api_resources(kubectl: Kubectl):
    """Every kind is listed with short name, group, scope and kind; the category selects ours."""
    rows = [line.split() for line in kubectl("api-resources").lines]
    assert ["machines", "mch", "anneal.dev/v1alpha1", "true", "Machine"] in rows
    assert ["namespaces", "ns", "v1", "false", "Namespace"] in rows
    ours = kubectl("api-resources", "--categories=anneal", "-o", "name").lines
    assert "machines.anneal.dev" in ours
    assert all(name.endswith(".anneal.dev") for name in ours)
    assert "secrets" in kubectl("api-resources", "--verbs=list,watch", "--namespaced=true", "-o", "name").lines


def test_api_versions(kubectl: Kubectl):
    """Every group and version is listed."""
    assert {"v1", "anneal.dev/v1alpha1", "coordination.k8s.io/v1", "apiextensions.k8s.io/v1"} <= set(
        kubectl("api-versions").lines
    )


EXPLAINED = {
    "machine": "One host: this machine, or a server of a cloud.",
    "machine.spec": "simulated",
    "machine.spec.simulated.flavor": "Size of the server. A change replaces the server.",
    "machine.spec.simulated.ports.network": "Name of the network.",
    "machine.metadata.ownerReferences.uid": "UID of the owner.",
    "machine.status.conditions": "What holds and what does not, and why.",
    "configmap.data": "Text by key.",
    "namespace": "A scope for names.",
}


@pytest.mark.parametrize("path", EXPLAINED)
def test_explain(kubectl: Kubectl, path: str):
    """explain prints the description of any field of any kind."""
    assert EXPLAINED[path] in " ".join(kubectl("explain", path).out.split())


def test_explain_shows_type_default_and_choices(kubectl: Kubectl):
    """explain prints a field's type and its allowed values; with --recursive the whole tree."""
    out = kubectl("explain", "machine.spec.managementPolicy").out
    assert "FIELD: managementPolicy <string>" in out
    assert "unmanaged" in out
    tree = kubectl("explain", "machine", "--recursive").out
    assert "credentialsRef" in tree
    assert "retryPeriodSeconds" in tree


def test_explain_of_nothing(kubectl: Kubectl):
    """A field that does not exist is an error."""
    assert 'field "nope" does not exist' in kubectl("explain", "machine.spec.nope", code=1).err


# --- events and describe ---------------------------------------------------------------------------------------------


def event(kubectl: Kubectl, about: dict[str, Any], reason: str, kind: str = "Normal") -> None:
    meta = about["metadata"]
    kubectl.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}."},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "reason": reason,
            "message": f"the message of {reason}",
            "type": kind,
            "source": {"component": "anneal"},
            "firstTimestamp": meta["creationTimestamp"],
            "lastTimestamp": meta["creationTimestamp"],
            "count": 1,
        }
    )


@pytest.fixture
def told(kubectl: Kubectl) -> Kubectl:
    """Two machines; a has two events, b has one."""
    a, b = kubectl.create(machine("a", {"x": "y"})), kubectl.create(machine("b"))
    kubectl.ready("a")
    event(kubectl, a, "Creating")
    event(kubectl, a, "Building", "Warning")
    event(kubectl, b, "Other")
    return kubectl


def test_describe(told: Kubectl):
    """describe prints labels, spec, status, conditions and the object's own events."""
    out = told("describe", "machine", "a").out
    assert "Name:         a" in out
    assert "x=y" in out
    assert "all is well" in out
    events = out[out.index("Events:") :]
    assert "the message of Creating" in events
    assert "Warning" in events
    assert "Other" not in events


def test_events(told: Kubectl):
    """kubectl events prints those of a namespace, of one object, or of one type."""
    assert len(told("events").lines) == 4
    assert {line.split()[2] for line in told("events", "--for", "machine/a").lines[1:]} == {"Creating", "Building"}
    assert [line.split()[2] for line in told("events", "--types=Warning").lines[1:]] == ["Building"]


def test_get_events(told: Kubectl):
    """get events selects by the fields of what happened."""
    rows = told("get", "events", "--field-selector", "involvedObject.name=a,type=Warning", "--no-headers").lines
    assert [row.split()[1:4] for row in rows] == [["Warning", "Building", "machine/a"]]


def test_describe_built_in_kinds(kubectl: Kubectl):
    """describe works for the built-in kinds, for which kubectl has code of its own."""
    kubectl("create", "configmap", "c", "--from-literal=key=value")
    assert "value" in kubectl("describe", "configmap", "c").out
    assert "Active" in kubectl("describe", "namespace", kubectl.namespace).out


# --- the server itself -----------------------------------------------------------------------------------------------


def test_auth(kubectl: Kubectl):
    """Whoever holds the token may do everything, and can ask who they are."""
    assert kubectl("auth", "can-i", "create", "machines").out == "yes\n"
    assert kubectl("auth", "can-i", "delete", "secrets", "-A").out == "yes\n"
    assert "anneal" in kubectl("auth", "whoami").out


def test_version_and_cluster_info(kubectl: Kubectl):
    """The server has a version that kubectl takes for compatible, and says where it runs."""
    found = kubectl("version", "-o", "json").json["serverVersion"]
    assert (found["major"], found["gitVersion"].split("+")[1][:6]) == ("1", "anneal")
    assert kubectl.server.api.url in kubectl("cluster-info").out


def test_without_the_token_nothing_is_told(kubectl: Kubectl):
    """A wrong token is refused."""
    refused = kubectl("--token=wrong", "get", "machines", code=1).err
    assert "Unauthorized" in refused or "must be logged in" in refused
