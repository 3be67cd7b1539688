"""kubectl create, patch, label, annotate, replace."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.kubectl import Kubectl, configmap, documents, machine, simulated

pytestmark = pytest.mark.kubectl


# --- create ----------------------------------------------------------------------------------------------------------


def test_create_from_a_file(kubectl: Kubectl):
    """create -f creates; a second time the name is taken."""
    assert kubectl("create", "-f", "-", stdin=machine("m")).out == "machine.anneal.dev/m created\n"
    again = kubectl("create", "-f", "-", stdin=machine("m"), code=1)
    assert 'Error from server (AlreadyExists): error when creating "STDIN": machines.anneal.dev "m" already exists' in again.err


def test_create_with_a_generated_name(kubectl: Kubectl):
    """generateName gives each object a name of its own."""
    unnamed = machine("x")
    unnamed["metadata"] = {"generateName": "m-"}
    names = {kubectl("create", "-f", "-", "-o", "name", stdin=unnamed).out.strip() for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("machine.anneal.dev/m-") for name in names)


def test_create_namespace(kubectl: Kubectl):
    """create namespace makes one in which objects can be created at once."""
    name = f"{kubectl.namespace}-new"
    assert kubectl("create", "namespace", name).out == f"namespace/{name} created\n"
    kubectl("create", "-n", name, "-f", "-", stdin=machine("m"))
    assert kubectl("get", "ns", name, "-o", "jsonpath={.status.phase}").out == "Active"


def test_nothing_is_created_in_a_namespace_that_is_not_there(kubectl: Kubectl):
    """A missing namespace is an error that names it."""
    missing = kubectl("create", "-n", "nowhere", "-f", "-", stdin=machine("m"), code=1)
    assert 'namespaces "nowhere" not found' in missing.err


def test_create_configmap(kubectl: Kubectl):
    """create configmap takes literals and files, text and bytes."""
    (kubectl.folder / "bytes").write_bytes(b"\x00\xff")
    kubectl("create", "configmap", "c", "--from-literal=a=1", "--from-file=bytes")
    made = kubectl.read("configmaps", "c", group="v1")
    assert made["data"] == {"a": "1"}
    assert base64.b64decode(made["binaryData"]["bytes"]) == b"\x00\xff"


def test_create_secret(kubectl: Kubectl):
    """create secret generic stores the value, and describe does not show it."""
    kubectl("create", "secret", "generic", "s", "--from-literal=password=hunter2")
    assert base64.b64decode(kubectl.read("secrets", "s", group="v1")["data"]["password"]) == b"hunter2"
    described = kubectl("describe", "secret", "s").out
    assert "password:  7 bytes" in described
    assert "hunter2" not in described


def test_create_lease(kubectl: Kubectl):
    """A lease can be created, renewed by a patch, and taken over only from the version that was seen."""
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    kubectl("create", "-f", "-", stdin=lease)
    kubectl("patch", "lease", "l", "--type=merge", "-p", '{"spec": {"holderIdentity": "you"}}')
    seen = kubectl.read("leases", "l", group="coordination.k8s.io/v1")
    assert seen["spec"]["holderIdentity"] == "you"


def test_dry_runs_create_nothing(kubectl: Kubectl):
    """--dry-run=client and --dry-run=server both leave the server as it was."""
    for mode in ("client", "server"):
        kubectl("create", "configmap", "c", f"--dry-run={mode}", "-o", "yaml")
    assert kubectl("get", "configmaps", "-o", "name").out == ""


# --- patch -----------------------------------------------------------------------------------------------------------

PATCHES = {
    "merge": ("merge", {"spec": {"simulated": {"flavor": "huge"}}}),
    "json": ("json", [{"op": "replace", "path": "/spec/simulated/flavor", "value": "huge"}]),
}


@pytest.mark.parametrize("name", PATCHES)
def test_patch(kubectl: Kubectl, name: str):
    """A merge patch and a JSON patch change the field they name, and only that; the same again is no change."""
    kind, patch = PATCHES[name]
    kubectl.create(simulated("m", image="i"))
    assert kubectl("patch", "machine", "m", f"--type={kind}", "-p", json.dumps(patch)).out == "machine.anneal.dev/m patched\n"
    assert "(no change)" in kubectl("patch", "machine", "m", f"--type={kind}", "-p", json.dumps(patch)).out
    spec = kubectl.read("machines", "m")["spec"]["simulated"]
    assert (spec["flavor"], spec["image"]) == ("huge", "i")


def test_strategic_patches_are_for_built_in_kinds(kubectl: Kubectl):
    """A strategic merge patch works on a built-in kind and is refused for a custom one, as in Kubernetes."""
    kubectl.create(configmap("c", a="1"))
    kubectl("patch", "configmap", "c", "-p", '{"data": {"b": "2"}, "metadata": {"finalizers": null}}')
    assert kubectl.read("configmaps", "c", group="v1")["data"] == {"a": "1", "b": "2"}
    kubectl.create(machine("m"))
    refused = kubectl("patch", "machine", "m", "--type=strategic", "-p", "{}", code=1)
    assert "application/strategic-merge-patch+json is not supported" in refused.err or "UnsupportedMediaType" in refused.err


def test_a_failing_test_changes_nothing(kubectl: Kubectl):
    """A JSON patch whose test fails is refused whole."""
    kubectl.create(simulated("m"))
    patch = [{"op": "replace", "path": "/spec/simulated/flavor", "value": "x"}, {"op": "test", "path": "/kind", "value": "no"}]
    kubectl("patch", "machine", "m", "--type=json", "-p", json.dumps(patch), code=1)
    assert kubectl.read("machines", "m")["spec"]["simulated"]["flavor"] == "small"


def test_status_is_patched_apart(kubectl: Kubectl):
    """--subresource=status changes the status only; a plain patch changes everything but it."""
    kubectl.create(simulated("m"))
    patch = json.dumps({"spec": {"simulated": {"flavor": "huge"}}, "status": {"instanceState": "ACTIVE"}})
    kubectl("patch", "machine", "m", "--subresource=status", "--type=merge", "-p", patch)
    seen = kubectl.read("machines", "m")
    assert seen["status"]["instanceState"] == "ACTIVE"
    assert seen["spec"]["simulated"]["flavor"] == "small"
    assert seen["metadata"]["generation"] == 1
    kubectl("patch", "machine", "m", "--type=merge", "-p", patch.replace("ACTIVE", "GONE"))
    seen = kubectl.read("machines", "m")
    assert seen["status"]["instanceState"] == "ACTIVE"
    assert seen["spec"]["simulated"]["flavor"] == "huge"


@pytest.mark.parametrize("kind", ["merge", "json"])
def test_a_patch_is_validated(kubectl: Kubectl, kind: str):
    """A patch cannot bring in what a create could not."""
    kubectl.create(simulated("m"))
    patch = {"merge": {"spec": {"remediation": {"maxRetry": 99}}},
             "json": [{"op": "add", "path": "/spec/remediation/maxRetry", "value": 99}]}[kind]  # fmt: skip
    refused = kubectl("patch", "machine", "m", f"--type={kind}", "-p", json.dumps(patch), code=1)
    assert "spec.remediation.maxRetry: Invalid value: 99" in refused.err


# --- label, annotate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["label", "annotate"])
def test_label_and_annotate(kubectl: Kubectl, verb: str):
    """A key is set, changed only with --overwrite, and removed by a trailing dash; on all objects with --all."""
    field = {"label": "labels", "annotate": "annotations"}[verb]
    for name in ("a", "b"):
        kubectl.create(machine(name))
    kubectl(verb, "machine", "a", "k=1")
    assert "--overwrite is false" in kubectl(verb, "machine", "a", "k=2", code=1).err
    kubectl(verb, "machines", "--all", "k=2", "--overwrite")
    assert [kubectl.read("machines", name)["metadata"][field]["k"] for name in "ab"] == ["2", "2"]
    kubectl(verb, "machine", "a", "k-")
    assert "k" not in kubectl.read("machines", "a")["metadata"].get(field, {})


def test_labels_have_a_syntax(kubectl: Kubectl):
    """A value that is no label value is refused."""
    kubectl.create(machine("a"))
    patch = json.dumps({"metadata": {"labels": {"k": "not a label"}}})
    assert "metadata.labels" in kubectl("patch", "machine", "a", "--type=merge", "-p", patch, code=1).err


# --- replace ---------------------------------------------------------------------------------------------------------


def test_replace(kubectl: Kubectl):
    """replace puts the file in place of the object: what is not in the file is gone."""
    kubectl("create", "-f", "-", stdin=simulated("m", flavor="big"))
    kubectl("label", "machine", "m", "gone=soon")
    assert kubectl("replace", "-f", "-", stdin=simulated("m", image="i")).out == "machine.anneal.dev/m replaced\n"
    seen = kubectl.read("machines", "m")
    assert "labels" not in seen["metadata"]
    assert (seen["spec"]["simulated"]["flavor"], seen["spec"]["simulated"]["image"]) == ("small", "i")


def test_replace_with_an_old_version(kubectl: Kubectl):
    """A file that names an older resourceVersion is refused: nobody's change is overwritten."""
    kubectl("create", "-f", "-", stdin=simulated("m"))
    old = kubectl.read("machines", "m")
    kubectl("label", "machine", "m", "newer=yes")
    refused = kubectl("replace", "-f", "-", stdin=old, code=1)
    assert "the object has been modified; please apply your changes to the latest version" in refused.err


def test_replace_by_force(kubectl: Kubectl):
    """replace --force deletes and creates anew: a new object, with a new UID."""
    kubectl("create", "-f", "-", stdin=simulated("m"))
    uid = kubectl.read("machines", "m")["metadata"]["uid"]
    (kubectl.folder / "m.yaml").write_text(documents(machine("m")))
    kubectl("replace", "--force", "-f", "m.yaml")
    assert kubectl.read("machines", "m")["metadata"]["uid"] != uid


def test_set_and_other_generic_verbs(kubectl: Kubectl):
    """Generic verbs such as `annotate --list` and `label --list` work on any kind."""
    kubectl.create(machine("m", {"a": "1"}))
    assert kubectl("label", "machine", "m", "--list").out == "a=1\n"


def test_subresources_by_name(kubectl: Kubectl):
    """get, replace and edit reach the status by --subresource, and leave the spec alone."""
    kubectl.create(simulated("m"))
    kubectl.ready("m", instanceState="BUILD")
    seen = kubectl("get", "machine", "m", "--subresource=status", "-o", "json").json
    seen["status"]["instanceState"] = "ACTIVE"
    seen["spec"]["simulated"]["flavor"] = "huge"
    kubectl("replace", "--subresource=status", "-f", "-", stdin=seen)
    after = kubectl.read("machines", "m")
    assert after["status"]["instanceState"] == "ACTIVE"
    assert after["spec"]["simulated"]["flavor"] == "small"
