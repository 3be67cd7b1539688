"""kubectl scale."""

from __future__ import annotations

import pytest

from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.kubectl
POOL = {
    "apiVersion": "anneal.dev/v1alpha1",
    "kind": "MachineSet",
    "metadata": {"name": "workers"},
    "spec": {"replicas": 2, "template": {"spec": {"local": {}}}},
}


def test_scale(kubectl: Kubectl):
    """scale sets how many; with --current-replicas only from there."""
    kubectl("create", "-f", "-", stdin=POOL)
    assert kubectl("scale", "mset/workers", "--replicas=4").out == "machineset.anneal.dev/workers scaled\n"
    assert kubectl.read("machinesets", "workers")["spec"]["replicas"] == 4
    late = kubectl("scale", "mset/workers", "--current-replicas=2", "--replicas=1", code=1)
    assert "Expected replicas to be 2, was 4" in late.err
    kubectl("scale", "mset/workers", "--current-replicas=4", "--replicas=1")
    assert kubectl.read("machinesets", "workers")["spec"]["replicas"] == 1
