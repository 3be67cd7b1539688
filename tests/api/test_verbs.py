"""What each verb promises, by the letter of the Kubernetes API conventions."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from reconciler.api.server import ApiServer
from reconciler.client import CONFIGMAPS, EVENTS, LEASES, ApiError, ResourceId, ours
from tests.support.apiserver import MACHINES as PATH
from tests.support.apiserver import configmap, machine

MACHINES = ours("machines")
NAMESPACES = ResourceId("", "v1", "namespaces")
CMS = "/api/v1/namespaces/default/configmaps"


async def status_of(answer: aiohttp.ClientResponse) -> tuple[int, str, str]:
    body = await answer.json()
    return answer.status, body.get("reason", ""), body.get("message", "")


# --- create ----------------------------------------------------------------------------------------------------------


async def test_the_server_sets_what_is_its_own(http: aiohttp.ClientSession) -> None:
    """uid, creationTimestamp and generation are the server's, whatever is sent; status cannot be created."""
    body = machine("a", uid="mine", creationTimestamp="1999-01-01T00:00:00Z", generation=7, selfLink="/x")
    answer = await http.post(PATH, json={**body, "status": {"instanceState": "ACTIVE"}})
    created = await answer.json()
    assert answer.status == 201
    assert created["metadata"]["uid"] != "mine"
    assert not created["metadata"]["creationTimestamp"].startswith("1999")
    assert (created["metadata"]["generation"], "status" in created, "selfLink" in created["metadata"]) == (1, False, False)


async def test_generated_names_are_unique(http: aiohttp.ClientSession) -> None:
    """generateName makes a name of its own each time."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-"}}
    names = [(await (await http.post(CMS, json=body)).json())["metadata"]["name"] for _ in range(5)]
    assert len(set(names)) == 5
    assert all(name.startswith("c-") and len(name) == 7 for name in names)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"metadata": {"name": "Not_DNS"}}, 422, "metadata.name"),
        ({"metadata": {"name": "x" * 254}}, 422, "metadata.name"),
        ({"metadata": {"name": "../x"}}, 422, "metadata.name"),
        ({"metadata": {"name": ""}}, 422, "metadata.name"),
        ({"metadata": {}}, 422, "metadata.name"),
        ({"metadata": {"name": 5}}, 400, ""),
        ({"metadata": {"name": "a", "ownerReferences": [5]}}, 400, ""),
        ({"metadata": {"name": "a", "labels": {"bad key!": "x"}}}, 422, "metadata.labels"),
        ({"metadata": {"name": "a", "labels": {"k": "bad value!"}}}, 422, "metadata.labels"),
        ({"metadata": {"name": "a", "labels": {"k": 5}}}, 422, "metadata.labels.k"),
        ({"metadata": {"name": "a", "annotations": {"k": "x" * 300_000}}}, 422, "metadata.annotations"),
        ({"metadata": {"name": "a", "finalizers": ["not a finalizer"]}}, 422, "metadata.finalizers"),
        ({"metadata": {"name": "a"}, "data": {"bad/key": "x"}}, 422, "data.bad/key"),
        ({"metadata": {"name": "a"}, "data": {"k": 5}}, 422, "data.k"),
        ({"metadata": {"name": "a", "namespace": "elsewhere"}}, 400, ""),
        ({"metadata": {"name": "a", "resourceVersion": "5"}}, 400, ""),
        ({"metadata": "a"}, 400, ""),
        ({"kind": "Secret", "metadata": {"name": "a"}}, 400, ""),
        ({"apiVersion": "v2", "metadata": {"name": "a"}}, 400, ""),
    ],
)
async def test_wrong_metadata_is_refused(
    server: ApiServer, http: aiohttp.ClientSession, body: Any, code: int, field: str
) -> None:
    """Names, labels, annotations, finalizers and keys follow Kubernetes' rules; the answer names the field; nothing is stored."""
    before = server.store.newest()
    answer = await http.post(CMS, json={"apiVersion": "v1", "kind": "ConfigMap", **body})
    status = await answer.json()
    assert answer.status == code, status
    if field:
        assert any(cause["field"].startswith(field) for cause in status["details"]["causes"]), status
    assert server.store.newest() == before


async def test_an_unknown_field_is_named_with_a_hint(http: aiohttp.ClientSession) -> None:
    """No field is silently ignored: 400 with the path, and what may have been meant."""
    body = {**machine("a"), "spec": {"simulated": {"endpoint": "http://x", "flavour": "big"}}}
    code, reason, message = await status_of(await http.post(PATH, json=body))
    assert (code, reason) == (400, "BadRequest")
    assert 'unknown field "spec.simulated.flavour": did you mean "flavor"?' in message
    answer = await http.post(PATH, json=body, params={"fieldValidation": "Warn"})
    assert answer.status == 201
    assert 'unknown field \\"spec.simulated.flavour\\"' in answer.headers["Warning"]
    assert "flavour" not in (await answer.json())["spec"]["simulated"]


async def test_a_wrong_spec_has_causes(http: aiohttp.ClientSession) -> None:
    """A value that the model refuses is 422, one cause per field, with its path."""
    body = {**machine("a"), "spec": {"simulated": {"endpoint": "http://x", "ports": [{}]}, "remediation": {"maxRetry": 99}}}
    status = await (await http.post(PATH, json=body)).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["message"].startswith('Machine.anneal.dev "a" is invalid: ')
    assert {c["field"]: c["reason"] for c in status["details"]["causes"]} == {
        "spec.simulated.ports[0].network": "FieldValueRequired",
        "spec.remediation.maxRetry": "FieldValueInvalid",
    }


async def test_a_namespace_must_exist(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """Nothing is created in a namespace that is not there; what each cluster has is there from the start."""
    code, reason, message = await status_of(await http.post("/api/v1/namespaces/nowhere/configmaps", json=configmap("a")))
    assert (code, reason, message) == (404, "NotFound", 'namespaces "nowhere" not found')
    spaces, _ = await server.client.list(NAMESPACES)
    assert [space["metadata"]["name"] for space in spaces] == ["default", "kube-public", "kube-system"]


async def test_a_dry_run_creates_nothing(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """dryRun=All answers as if, validates as if, and stores nothing."""
    before = server.store.newest()
    assert (await http.post(PATH, json=machine("a"), params={"dryRun": "All"})).status == 201
    assert (await http.post(PATH, json={**machine("a"), "spec": {}}, params={"dryRun": "All"})).status == 422
    assert (await http.post(PATH, json=machine("a"), params={"dryRun": "Some"})).status == 400
    assert server.store.newest() == before


# --- replace and patch -----------------------------------------------------------------------------------------------


async def test_generations_count_changes_of_the_spec(server: ApiServer) -> None:
    """The generation grows with the spec and with nothing else; a write that changes nothing keeps the resourceVersion."""
    client = server.client
    created = await client.create(MACHINES, "default", machine("a"))
    labelled = await client.patch(MACHINES, "default", "a", {"metadata": {"labels": {"x": "y"}}})
    assert labelled["metadata"]["generation"] == 1
    assert labelled["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
    status = await client.patch(MACHINES, "default", "a", {"status": {"instanceState": "X"}}, subresource="status")
    assert status["metadata"]["generation"] == 1
    changed = await client.patch(MACHINES, "default", "a", {"spec": {"remediation": {"maxRetry": 1}}})
    assert changed["metadata"]["generation"] == 2
    again = await client.patch(MACHINES, "default", "a", {"spec": {"remediation": {"maxRetry": 1}}})
    assert again == changed


async def test_spec_and_status_are_kept_apart(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """A write to the object cannot change status; a write to status can change neither spec nor labels."""
    created = await server.client.create(MACHINES, "default", machine("a"))
    body = {**created, "status": {"instanceState": "X"}}
    replaced = await (await http.put(f"{PATH}/a", json=body)).json()
    assert "status" not in replaced
    body = {**created, "spec": {"local": {}, "remediation": {"maxRetry": 9}}, "status": {"instanceState": "X"}}
    body["metadata"] = {**created["metadata"], "labels": {"x": "y"}}
    after = await (await http.put(f"{PATH}/a/status", json=body)).json()
    assert {key: value for key, value in after["status"].items() if value} == {"instanceState": "X"}
    assert after["spec"] == created["spec"]
    assert "labels" not in after["metadata"]


async def test_a_replace_must_name_its_version(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """A PUT of one of our kinds without a resourceVersion is 422; with a stale one 409; of a missing object 404."""
    created = await server.client.create(MACHINES, "default", machine("a"))
    code, reason, message = await status_of(await http.put(f"{PATH}/a", json=machine("a")))
    assert (code, reason) == (422, "Invalid")
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in message
    await server.client.patch(MACHINES, "default", "a", {"metadata": {"labels": {"x": "y"}}})
    code, reason, message = await status_of(await http.put(f"{PATH}/a", json=created))
    assert (code, reason) == (409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on machines.anneal.dev "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert (await http.put(f"{PATH}/b", json={**created, "metadata": {"name": "b", "resourceVersion": "1"}})).status == 404


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("name", "b", 400), ("namespace", "kube-system", 400), ("uid", "00000000-0000-0000-0000-000000000000", 409)],
)
async def test_identity_is_for_life(server: ApiServer, http: aiohttp.ClientSession, field: str, value: str, code: int) -> None:
    """A write that names another name or namespace is 400; another UID means another object: 409."""
    created = await server.client.create(MACHINES, "default", machine("a"))
    body = {**created, "metadata": {**created["metadata"], field: value}}
    assert (await http.put(f"{PATH}/a", json=body)).status == code
    headers = {"Content-Type": "application/merge-patch+json"}
    assert (await http.patch(f"{PATH}/a", json={"metadata": {field: value}}, headers=headers)).status == code


async def test_what_is_for_life_is_refused(server: ApiServer) -> None:
    """Changes that only a new object can have are 422 with the field."""
    body = {**machine("a"), "spec": {"simulated": {"endpoint": "http://x"}}}
    await server.client.create(MACHINES, "default", body)
    with pytest.raises(ApiError, match="endpoint cannot be changed: the server lives there") as caught:
        await server.client.patch(MACHINES, "default", "a", {"spec": {"simulated": {"endpoint": "http://y"}}})
    assert caught.value.code == 422
    assert caught.value.status["details"]["causes"][0]["field"] == "spec.simulated.endpoint"


@pytest.mark.parametrize(
    ("content", "body", "code"),
    [
        ("application/json-patch+json", [{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}], 422),
        ("application/json-patch+json", [{"op": "remove", "path": "/spec/nothing"}], 422),
        ("application/json-patch+json", {"op": "add"}, 400),
        ("application/merge-patch+json", [], 400),
        ("application/merge-patch+json", {"metadata": {"resourceVersion": "1"}}, 409),
        ("application/merge-patch+json", {"spec": None}, 422),
        ("application/strategic-merge-patch+json", {}, 415),
        ("application/json", {}, 415),
        ("application/apply-patch+yaml", {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine"}, 400),
    ],
    ids=["test fails", "no such path", "no list", "no map", "stale", "no spec", "strategic", "no patch type", "no manager"],
)
async def test_patches_that_do_not_fit(
    server: ApiServer, http: aiohttp.ClientSession, content: str, body: Any, code: int
) -> None:
    """Each patch that cannot be applied has its own code, and changes nothing."""
    await server.client.create(MACHINES, "default", machine("a"))
    before = server.store.newest()
    answer = await http.patch(f"{PATH}/a", json=body, headers={"Content-Type": content})
    assert answer.status == code, await answer.text()
    assert server.store.newest() == before


async def test_apply_creates_and_conflicts(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """Server-side apply creates what is missing; another manager's field is a 409 with a cause, until forced."""
    headers = {"Content-Type": "application/apply-patch+yaml"}
    text = "apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {name: a}\nspec: {local: {}, remediation: {maxRetry: 1}}\n"
    first = await http.patch(f"{PATH}/a", data=text, headers=headers, params={"fieldManager": "me"})
    assert first.status == 201
    theirs = text.replace("maxRetry: 1", "maxRetry: 2")
    second = await http.patch(f"{PATH}/a", data=theirs, headers=headers, params={"fieldManager": "you"})
    status = await second.json()
    assert (second.status, status["details"]["causes"][0]["field"]) == (409, ".spec.remediation.maxRetry")
    assert status["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    forced = await http.patch(f"{PATH}/a", data=theirs, headers=headers, params={"fieldManager": "you", "force": "true"})
    assert (await forced.json())["spec"]["remediation"]["maxRetry"] == 2


async def test_what_was_once_accepted_can_still_lose_its_finalizer(server: ApiServer) -> None:
    """Fault 3: an object that today's rules would refuse can still be patched where it is not wrong."""
    created = await server.client.create(MACHINES, "default", machine("a", finalizers=["anneal.dev/cleanup"]))
    await store_raw(server, {**created, "spec": {"local": {}, "remediation": {"maxRetry": 99, "retryPeriodSeconds": 60}}})
    await server.client.delete(MACHINES, "default", "a")
    with pytest.raises(ApiError, match="maxRetry"):
        await server.client.patch(MACHINES, "default", "a", {"spec": {"remediation": {"maxRetry": 98}}})
    await server.client.patch(MACHINES, "default", "a", {"metadata": {"finalizers": None}})
    assert await server.client.get(MACHINES, "default", "a") is None


async def store_raw(server: ApiServer, obj: dict[str, Any]) -> None:
    """Put an object into the database past all rules."""
    from reconciler.api.codec import dump
    from reconciler.api.revisions import Key

    meta = obj["metadata"]
    key = Key("machines.anneal.dev", meta["namespace"], meta["name"])
    await server.store.write(key, dump(obj), expect=int(meta["resourceVersion"]))


# --- delete ----------------------------------------------------------------------------------------------------------


async def test_a_deletion_at_once(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """Without finalizers the object is gone with the answer, which is a Success; once more is 404."""
    await server.client.create(MACHINES, "default", machine("a"))
    status = await (await http.delete(f"{PATH}/a")).json()
    assert (status["kind"], status["status"], status["details"]["name"]) == ("Status", "Success", "a")
    assert (await http.delete(f"{PATH}/a")).status == 404


async def test_a_finalizer_keeps_the_object(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """A deletion only marks what has finalizers; none can be added then; the object goes with the last one."""
    await server.client.create(MACHINES, "default", machine("a", finalizers=["anneal.dev/cleanup"]))
    marked = await (await http.delete(f"{PATH}/a")).json()
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["generation"] == 1
    again = await (await http.delete(f"{PATH}/a")).json()
    assert again == marked
    more = {"metadata": {"finalizers": ["anneal.dev/cleanup", "anneal.dev/more"]}}
    with pytest.raises(ApiError, match="no new finalizers can be added if the object is being deleted"):
        await server.client.patch(MACHINES, "default", "a", more)
    with pytest.raises(ApiError, match="already exists"):
        await server.client.create(MACHINES, "default", machine("a"))
    last = await server.client.patch(MACHINES, "default", "a", {"metadata": {"finalizers": []}})
    assert last["kind"] == "Machine", "who patches is answered with the object, also when that was its end"
    assert await server.client.get(MACHINES, "default", "a") is None


async def test_preconditions_of_a_deletion(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """With a UID or a version only that very object goes."""
    created = await server.client.create(MACHINES, "default", machine("a"))
    for wrong in ({"uid": "x"}, {"resourceVersion": "1"}):
        code, reason, message = await status_of(await http.delete(f"{PATH}/a", json={"preconditions": wrong}))
        assert (code, reason) == (409, "Conflict")
        assert "Precondition failed" in message
    right = {"uid": created["metadata"]["uid"], "resourceVersion": created["metadata"]["resourceVersion"]}
    assert (await http.delete(f"{PATH}/a", json={"preconditions": right})).status == 200


async def test_a_collection_is_deleted_by_selector(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """DELETE of a collection takes what the selector selects, in that namespace, and leaves the rest."""
    for name, team in (("a", "red"), ("b", "blue"), ("c", "red")):
        await server.client.create(CONFIGMAPS, "default", configmap(name, labels={"team": team}))
    await server.client.create(CONFIGMAPS, "kube-system", configmap("d", labels={"team": "red"}))
    answer = await (await http.delete(CMS, params={"labelSelector": "team=red"})).json()
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "c"]
    left, _ = await server.client.list(CONFIGMAPS)
    assert [item["metadata"]["name"] for item in left] == ["b", "d"]


async def test_the_namespaces_of_every_cluster_stay(http: aiohttp.ClientSession) -> None:
    """default, kube-system and kube-public cannot be deleted."""
    code, reason, message = await status_of(await http.delete("/api/v1/namespaces/default"))
    assert (code, reason, message) == (403, "Forbidden", 'namespaces "default" is forbidden: this namespace may not be deleted')


# --- paths and forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothings", 404),
        ("GET", "/apis/example.com/v1/nothings", 404),
        ("GET", f"{PATH}/a/nothing", 404),
        ("GET", f"{PATH}/a/status/more", 404),
        ("GET", "/apis/anneal.dev/v1alpha1/machines/a", 404),
        ("GET", "/api/v1/namespaces/default/namespaces/x", 404),
        ("GET", f"{PATH}?limit=x", 400),
        ("GET", f"{PATH}?continue=x", 400),
        ("GET", f"{PATH}?resourceVersion=x", 400),
        ("GET", f"{PATH}?resourceVersion=99999999", 504),
        ("GET", f"{PATH}?labelSelector=a%3D%3D%3Db", 400),
        ("GET", f"{PATH}?fieldSelector=spec.local%3Dx", 400),
        ("GET", f"{PATH}?fieldSelector=type%3Dx", 400),
        ("POST", "/apis/anneal.dev/v1alpha1/machines", 405),
        ("POST", f"{PATH}/a", 405),
        ("PUT", PATH, 405),
        ("PATCH", PATH, 405),
        ("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/machines.anneal.dev", 405),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405),
        ("OPTIONS", PATH, 405),
    ],
)
async def test_paths_that_lead_nowhere(http: aiohttp.ClientSession, method: str, path: str, code: int) -> None:
    """Each has its code and a Status."""
    answer = await http.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)
    assert (answer.status, (await answer.json())["kind"]) == (code, "Status")


async def test_objects_come_in_the_form_asked_for(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """Tables and PartialObjectMetadata by the Accept header, for one object and for lists."""
    await server.client.create(MACHINES, "default", machine("a"))
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    partial = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
    partials = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"}
    assert (await (await http.get(PATH, headers=table)).json())["rows"][0]["cells"][0] == "a"
    assert (await (await http.get(f"{PATH}/a", headers=table)).json())["kind"] == "Table"
    whole = await (await http.get(PATH, headers=table, params={"includeObject": "Object"})).json()
    assert whole["rows"][0]["object"]["spec"]["local"] == {}
    one = await (await http.get(f"{PATH}/a", headers=partial)).json()
    assert (one["kind"], "spec" in one) == ("PartialObjectMetadata", False)
    many = await (await http.get(PATH, headers=partials)).json()
    assert (many["kind"], many["items"][0]["metadata"]["name"]) == ("PartialObjectMetadataList", "a")


async def test_the_built_in_kinds_hold_what_they_are_for(server: ApiServer) -> None:
    """Leases with microseconds, events of kopf and of anneal, are stored as they were sent."""
    lease = {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": "2024-01-01T00:00:00.123456Z", "leaseTransitions": 1}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": lease}
    assert (await server.client.create(LEASES, "default", body))["spec"] == lease
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "kopf-event-", "namespace": "default"},
        "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "namespace": "default", "uid": "u"},
        "reason": "Logging", "message": "hello", "type": "Normal", "action": "Action?", "reportingComponent": "kopf",
        "reportingInstance": "dev", "source": {"component": "kopf"}, "count": 1,
        "firstTimestamp": "2024-01-01T00:00:00.000000Z", "lastTimestamp": "2024-01-01T00:00:00.000000Z",
        "eventTime": "2024-01-01T00:00:00.000000Z",
    }  # fmt: skip
    created = await server.client.create(EVENTS, "default", event)
    assert {key: created[key] for key in event if key != "metadata"} == {key: event[key] for key in event if key != "metadata"}
    found, _ = await server.client.list(EVENTS, "default", fields="involvedObject.name=a,reason=Logging")
    assert len(found) == 1


async def test_may_i_is_answered(http: aiohttp.ClientSession) -> None:
    """Whoever holds the token may do everything, and is told so."""
    body = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {"resourceAttributes": {}}}
    answer = await http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=body)
    assert (answer.status, (await answer.json())["status"]["allowed"]) == (201, True)


async def test_metrics_count_requests_and_writes(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """/metrics is Prometheus' text, with what the API did."""
    await http.post(PATH, json=machine("a"))
    text = await (await http.get("/metrics")).text()
    assert 'anneal_api_requests_total{code="201",resource="machines",verb="POST"}' in text
    assert "anneal_api_watchers" in text
