"""The contract of the Client protocol, held by both of its implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.api.server import ApiServer
from reconciler.client import CONFIGMAPS, ApiError, ApiUnavailable, Client, ResourceId, ours
from reconciler.http_client import HttpClient
from tests.support.apiserver import configmap, machine, running

MACHINES = ours("machines")


@pytest.fixture(params=["http", "in process"])
async def client(server: ApiServer, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    client: Client = HttpClient.from_kubeconfig(server.kubeconfig) if request.param == "http" else server.client
    yield client
    await client.close()


async def test_what_was_created_can_be_read(client: Client) -> None:
    """A created object comes back with what the server set, and reads the same ever after."""
    created = await client.create(MACHINES, "default", machine("a", labels={"x": "y"}))
    assert created["metadata"]["generation"] == 1
    assert created["metadata"]["uid"]
    assert created["spec"]["remediation"]["maxRetry"] == 3
    assert await client.get(MACHINES, "default", "a") == created


async def test_what_is_not_there_reads_as_none(client: Client) -> None:
    """Absence is an answer, not an error."""
    assert await client.get(MACHINES, "default", "nobody") is None


async def test_a_taken_name_is_refused(client: Client) -> None:
    """The second create of a name is 409 AlreadyExists."""
    await client.create(MACHINES, "default", machine("a"))
    with pytest.raises(ApiError, match=r'machines\.anneal\.dev "a" already exists') as caught:
        await client.create(MACHINES, "default", machine("a"))
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")


async def test_a_list_holds_everything_however_long(client: Client) -> None:
    """A list longer than one chunk is complete, in order, and says what each object is."""
    for i in range(501):
        await client.create(CONFIGMAPS, "default", configmap(f"c{i:04}", labels={"odd": str(i % 2)}))
    items, version = await client.list(CONFIGMAPS)
    assert [item["metadata"]["name"] for item in items] == [f"c{i:04}" for i in range(501)]
    assert {item["kind"] for item in items} == {"ConfigMap"}
    assert int(version) >= 501
    odd, _ = await client.list(CONFIGMAPS, "default", labels="odd=1")
    assert len(odd) == 250
    one, _ = await client.list(CONFIGMAPS, "default", fields="metadata.name=c0007")
    assert [item["metadata"]["name"] for item in one] == ["c0007"]
    assert (await client.list(CONFIGMAPS, "kube-system"))[0] == []


async def test_pages_hold_everything_as_of_one_moment(client: Client) -> None:
    """What is read page by page is complete, no object twice, and no page knows what happened after the first."""
    for i in range(501):
        await client.create(CONFIGMAPS, "default", configmap(f"c{i:04}"))
    found = []
    async for page in client.pages(CONFIGMAPS):
        if not found:
            await client.create(CONFIGMAPS, "default", configmap("z-later"))
        found += page
    assert [item["metadata"]["name"] for item in found] == [f"c{i:04}" for i in range(501)]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}


async def test_versions_are_those_of_the_objects(client: Client) -> None:
    """What the informer audits itself by: the resourceVersion of each object, none of what is gone."""
    made = [await client.create(MACHINES, "default", machine(f"v-{number}")) for number in range(3)]
    await client.delete(MACHINES, "default", "v-1")
    expected = {("default", obj["metadata"]["name"]): obj["metadata"]["resourceVersion"] for obj in (made[0], made[2])}
    assert await client.versions(MACHINES) == expected


async def test_a_patch_of_status_leaves_the_spec_alone(client: Client) -> None:
    """The status subresource writes status and nothing else; the generation stays."""
    await client.create(MACHINES, "default", machine("a"))
    patch = {"status": {"instanceState": "ACTIVE"}, "spec": {"remediation": {"maxRetry": 9}}}
    after = await client.patch(MACHINES, "default", "a", patch, subresource="status")
    assert after["status"]["instanceState"] == "ACTIVE"
    assert after["spec"]["remediation"]["maxRetry"] == 3
    assert after["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge", {"spec": {"remediation": {"maxRetry": 5}}}),
        ("json", [{"op": "replace", "path": "/spec/remediation/maxRetry", "value": 5}]),
        (
            "apply",
            {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "spec": {"local": {}, "remediation": {"maxRetry": 5}}},
        ),
    ],
    ids=["merge", "json", "apply"],
)
async def test_each_kind_of_patch(client: Client, kind: str, patch: object) -> None:
    """Each of the three patches changes what it says, and the generation counts it."""
    await client.create(MACHINES, "default", machine("a"))
    after = await client.patch(MACHINES, "default", "a", patch, kind, force=True)  # type: ignore[arg-type]
    assert after["spec"]["remediation"]["maxRetry"] == 5
    assert after["metadata"]["generation"] == 2


async def test_a_stale_version_is_a_conflict(client: Client) -> None:
    """A patch that names an old resourceVersion changes nothing."""
    old = await client.create(CONFIGMAPS, "default", configmap("a"))
    await client.patch(CONFIGMAPS, "default", "a", {"data": {"k": "new"}})
    version = old["metadata"]["resourceVersion"]
    with pytest.raises(ApiError, match="the object has been modified") as caught:
        await client.patch(CONFIGMAPS, "default", "a", {"metadata": {"resourceVersion": version}, "data": {"k": "stale"}})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert (await client.get(CONFIGMAPS, "default", "a") or {})["data"] == {"k": "new"}


async def test_a_dry_run_stores_nothing(client: Client) -> None:
    """What a dry run would do is told, and not done."""
    created = await client.create(CONFIGMAPS, "default", configmap("a"))
    after = await client.patch(CONFIGMAPS, "default", "a", {"data": {"k": "new"}}, dry_run=True)
    assert after["data"] == {"k": "new"}
    assert await client.get(CONFIGMAPS, "default", "a") == created


async def test_a_deletion_of_another_uid_is_refused(client: Client) -> None:
    """With a UID only that very object goes; deleting what is not there is fine."""
    created = await client.create(CONFIGMAPS, "default", configmap("a"))
    with pytest.raises(ApiError, match="Precondition failed: UID") as caught:
        await client.delete(CONFIGMAPS, "default", "a", uid="another")
    assert caught.value.code == 409
    await client.delete(CONFIGMAPS, "default", "a", uid=created["metadata"]["uid"])
    assert await client.get(CONFIGMAPS, "default", "a") is None
    await client.delete(CONFIGMAPS, "default", "a")


async def test_a_kind_that_is_not_served(client: Client) -> None:
    """An unknown kind is 404 for a write and a list."""
    nothing = ResourceId("example.com", "v1", "nothings")
    with pytest.raises(ApiError, match="could not find the requested resource"):
        await client.list(nothing)
    with pytest.raises(ApiError, match="could not find the requested resource"):
        await client.create(nothing, "default", {"metadata": {"name": "x"}})


async def test_results_are_the_callers_own(client: Client) -> None:
    """Changing what was returned, or what was given, changes nothing that is stored."""
    body = configmap("a", {"k": "v"})
    created = await client.create(CONFIGMAPS, "default", body)
    created["data"]["k"] = "changed"
    body["data"]["k"] = "changed"
    read = await client.get(CONFIGMAPS, "default", "a")
    assert read is not None
    assert read["data"] == {"k": "v"}
    patch = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"list": "x"}}
    applied = await client.patch(CONFIGMAPS, "default", "a", patch, "apply", manager="me")
    applied["data"]["list"] = "changed"
    assert patch == {"apiVersion": "v1", "kind": "ConfigMap", "data": {"list": "x"}}


async def test_no_answer_is_unavailable(tmp_path: Path) -> None:
    """A server that is gone makes every call ApiUnavailable: for a write, nobody knows whether it took place."""
    async with running(tmp_path / "home") as server:
        client = HttpClient.from_kubeconfig(server.kubeconfig)
        await client.create(CONFIGMAPS, "default", configmap("a"))
    with pytest.raises(ApiUnavailable, match="cannot POST"):
        await client.create(CONFIGMAPS, "default", configmap("b"))
    with pytest.raises(ApiUnavailable, match="cannot GET"):
        await client.get(CONFIGMAPS, "default", "a")
    await client.close()
