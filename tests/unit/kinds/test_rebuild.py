"""Putting a server's image onto its disk anew, on request, once: the annotation anneal.dev/rebuild."""

from __future__ import annotations

from drivers.contract import Done
from reconciler.cli.verbs import rebuild
from reconciler.kinds.openstack.plan import plan
from reconciler.kinds.openstack.wish import Wish
from specs.machine import Machine
from specs.meta import REBUILD_ANNOTATION
from tests.unit.kinds.openstack_cloud import LEAST, NET, NOW, TinyCloud, wish
from tests.unit.kinds.test_openstack import converge


def test_it_is_done_once_in_place_and_the_plan_says_what_is_lost():
    """The same server with the same port; the request travels in the call, so that nothing else has to remember it."""
    cloud = TinyCloud()
    converge(wish(ports=[NET]), cloud)
    before, want = dict(cloud.things), wish(ports=[NET], rebuild="one", serverMetadata=[{"key": "a", "value": "b"}])
    (step,) = plan(want, cloud.seen(want))
    assert (step.verb, step.part, step.destroys) == ("update", "server", "what is on its local disk")
    assert step.interrupts
    assert isinstance(converge(want, cloud), Done)
    after = cloud.things["server"]
    assert (cloud.rebuilds, after.id, after.rebuilt, after.metadata) == (1, before["server"].id, "one", {"a": "b"})
    assert cloud.things["port/0"].id == before["port/0"].id
    converge(wish(ports=[NET], rebuild="two"), cloud)
    assert cloud.rebuilds == 2


def test_neither_other_changes_nor_taking_the_request_back_rebuild_it_again():
    """Metadata are written whole: what was rebuilt is not forgotten over it."""
    cloud = TinyCloud()
    converge(wish(rebuild="one"), cloud)
    assert cloud.rebuilds == 0, "what is made after the request need not be rebuilt"
    converge(wish(rebuild="one", serverMetadata=[{"key": "a", "value": "b"}]), cloud)
    converge(wish(), cloud)
    converge(wish(rebuild="one"), cloud)
    assert (cloud.rebuilds, cloud.things["server"].id) == (0, "new-1")


def test_what_boots_from_a_volume_is_replaced_with_it():
    """Nova puts no image onto a volume that exists: another server and another volume, the other parts stay."""
    cloud = TinyCloud()
    root = {"sizeGiB": 9}
    converge(wish(ports=[NET], rootVolume=root), cloud)
    before = {part: thing.id for part, thing in cloud.things.items()}
    want = wish(ports=[NET], rootVolume=root, rebuild="one")
    first, *_ = plan(want, cloud.seen(want))
    assert (first.verb, first.part) == ("delete", "server")
    assert isinstance(converge(want, cloud), Done)
    after = {part: thing.id for part, thing in cloud.things.items()}
    assert {part for part in before if before[part] != after[part]} == {"server", "volume/root"}
    converge(wish(ports=[NET], rootVolume=root), cloud)
    assert {part: thing.id for part, thing in cloud.things.items()} == after


def test_the_request_is_an_annotation_of_any_text():
    """Another text is another request; none, or an empty one, is none."""

    def asked(annotations):
        meta = {"name": "m", "namespace": "default", "annotations": annotations}
        body = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": meta, "spec": {"openstack": LEAST}}
        return Wish.of(Machine.parse(body), NOW).rebuild

    one, other = asked({REBUILD_ANNOTATION: "x" * 5000}), asked({REBUILD_ANNOTATION: "2026-01-01T00:00:00Z"})
    assert all((one, other))
    assert one != other
    assert max(map(len, (one, other))) <= 255, "as long as a value of metadata may be"
    assert asked({}) == asked({REBUILD_ANNOTATION: ""}) == ""


def test_the_command_writes_what_the_kind_reads():
    """The command line has the annotation's name of its own: importing the kinds would take longer than all it does."""
    assert rebuild.ANNOTATION == REBUILD_ANNOTATION
