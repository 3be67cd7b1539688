"""kubectl get: every format, every selector, and watching."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.support.kubectl import Kubectl, configmap, machine, simulated

pytestmark = pytest.mark.kubectl


@pytest.fixture
def three(kubectl: Kubectl) -> Kubectl:
    """Three machines: a and b are of the web, b is ready, c is neither."""
    kubectl.create(machine("a", {"app": "web", "tier": "front"}))
    kubectl.create(machine("b", {"app": "web"}))
    kubectl.create(simulated("c"))
    kubectl.ready("b", providerID="local:///b", instanceState="ACTIVE", addresses=[{"type": "InternalIP", "address": "10.0.0.2"}])
    return kubectl


def test_the_table(three: Kubectl):
    """The default table shows name, readiness, reason, age and message."""
    header, *rows = three("get", "machines").lines
    assert header.split() == ["NAME", "READY", "REASON", "AGE", "MESSAGE"]
    assert [row.split()[:3] for row in rows][1] == ["b", "True", "Healthy"]
    assert rows[1].endswith("all is well")


def test_wide(three: Kubectl):
    """-o wide adds the columns of priority 1."""
    header, *rows = three("get", "mch", "-o", "wide").lines
    assert header.split() == ["NAME", "READY", "REASON", "STATE", "ADDRESS", "PROVIDER-ID", "AGE", "MESSAGE"]
    assert rows[1].split()[3:6] == ["ACTIVE", "10.0.0.2", "local:///b"]


@pytest.mark.parametrize("read", [("json", json.loads), ("yaml", yaml.safe_load)], ids=["json", "yaml"])
def test_whole_objects(three: Kubectl, read):
    """-o json and -o yaml print the object with its kind, and a list of several."""
    form, parse = read
    one = parse(three("get", "machine", "b", "-o", form).out)
    assert (one["kind"], one["apiVersion"], one["metadata"]["name"]) == ("Machine", "anneal.dev/v1alpha1", "b")
    assert one["status"]["providerID"] == "local:///b"
    many = parse(three("get", "machines", "-o", form).out)
    assert many["kind"] == "List"
    assert [item["kind"] for item in many["items"]] == ["Machine"] * 3


def called(names: str) -> str:
    """What -o name prints of these machines."""
    return "".join(f"machine.anneal.dev/{name}\n" for name in names)


FORMATS = {
    "name": (["-o", "name"], called("abc")),
    "jsonpath": (["-o", "jsonpath={.items[*].metadata.name}"], "a b c"),
    "jsonpath-filter": (["-o", 'jsonpath={.items[?(@.metadata.labels.app=="web")].metadata.name}'], "a b"),
    "go-template": (["-o", "go-template={{range .items}}{{.metadata.name}};{{end}}"], "a;b;c;"),
    "custom-columns": (
        ["-o", "custom-columns=N:.metadata.name,P:.status.providerID"],
        "N     P\na     <none>\nb     local:///b\nc     <none>\n",
    ),
    "no-headers": (["-o", "custom-columns=N:.metadata.name", "--no-headers"], "a\nb\nc\n"),
    "sorted": (["-o", "name", "--sort-by", ".metadata.name"], called("abc")),
    "selected": (["-o", "name", "-l", "app=web"], called("ab")),
    "selected-by-set": (["-o", "name", "-l", "app in (web),tier notin (front)"], called("b")),
    "selected-by-absence": (["-o", "name", "-l", "!app"], called("c")),
    "selected-by-field": (["-o", "name", "--field-selector", "metadata.name=b"], called("b")),
    "selected-by-no-field": (["-o", "name", "--field-selector", "metadata.name!=b"], called("ac")),
    "in-chunks": (["-o", "name", "--chunk-size", "1"], called("abc")),
    "by-category": (["-o", "name", "-l", "tier"], called("a")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_and_selectors(three: Kubectl, name: str):
    """Each format prints what it does on any cluster, each selector selects."""
    arguments, printed = FORMATS[name]
    what = "anneal" if name == "by-category" else "machines"
    assert three("get", what, *arguments).out == printed


def test_a_sorted_table(three: Kubectl):
    """--sort-by sorts the table by any field, backwards too where the values say so."""
    for name, note in (("a", "3"), ("b", "1"), ("c", "2")):
        three("annotate", "machine", name, f"order={note}")
    rows = three("get", "machines", "--sort-by", ".metadata.annotations.order", "--no-headers").lines
    assert [row.split()[0] for row in rows] == ["b", "c", "a"]


def test_labels_in_the_table(three: Kubectl):
    """--show-labels and -L add labels to the table."""
    assert "app=web,tier=front" in three("get", "machines", "--show-labels").lines[1]
    assert three("get", "machines", "-L", "tier").lines[0].split()[-1] == "TIER"


def test_all_namespaces(three: Kubectl):
    """-A lists every namespace, with a column that says which."""
    out = three("get", "machines", "-A")
    assert out.lines[0].split()[:2] == ["NAMESPACE", "NAME"]
    assert [three.namespace, "a"] in [line.split()[:2] for line in out.lines]


def test_several_kinds_at_once(three: Kubectl):
    """Objects of several kinds come in one answer, each named with its kind."""
    three.create(configmap("settings", a="1"))
    assert three("get", "machine/a", "configmap/settings", "-o", "name").lines == ["machine.anneal.dev/a", "configmap/settings"]
    out = three("get", "machines,configmaps").out
    assert "machine.anneal.dev/a" in out
    assert "configmap/settings" in out


def test_what_is_not_there(kubectl: Kubectl):
    """A missing object is an error by name; an empty namespace is not; an unknown kind says so."""
    assert 'machines.anneal.dev "nope" not found' in kubectl("get", "machine", "nope", code=1).err
    assert kubectl("get", "machine", "nope", "--ignore-not-found").out == ""
    assert "No resources found" in kubectl("get", "machines").err
    assert "doesn't have a resource type" in kubectl("get", "gadgets", code=1).err


def test_a_selector_that_cannot_be_read(kubectl: Kubectl):
    """A bad field selector is refused, not taken for an empty list."""
    assert "field label not supported" in kubectl("get", "machines", "--field-selector", "spec.x=1", code=1).err


BUILT_IN = {
    "namespaces": ("get", "namespaces", "default"),
    "configmaps": ("get", "configmap", "c"),
    "secrets": ("get", "secret", "s"),
    "leases": ("get", "lease", "l"),
    "customresourcedefinitions": ("get", "crd", "machines.anneal.dev"),
}


@pytest.mark.parametrize("plural", BUILT_IN)
def test_built_in_kinds(kubectl: Kubectl, plural: str):
    """Every built-in kind has its table and its whole form."""
    kubectl.create(configmap("c", a="1", b="2"))
    kubectl.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}})
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    kubectl.create(lease)
    row = kubectl(*BUILT_IN[plural], "--no-headers").lines[0].split()
    shown = {"namespaces": "Active", "configmaps": "2", "secrets": "Opaque", "leases": "me"}
    assert row[0] == BUILT_IN[plural][2]
    assert row[1] == shown.get(plural, row[1])
    assert kubectl(*BUILT_IN[plural], "-o", "json").json["metadata"]["name"] == BUILT_IN[plural][2]


def test_watching_a_table(kubectl: Kubectl):
    """get -w prints a row now and one for each change, until it is stopped."""
    kubectl.create(machine("a"))
    with kubectl.start("get", "machines", "-w") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().split()[0] == "NAME"
        assert watch.stdout.readline().split()[0] == "a"
        kubectl.ready("a")
        assert watch.stdout.readline().split()[:3] == ["a", "True", "Healthy"]
        kubectl.create(machine("b"))
        assert watch.stdout.readline().split()[0] == "b"


def test_watching_whole_objects(kubectl: Kubectl):
    """get -w -o json prints each version of the object whole.

    Of all, not of one by its name: there kubectl drops the first event, and with it a change that comes before its watch does.
    """
    kubectl.create(machine("a"))
    with kubectl.start("get", "machines", "--watch", "-o", "jsonpath={.metadata.generation}{'\\n'}") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "1\n"
        body = {"spec": {"remediation": {"maxRetry": 1}}}
        kubectl.server.call("PATCH", kubectl.path("machines", "a"), body, "application/merge-patch+json")
        assert watch.stdout.readline() == "2\n"


def test_watching_sees_deletions(kubectl: Kubectl):
    """--output-watch-events tells ADDED, MODIFIED and DELETED apart; a selected object that stops matching is DELETED."""
    kubectl.create(machine("a", {"app": "web"}))
    with kubectl.start("get", "machines", "-w", "-l", "app=web", "--output-watch-events", "--no-headers") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().split()[:2] == ["ADDED", "a"]
        body = {"metadata": {"labels": {"app": "db"}}}
        kubectl.server.call("PATCH", kubectl.path("machines", "a"), body, "application/merge-patch+json")
        assert watch.stdout.readline().split()[:2] == ["DELETED", "a"]


def test_raw_paths(kubectl: Kubectl):
    """get --raw reaches any path."""
    assert kubectl("get", "--raw", "/livez").out.strip() == "ok"
    assert kubectl("get", "--raw", kubectl.path("machines")).json["kind"] == "MachineList"


def test_tables_made_by_kubectl(three: Kubectl):
    """--server-print=false lets kubectl make the table itself, from whole objects."""
    assert [row.split()[0] for row in three("get", "machines", "--server-print=false", "--no-headers").lines] == ["a", "b", "c"]


def test_a_list_is_one_moment(kubectl: Kubectl):
    """A list read in chunks holds what was there when it began: neither less nor more."""
    names = [f"m{number:02d}" for number in range(12)]
    for name in names:
        kubectl.create(machine(name))
    first = kubectl.server.call("GET", f"{kubectl.path('machines')}?limit=5")
    kubectl.server.call("DELETE", kubectl.path("machines", "m11"))
    kubectl.create(machine("m10b"))
    rest = kubectl.server.call("GET", f"{kubectl.path('machines')}?limit=50&continue={first['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in first["items"] + rest["items"]] == names
    now = kubectl("get", "machines", "-o", "jsonpath={.items[*].metadata.name}", "--chunk-size=3").out.split()
    assert now == [*names[:11], "m10b"]
