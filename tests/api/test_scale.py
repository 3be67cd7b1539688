"""The scale subresource of MachineSets."""

from __future__ import annotations

from typing import Any

import pytest

ROOT = "/apis/anneal.dev/v1alpha1"
SETS = f"{ROOT}/namespaces/default/machinesets"
POOL = {"metadata": {"name": "a"}, "spec": {"replicas": 2, "template": {"spec": {"local": {}}}}}
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
async def scale(http):
    """Method, body and headers to the scale of a set of two: the code, and the JSON of the answer."""
    assert (await http.post(SETS, json=POOL)).status == 201

    async def ask(method: str, body: Any = None, path: str = f"{SETS}/a/scale", **headers: str) -> tuple[int, Any]:
        async with http.request(method, path, json=body, headers=headers or None) as answer:
            return answer.status, await answer.json()

    return ask


async def test_it_is_what_kubernetes_calls_a_scale(scale):
    """apiVersion, kind, name and resourceVersion of the object, and both counts."""
    code, found = await scale("GET")
    assert (code, found["apiVersion"], found["kind"]) == (200, "autoscaling/v1", "Scale")
    assert (found["metadata"]["name"], found["spec"], found["status"]) == ("a", {"replicas": 2}, {"replicas": 0})
    _, there = await scale("GET", path=f"{SETS}/a")
    assert found["metadata"]["resourceVersion"] == there["metadata"]["resourceVersion"]
    _, listed = await scale("GET", path=ROOT)
    entry = next(row for row in listed["resources"] if row["name"] == "machinesets/scale")
    assert (entry["group"], entry["version"], entry["kind"]) == ("autoscaling", "v1", "Scale")


@pytest.mark.parametrize("way", ["merge", "json", "put"])
async def test_it_can_be_written_in_each_way(scale, way):
    """Only the number of replicas changes; it is a new generation."""
    match way:
        case "merge":
            code, said = await scale("PATCH", {"spec": {"replicas": 7}}, **MERGE)
        case "json":
            ops = [{"op": "replace", "path": "/spec/replicas", "value": 7}]
            code, said = await scale("PATCH", ops, **{"Content-Type": "application/json-patch+json"})
        case _:
            _, now = await scale("GET")
            code, said = await scale("PUT", {**now, "spec": {"replicas": 7}})
    assert (code, said["spec"]) == (200, {"replicas": 7})
    _, there = await scale("GET", path=f"{SETS}/a")
    assert (there["spec"]["replicas"], there["spec"]["template"]["spec"]["local"], there["metadata"]["generation"]) == (7, {}, 2)


@pytest.mark.parametrize("count", [-1, 99, "3", True, None, 1.5])
async def test_what_the_spec_refuses_it_refuses(scale, count):
    """Too many, too few, no number: 422, and nothing changes."""
    code, said = await scale("PATCH", {"spec": {"replicas": count}}, **MERGE)
    assert (code, "spec.replicas" in said["message"]) == (422, True)
    assert (await scale("GET"))[1]["spec"] == {"replicas": 2}


async def test_an_old_scale_is_a_conflict(scale):
    """Who read it before somebody else wrote is told so."""
    _, old = await scale("GET")
    await scale("PATCH", {"spec": {"replicas": 3}}, **MERGE)
    code, _ = await scale("PUT", {**old, "spec": {"replicas": 9}})
    assert code == 409
    assert (await scale("GET"))[1]["spec"] == {"replicas": 3}


async def test_kinds_without_replicas_have_none(scale):
    """404, as for any path that does not exist; and a scale cannot be deleted."""
    assert (await scale("GET", path=f"{ROOT}/namespaces/default/machines/a/scale"))[0] == 404
    assert (await scale("GET", path=f"{SETS}/b/scale"))[0] == 404
    assert (await scale("DELETE"))[0] == 405
