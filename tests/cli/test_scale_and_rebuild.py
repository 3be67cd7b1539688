"""`anneal scale` and `anneal rebuild`, against the API server alone: what is written, and what is refused."""

from __future__ import annotations

from tests.support.cli import Cli
from tests.support.objects import machine, make

POOL = """
apiVersion: anneal.dev/v1alpha1
kind: MachineSet
metadata: {name: workers}
spec: {replicas: 2, template: {spec: {local: {}}}}
"""
SERVER = """
apiVersion: anneal.dev/v1alpha1
kind: Machine
metadata: {name: server}
spec: {openstack: {identityRef: {name: c, cloudName: m}, flavor: {id: "1"}, image: {id: i}}}
"""


def test_scale_sets_how_many(served: Cli, ns: str) -> None:
    """The number, and nothing else of the spec."""
    make(served, ns, POOL)
    assert served("scale", "mset/workers", "--replicas", "5", "-n", ns).out == "machineset/workers scaled to 5\n"
    assert served("get", "mset/workers", "-n", ns, "-o", "json").json["spec"]["replicas"] == 5


def test_scale_only_from_where_one_thinks_it_is(served: Cli, ns: str) -> None:
    """Two people do not undo each other."""
    make(served, ns, POOL)
    done = served("scale", "mset/workers", "--replicas", "5", "--current-replicas", "3", "-n", ns)
    assert (done.code, "it has 2 replicas, not 3" in done.err) == (1, True)
    assert served("scale", "mset/workers", "--replicas", "5", "--current-replicas", "2", "-n", ns).code == 0


def test_scale_refuses_what_makes_no_sense(served: Cli, ns: str) -> None:
    """More than there may be, a kind without replicas, one that is not there, no number: each in its own words."""
    make(served, ns, POOL, machine("m"))
    for words, code, said in (
        (("mset/workers", "--replicas", "99"), 1, "spec.replicas"),
        (("machine/m", "--replicas", "2"), 64, "a machineset has"),
        (("mset/worker", "--replicas", "2"), 3, "did you mean workers"),
        (("mset/workers",), 64, "--replicas N"),
        (("mset", "--replicas", "2"), 64, "name those that are meant"),
    ):
        done = served("scale", *words, "-n", ns)
        assert (done.code, said in done.err) == (code, True), done.err


def test_rebuild_annotates(served: Cli, ns: str) -> None:
    """The annotation, with the time as its value; only with a yes."""
    make(served, ns, SERVER)
    asked = served("rebuild", "machine/server", "-n", ns)
    assert (asked.code, "--yes" in asked.err) == (64, True)
    assert "annotations" not in served("get", "mch/server", "-n", ns, "-o", "json").json["metadata"]
    assert served("rebuild", "machine/server", "-n", ns, "--yes").code == 0
    assert served("get", "mch/server", "-n", ns, "-o", "json").json["metadata"]["annotations"]["anneal.dev/rebuild"]


def test_rebuild_is_for_servers_that_anneal_manages(served: Cli, ns: str) -> None:
    """This machine has no image to put back."""
    make(served, ns, machine("m"), POOL)
    for what in ("machine/m", "mset/workers", "machine"):
        assert served("rebuild", what, "-n", ns, "--yes").code == 64
