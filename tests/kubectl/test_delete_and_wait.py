"""kubectl delete with its three cascades, finalizers, and wait."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kubectl import Kubectl, configmap, documents, machine

pytestmark = pytest.mark.kubectl


def owned(kubectl: Kubectl, owner: dict[str, Any], name: str, *, blocking: bool = False) -> dict[str, Any]:
    """A Machine that belongs to another."""
    child = machine(name)
    child["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocking,
        }
    ]
    return kubectl.create(child)


def names(kubectl: Kubectl) -> list[str]:
    return kubectl("get", "machines", "-o", "jsonpath={.items[*].metadata.name}").out.split()


# --- delete ----------------------------------------------------------------------------------------------------------


def test_delete_by_name_selector_file_and_all(kubectl: Kubectl):
    """Objects are deleted by name, by label, by file, and all at once; the others stay."""
    for name in "abcdef":
        kubectl.create(machine(name, {"side": "left" if name in "bc" else "right"}))
    assert kubectl("delete", "machine", "a").out.startswith('machine.anneal.dev "a" deleted')
    kubectl("delete", "machines", "-l", "side=left")
    assert names(kubectl) == ["d", "e", "f"]
    (kubectl.folder / "d.yaml").write_text(documents(machine("d")))
    kubectl("delete", "-f", "d.yaml")
    assert names(kubectl) == ["e", "f"]
    kubectl("delete", "machines", "--all")
    assert names(kubectl) == []


def test_delete_what_is_not_there(kubectl: Kubectl):
    """A missing object is an error by name, unless told otherwise."""
    assert 'machines.anneal.dev "nope" not found' in kubectl("delete", "machine", "nope", code=1).err
    kubectl("delete", "machine", "nope", "--ignore-not-found")


def test_a_dry_run_deletes_nothing(kubectl: Kubectl):
    """--dry-run=server asks, and nothing is gone."""
    kubectl.create(machine("a"))
    assert "(server dry run)" in kubectl("delete", "machine", "a", "--dry-run=server").out
    assert names(kubectl) == ["a"]


def test_a_finalizer_holds_the_object(kubectl: Kubectl):
    """delete waits for finalizers; the object is marked and stays until the last one is taken off."""
    held = machine("a")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    kubectl.create(held)
    with kubectl.start("delete", "machine", "a") as deleting:
        kubectl("wait", "--for=jsonpath={.metadata.deletionTimestamp}", "machine/a", "--timeout=20s")
        assert deleting.poll() is None
        kubectl("patch", "machine", "a", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        assert deleting.wait(20) == 0
    assert names(kubectl) == []


def test_background_cascade(kubectl: Kubectl):
    """By default the owner goes at once and what belongs to it follows, generation by generation."""
    child = owned(kubectl, kubectl.create(machine("owner")), "child")
    owned(kubectl, child, "grandchild")
    kubectl("delete", "machine", "owner")
    kubectl("wait", "--for=delete", "machine/child", "machine/grandchild", "--timeout=20s")
    assert names(kubectl) == []


def test_foreground_cascade(kubectl: Kubectl):
    """In the foreground the owner stays until what blocks it is gone."""
    owner = kubectl.create(machine("owner"))
    child = owned(kubectl, owner, "child", blocking=True)
    body = {"metadata": {"finalizers": ["example.com/hold"]}}
    kubectl.server.call("PATCH", kubectl.path("machines", "child"), body, "application/merge-patch+json")
    kubectl("delete", "machine", "owner", "--cascade=foreground", "--wait=false")
    kubectl("wait", "--for=jsonpath={.metadata.deletionTimestamp}", "machine/child", "--timeout=20s")
    assert names(kubectl) == ["child", "owner"]
    assert kubectl.read("machines", "owner")["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert child["metadata"]["uid"]
    kubectl("patch", "machine", "child", "--type=json", "-p", '[{"op": "remove", "path": "/metadata/finalizers"}]')
    kubectl("wait", "--for=delete", "machine/owner", "--timeout=20s")
    assert names(kubectl) == []


def test_orphan_cascade(kubectl: Kubectl):
    """With orphan the owner goes and what belonged to it stays, on its own from then on."""
    owned(kubectl, kubectl.create(machine("owner")), "child")
    kubectl("delete", "machine", "owner", "--cascade=orphan")
    assert names(kubectl) == ["child"]
    assert "ownerReferences" not in kubectl.read("machines", "child")["metadata"]


def test_a_namespace_takes_its_content_along(kubectl: Kubectl):
    """Deleting a namespace deletes what is in it, and the namespace last."""
    kubectl.create(machine("m"))
    kubectl.create(configmap("c", a="1"))
    kubectl("delete", "namespace", kubectl.namespace)
    assert "not found" in kubectl("get", "namespace", kubectl.namespace, code=1).err
    assert names(kubectl) == []


def test_the_default_namespace_stays(kubectl: Kubectl):
    """Namespaces that must exist cannot be deleted."""
    assert "forbidden" in kubectl("delete", "namespace", "default", code=1).err.lower()


# --- wait ------------------------------------------------------------------------------------------------------------


def test_wait_for_a_condition_that_holds(kubectl: Kubectl):
    """A condition that holds already is not waited for."""
    kubectl.create(machine("m"))
    kubectl.ready("m")
    assert kubectl("wait", "--for=condition=Ready", "machine/m", "--timeout=20s").out == "machine.anneal.dev/m condition met\n"


def test_wait_for_a_condition_to_come(kubectl: Kubectl):
    """A condition that comes true ends the wait."""
    kubectl.create(machine("m"))
    kubectl.ready("m", "False")
    with kubectl.start("wait", "--for=condition=Ready", "machine/m", "--timeout=30s") as waiting:
        kubectl.ready("m", "True")
        assert waiting.wait(20) == 0


def test_wait_for_another_value(kubectl: Kubectl):
    """A condition's value, or any field, can be waited for."""
    kubectl.create(machine("m"))
    kubectl.ready("m", "False", instanceState="SHUTOFF")
    kubectl("wait", "--for=condition=Ready=False", "machine/m", "--timeout=20s")
    kubectl("wait", "--for=jsonpath={.status.instanceState}=SHUTOFF", "machine/m", "--timeout=20s")


def test_wait_runs_out_of_time(kubectl: Kubectl):
    """A wait that runs out says what it waited for, and fails."""
    kubectl.create(machine("m"))
    assert (
        "timed out waiting for the condition" in kubectl("wait", "--for=condition=Ready", "machine/m", "--timeout=1s", code=1).err
    )


def test_wait_for_all_to_go(kubectl: Kubectl):
    """wait --for=delete ends when the last of them is gone."""
    for name in "ab":
        kubectl.create(machine(name))
    with kubectl.start("wait", "--for=delete", "machines", "--all", "--timeout=30s") as waiting:
        kubectl("delete", "machines", "--all")
        assert waiting.wait(20) == 0


def test_wait_for_one_to_come(kubectl: Kubectl):
    """wait --for=create ends when the object is there."""
    with kubectl.start("wait", "--for=create", "machine/m", "--timeout=30s") as waiting:
        kubectl.create(machine("m"))
        assert waiting.wait(20) == 0
