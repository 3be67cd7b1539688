"""kubectl apply, client-side and server-side, diff and edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kubectl import Kubectl, configmap, documents, machine, simulated

pytestmark = pytest.mark.kubectl

SIDES = pytest.mark.parametrize("side", ["", "--server-side"], ids=["client-side", "server-side"])


def flags(side: str) -> list[str]:
    return [side] if side else []


@SIDES
def test_create_then_nothing_then_change(kubectl: Kubectl, side: str):
    """The first apply creates, the same again changes nothing, another changes just that; the defaults stay."""
    word = "serverside-applied" if side else "created"
    assert kubectl("apply", *flags(side), "-f", "-", stdin=simulated("m", flavor="big")).out == f"machine.anneal.dev/m {word}\n"
    before = kubectl.read("machines", "m")
    assert before["spec"]["simulated"]["image"] == "debian-12"
    kubectl("apply", *flags(side), "-f", "-", stdin=simulated("m", flavor="big"))
    assert kubectl.read("machines", "m") == before
    kubectl("apply", *flags(side), "-f", "-", stdin=simulated("m", flavor="huge"))
    after = kubectl.read("machines", "m")
    assert after["spec"]["simulated"]["flavor"] == "huge"
    assert after["metadata"]["generation"] == 2


def test_client_side_says_unchanged(kubectl: Kubectl):
    """Client-side apply compares, and says what it did."""
    kubectl("apply", "-f", "-", stdin=machine("m"))
    assert kubectl("apply", "-f", "-", stdin=machine("m")).out == "machine.anneal.dev/m unchanged\n"
    assert kubectl("apply", "-f", "-", stdin=machine("m", {"a": "b"})).out == "machine.anneal.dev/m configured\n"


@SIDES
def test_what_is_no_longer_applied_goes(kubectl: Kubectl, side: str):
    """A field left out of the file is removed, or gets its default again; what others set stays."""
    kubectl("apply", *flags(side), "-f", "-", stdin=[simulated("m", flavor="big"), configmap("c", a="1", b="2")])
    kubectl("label", "machine", "m", "theirs=kept")
    kubectl("apply", *flags(side), "-f", "-", stdin=[simulated("m"), configmap("c", a="1")])
    kept = kubectl.read("machines", "m")
    assert kept["spec"]["simulated"]["flavor"] == "small"
    assert kept["metadata"]["labels"] == {"theirs": "kept"}
    assert kubectl.read("configmaps", "c", group="v1")["data"] == {"a": "1"}


@SIDES
def test_a_folder_of_many(kubectl: Kubectl, side: str):
    """apply -f DIR applies every document of every file."""
    (kubectl.folder / "one.yaml").write_text(documents([machine("a"), configmap("c", k="v")]))
    (kubectl.folder / "two.yaml").write_text(documents(machine("b")))
    out = kubectl("apply", *flags(side), "-f", ".").lines
    assert [line.split()[0] for line in out] == ["machine.anneal.dev/a", "configmap/c", "machine.anneal.dev/b"]


@SIDES
def test_a_dry_run_changes_nothing(kubectl: Kubectl, side: str):
    """--dry-run=server does everything but store it."""
    out = kubectl("apply", *flags(side), "--dry-run=server", "-f", "-", "-o", "json", stdin=simulated("m")).json
    assert out["spec"]["simulated"]["flavor"] == "small"
    assert "not found" in kubectl("get", "machine", "m", code=1).err


@SIDES
def test_unknown_fields_are_refused(kubectl: Kubectl, side: str):
    """A misspelt field is an error that names it and what was meant; nothing is created."""
    found = kubectl("apply", *flags(side), "-f", "-", stdin=simulated("m", flavour="big"), code=1)
    assert 'unknown field "spec.simulated.flavour"' in found.err
    assert 'did you mean "flavor"' in found.err
    kubectl("get", "machine", "m", code=1)


def test_unknown_fields_may_be_warned_of(kubectl: Kubectl):
    """--validate=warn applies the rest and warns; --validate=ignore says nothing."""
    warned = kubectl("apply", "--validate=warn", "-f", "-", stdin=simulated("m", flavour="big"))
    assert 'unknown field "spec.simulated.flavour"' in warned.err
    assert "flavour" not in kubectl.read("machines", "m")["spec"]["simulated"]
    ignored = kubectl("apply", "--validate=ignore", "-f", "-", stdin=simulated("other", flavour="big"))
    assert ignored.err == ""


@SIDES
def test_wrong_values_are_explained(kubectl: Kubectl, side: str):
    """Each wrong field is named with its value and what was expected."""
    wrong = simulated("m", image="a b", ports=[{"network": "n"}] * 9)
    found = kubectl("apply", *flags(side), "-f", "-", stdin=wrong, code=1).err
    assert 'spec.simulated.image: Invalid value: "a b": should match' in found
    assert "spec.simulated.ports: Too many: 9: must have at most 8 items" in found


@SIDES
def test_what_cannot_change_is_refused(kubectl: Kubectl, side: str):
    """A change that only a new object can have is refused by the field's name."""
    kubectl("apply", *flags(side), "-f", "-", stdin=simulated("m"))
    found = kubectl("apply", *flags(side), "-f", "-", stdin=simulated("m", endpoint="http://other"), code=1)
    assert "endpoint cannot be changed" in found.err


# --- server-side -----------------------------------------------------------------------------------------------------


def test_a_conflict_names_the_other_manager(kubectl: Kubectl):
    """Changing another manager's field is refused with its name and the field; --force-conflicts takes it over."""
    kubectl("apply", "--server-side", "--field-manager=alice", "-f", "-", stdin=simulated("m", flavor="big"))
    found = kubectl("apply", "--server-side", "--field-manager=bob", "-f", "-", stdin=simulated("m", flavor="huge"), code=1)
    assert 'Apply failed with 1 conflict: conflict with "alice": .spec.simulated.flavor' in found.err
    assert kubectl.read("machines", "m")["spec"]["simulated"]["flavor"] == "big"
    kubectl("apply", "--server-side", "--field-manager=bob", "--force-conflicts", "-f", "-", stdin=simulated("m", flavor="huge"))
    assert kubectl.read("machines", "m")["spec"]["simulated"]["flavor"] == "huge"


def test_several_conflicts_are_all_named(kubectl: Kubectl):
    """Every field in conflict is listed at once."""
    kubectl("apply", "--server-side", "--field-manager=alice", "-f", "-", stdin=simulated("m", flavor="a", image="a"))
    wanted = simulated("m", flavor="b", image="b")
    found = kubectl("apply", "--server-side", "--field-manager=bob", "-f", "-", stdin=wanted, code=1).err
    assert "2 conflicts" in found
    assert ".spec.simulated.flavor" in found
    assert ".spec.simulated.image" in found


def test_lists_are_applied_as_a_whole(kubectl: Kubectl):
    """A list without keys belongs to one manager: another that lists something else is in conflict with it."""
    kubectl("apply", "--server-side", "--field-manager=alice", "-f", "-", stdin=simulated("m", ports=[{"network": "a"}]))
    other = simulated("m", ports=[{"network": "b"}])
    found = kubectl("apply", "--server-side", "--field-manager=bob", "-f", "-", stdin=other, code=1)
    assert 'conflict with "alice": .spec.simulated.ports' in found.err


def test_managers_share_an_object(kubectl: Kubectl):
    """Managers of different fields live side by side; each takes back only its own."""
    kubectl("apply", "--server-side", "--field-manager=alice", "-f", "-", stdin=machine("m", {"a": "1"}))
    labels = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": {"name": "m", "labels": {"b": "2"}}}
    kubectl("apply", "--server-side", "--field-manager=bob", "-f", "-", stdin=labels)
    assert kubectl.read("machines", "m")["metadata"]["labels"] == {"a": "1", "b": "2"}
    labels["metadata"] = {"name": "m"}
    kubectl("apply", "--server-side", "--field-manager=bob", "-f", "-", stdin=labels)
    assert kubectl.read("machines", "m")["metadata"]["labels"] == {"a": "1"}
    shown = kubectl("get", "machine", "m", "-o", "yaml", "--show-managed-fields").out
    assert "manager: alice" in shown


def test_from_client_side_to_server_side(kubectl: Kubectl):
    """An object applied client-side goes over to server-side without force, and fields can then be removed by it."""
    kubectl("apply", "-f", "-", stdin=simulated("m", flavor="big", image="i"))
    kubectl("apply", "--server-side", "-f", "-", stdin=simulated("m", flavor="huge", image="i"))
    kubectl("apply", "--server-side", "-f", "-", stdin=simulated("m", flavor="huge"))
    moved = kubectl.read("machines", "m")
    assert moved["spec"]["simulated"]["flavor"] == "huge"
    assert moved["spec"]["simulated"]["image"] == "debian-12"
    managers = {(e["manager"], e["operation"]) for e in moved["metadata"]["managedFields"]}
    assert ("kubectl-client-side-apply", "Update") not in managers


def test_there_and_back_again(kubectl: Kubectl):
    """An object may go from client-side to server-side apply and back: each time the file is what counts."""
    kubectl("apply", "-f", "-", stdin=machine("m", {"a": "1"}))
    kubectl("apply", "--server-side", "-f", "-", stdin=machine("m", {"a": "1", "b": "2"}))
    kubectl("apply", "-f", "-", stdin=machine("m", {"b": "2", "c": "3"}))
    assert kubectl.read("machines", "m")["metadata"]["labels"] == {"b": "2", "c": "3"}


def test_a_plain_write_takes_the_field(kubectl: Kubectl):
    """What another client changes by a patch is its own then: the next apply is in conflict with it."""
    kubectl("apply", "--server-side", "-f", "-", stdin=simulated("m", flavor="big"))
    kubectl("patch", "machine", "m", "--type=merge", "-p", '{"spec": {"simulated": {"flavor": "huge"}}}')
    found = kubectl("apply", "--server-side", "-f", "-", stdin=simulated("m", flavor="big"), code=1)
    assert 'conflict with "kubectl-patch" using anneal.dev/v1alpha1' in found.err


# --- diff ------------------------------------------------------------------------------------------------------------


@SIDES
def test_diff(kubectl: Kubectl, side: str):
    """diff shows what an apply would change, exits 1 if anything, 0 if nothing, and changes nothing."""
    kubectl("apply", *flags(side), "-f", "-", stdin=simulated("m", flavor="big"))
    assert kubectl("diff", *flags(side), "-f", "-", stdin=simulated("m", flavor="big")).out == ""
    shown = kubectl("diff", *flags(side), "-f", "-", stdin=simulated("m", flavor="huge"), code=1).lines
    assert "-    flavor: big" in shown
    assert "+    flavor: huge" in shown
    assert kubectl.read("machines", "m")["spec"]["simulated"]["flavor"] == "big"


def test_diff_of_what_is_not_there(kubectl: Kubectl):
    """diff of a new object shows it whole, defaults included."""
    shown = kubectl("diff", "-f", "-", stdin=simulated("m"), code=1).lines
    assert "+    image: debian-12" in shown


# --- edit ------------------------------------------------------------------------------------------------------------


def editor(folder: Path, old: str, new: str) -> str:
    """An editor that replaces one text by another, once."""
    script = folder / "editor"
    script.write_text(f'#!/bin/sh\nsed -i "s/{old}/{new}/" "$1"\n')
    script.chmod(0o755)
    return str(script)


def test_edit(kubectl: Kubectl):
    """edit opens the object in an editor and stores what was saved."""
    kubectl.create(simulated("m", flavor="big"))
    edit = editor(kubectl.folder, "flavor: big", "flavor: huge")
    assert kubectl("edit", "machine", "m", KUBE_EDITOR=edit).out == "machine.anneal.dev/m edited\n"
    assert kubectl.read("machines", "m")["spec"]["simulated"]["flavor"] == "huge"


def test_edit_without_a_change(kubectl: Kubectl):
    """Closing the editor without a change stores nothing."""
    kubectl.create(simulated("m"))
    assert "no changes made" in kubectl("edit", "machine", "m", KUBE_EDITOR=editor(kubectl.folder, "nothing", "x")).err


def test_edit_with_a_mistake(kubectl: Kubectl):
    """A mistake comes back into the editor as a comment that names the field; the object stays as it was."""
    kubectl.create(simulated("m", flavor="big"))
    script = kubectl.folder / "editor"
    script.write_text('#!/bin/sh\ncp "$1" seen\nsed -i "s/flavor: big/flavor: not valid/" "$1"\n')
    script.chmod(0o755)
    kubectl("edit", "machine", "m", KUBE_EDITOR=str(script), code=1)
    assert "spec.simulated.flavor: Invalid value" in (kubectl.folder / "seen").read_text()
    assert kubectl.read("machines", "m")["spec"]["simulated"]["flavor"] == "big"


def test_last_applied(kubectl: Kubectl):
    """apply view-last-applied and set-last-applied read and write the annotation."""
    kubectl("apply", "-f", "-", stdin=machine("m"))
    assert "local: {}" in kubectl("apply", "view-last-applied", "machine", "m").out
    (kubectl.folder / "m.yaml").write_text(documents(machine("m", {"a": "b"})))
    kubectl("apply", "set-last-applied", "-f", "m.yaml")
    assert "a: b" in kubectl("apply", "view-last-applied", "machine", "m").out


def test_prune(kubectl: Kubectl):
    """apply --prune deletes what the selector selects and the files no longer hold."""
    both = [machine("a", {"set": "x"}), machine("b", {"set": "x"})]
    kubectl("apply", "-f", "-", stdin=both)
    allow = "--prune-allowlist=anneal.dev/v1alpha1/Machine"
    out = kubectl("apply", "--prune", "-l", "set=x", allow, "-f", "-", stdin=both[:1]).out
    assert "machine.anneal.dev/b pruned" in out
    assert kubectl("get", "machines", "-o", "name").lines == ["machine.anneal.dev/a"]
