"""get, describe, tree and events against the real API server."""

from __future__ import annotations

import pytest
import yaml

from reconciler.cli.api import Api
from reconciler.cli.kinds import KNOWN
from reconciler.cli.kubeconfig import load
from reconciler.cli.targets import list_all
from tests.support.cli import Cli
from tests.support.objects import machine, make, send, set_ready

pytestmark = pytest.mark.timeout(60)

NAMES = [("machines",), ("machine",), ("mch",), ("Machine",), ("machines.anneal.dev",), ("mch/a", "mch/b"), ("mch", "a", "b")]


@pytest.mark.parametrize("what", NAMES, ids=" ".join)
def test_a_kind_goes_by_all_its_names(served: Cli, ns: str, what: tuple[str, ...]) -> None:
    """Plural, singular, short name, kind, with group; KIND NAME and KIND/NAME."""
    make(served, ns, machine("a"), machine("b"))
    assert served("get", *what, "-n", ns, "-o", "name").lines == ["machine.anneal.dev/a", "machine.anneal.dev/b"]


def test_get_prints_whole_objects(served: Cli, ns: str) -> None:
    """yaml and json of one object are the object, of several a List; managedFields only when asked for."""
    make(served, ns, machine("a"), machine("b"))
    one = served("get", "mch/a", "-n", ns, "-o", "json").json
    assert one == yaml.safe_load(served("get", "mch/a", "-n", ns, "-o", "yaml").out)
    assert (one["kind"], one["apiVersion"], one["spec"]["local"]) == ("Machine", "anneal.dev/v1alpha1", {})
    assert "managedFields" not in one["metadata"]
    assert "managedFields" in served("get", "mch/a", "-n", ns, "-o", "json", "--show-managed-fields").json["metadata"]
    many = served("get", "mch", "-n", ns, "-o", "json").json
    assert [many["kind"], *(item["metadata"]["name"] for item in many["items"])] == ["List", "a", "b"]
    assert all(item["kind"] == "Machine" for item in many["items"])


def test_the_category_shows_everything_on_one_screen(served: Cli, ns: str) -> None:
    """`anneal get anneal`: one table, names with their kind, NAME READY REASON AGE MESSAGE."""
    make(served, ns, machine("a"), machine("long-name"))
    set_ready(served, ns, "a", "False", "the cloud is building it")
    lines = served("get", "anneal", "-n", ns).lines
    assert lines[0].split() == ["NAME", "READY", "REASON", "AGE", "MESSAGE"]
    assert lines[1].startswith("machine/a           False    Building")
    assert lines[1].endswith("the cloud is building it")
    assert lines[2].startswith("machine/long-name   <none>   <none>")
    everywhere = served("get", "anneal", "-A").lines
    assert everywhere[0].split()[0] == "NAMESPACE"
    assert any(line.split()[:2] == [ns, "machine/a"] for line in everywhere)


def test_several_kinds_are_several_tables(served: Cli, ns: str) -> None:
    """Kinds with columns of their own keep them."""
    make(served, ns, machine("a"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n")
    out = served("get", "machines,cm", "-n", ns).out
    assert "machine/a" in out
    assert "configmap/c" in out
    assert "\n\n" in out


def test_nothing_is_said_on_stderr_and_is_no_error(served: Cli, ns: str) -> None:
    """An empty list exits 0 and leaves stdout to scripts."""
    done = served("get", "machines", "-n", ns)
    assert (done.code, done.out, done.err) == (0, "", f"No resources found in {ns} namespace.\n")


@pytest.mark.parametrize("verb", ["get", "describe", "why", "delete", "wait", "tree", "plan"])
def test_a_missing_object_is_exit_code_3_and_a_hint(served: Cli, ns: str, verb: str) -> None:
    """Every verb that takes a name says the nearest one there is."""
    make(served, ns, machine("worker-1"))
    done = served(verb, "machine/wroker-1", "-n", ns)
    assert done.code == 3
    assert "did you mean worker-1?" in done.err


def test_a_kind_that_does_not_exist_is_exit_code_64_and_a_hint(served: Cli) -> None:
    """The nearest kind is suggested."""
    done = served("get", "machins")
    assert done.code == 64
    assert "did you mean machine" in done.err


def test_long_lists_come_in_chunks(served: Cli, ns: str) -> None:
    """What does not fit one chunk is fetched and joined."""
    make(served, ns, *(machine(f"m-{i}") for i in range(7)))
    api = Api(load(home=str(served.home)))
    items, version = list_all(api, KNOWN[0], ns, {"limit": 3})
    api.close()
    assert [item["metadata"]["name"] for item in items] == [f"m-{i}" for i in range(7)]
    assert version


def test_watching_shows_every_change(served: Cli, ns: str) -> None:
    """get -w goes on with a row for each change, in the columns of the first."""
    make(served, ns, machine("a"))
    watching = served.start("get", "machines", "-n", ns, "-w")
    assert watching.stdout is not None
    lines = [watching.stdout.readline(), watching.stdout.readline()]
    set_ready(served, ns, "a", "True", "fine")
    lines.append(watching.stdout.readline())
    make(served, ns, machine("b"))
    lines.append(watching.stdout.readline())
    watching.terminate()
    watching.communicate()
    assert [line.split()[0] for line in lines] == ["NAME", "a", "a", "b"]
    assert lines[2].index("True") == lines[0].index("READY")


def test_describe_tells_the_whole_story(served: Cli, ns: str) -> None:
    """Spec, conditions, parts, events; and that the daemon could not be asked."""
    make(served, ns, machine("a", role="w"))
    set_ready(served, ns, "a", "False", "the cloud is building it")
    out = served("describe", "mch/a", "-n", ns).out
    for words in ("Name:         a", "role=w", "Ready   False", "the cloud is building it", "server   srv-1", "Events:", "Why:"):
        assert words in out


def test_tree_shows_what_belongs_together(served: Cli, ns: str) -> None:
    """Owned objects under their owner, external parts under the object."""
    make(served, ns, machine("top"))
    uid = served("get", "mch/top", "-n", ns, "-o", "jsonpath={.metadata.uid}").out
    owned = yaml.safe_load(machine("below"))
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "name": "top", "uid": uid}]
    make(served, ns, yaml.safe_dump(owned))
    set_ready(served, ns, "below", "False", "soon")
    assert served("tree", "-n", ns).lines == [
        "? machine/top  Pending",
        "└─ ✘ machine/below  Building: soon",
        "   └─ server  srv-1",
    ]


def test_events_come_in_order(served: Cli, ns: str) -> None:
    """Oldest first, for one object or all; types by --types."""
    for second, kind, reason in ((9, "Warning", "QuotaExceeded"), (8, "Normal", "Healthy")):
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"e{second}", "namespace": ns},
            "type": kind,
            "reason": reason,
            "message": "said",
            "involvedObject": {"kind": "Machine", "name": "a", "namespace": ns},
            "firstTimestamp": f"2026-01-01T00:00:0{second}Z",
            "lastTimestamp": f"2026-01-01T00:00:0{second}Z",
        }
        send(served, "POST", f"/api/v1/namespaces/{ns}/events", event)
    lines = served("events", "-n", ns, "--for", "machine/a").lines
    assert ["Healthy" in lines[1], "QuotaExceeded" in lines[2]] == [True, True]
    assert "QuotaExceeded" in served("events", "-n", ns, "--types=Warning").lines[-1]


def test_colours_are_for_terminals(served: Cli, ns: str) -> None:
    """On a terminal READY is coloured and the message cut to the width; NO_COLOR is respected; a pipe gets it plain and whole."""
    make(served, ns, machine("a"))
    set_ready(served, ns, "a", "False", "a long story " * 20)
    screen = served.terminal("get", "machines", "-n", ns, size=(70, 20))
    assert screen.end() == 0
    assert "\x1b[31mFalse\x1b[0m" in screen.text
    assert max(len(line) for line in screen.plain.splitlines()) <= 70
    assert "…" in screen.plain
    plain = Cli(served.home, {"NO_COLOR": "1"}).terminal("get", "machines", "-n", ns)
    assert plain.end() == 0
    assert "\x1b[3" not in plain.text
    assert "…" not in served("get", "machines", "-n", ns).out
