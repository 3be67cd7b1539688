"""The official Python client, unchanged, against our server: typed API, custom objects, DynamicClient, watch."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

from reconciler.api.server import ApiServer
from tests.support.apiserver import configmap, machine

GROUP = ("anneal.dev", "v1alpha1", "default", "machines")


@pytest.fixture
def api(server: ApiServer) -> client.ApiClient:
    return config.new_client_from_config(str(server.kubeconfig))


async def away(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run blocking code while the server, which is in this process, goes on."""
    return await asyncio.to_thread(functools.partial(work, *args, **kwargs))


async def test_typed_objects(api: client.ApiClient) -> None:
    """Namespaces, ConfigMaps, Secrets, Leases and Events through the typed API: create, read, list, patch, replace, delete."""
    core = client.CoreV1Api(api)

    def go() -> None:
        core.create_namespace({"metadata": {"name": "space"}})
        assert [ns.metadata.name for ns in core.list_namespace().items] == ["default", "kube-public", "kube-system", "space"]
        made = core.create_namespaced_config_map("space", client.V1ConfigMap(metadata={"name": "a"}, data={"k": "v"}))
        assert core.read_namespaced_config_map("a", "space").data == {"k": "v"}
        assert core.patch_namespaced_config_map("a", "space", {"data": {"l": "w"}}).data == {"k": "v", "l": "w"}
        with pytest.raises(ApiException) as stale:
            core.replace_namespaced_config_map("a", "space", made)
        assert (stale.value.status, stale.value.reason) == (409, "Conflict")
        secret = core.create_namespaced_secret("space", client.V1Secret(metadata={"name": "s"}, string_data={"p": "x"}))
        assert secret.data == {"p": "eA=="}
        core.create_namespaced_event(
            "space",
            client.CoreV1Event(
                metadata={"generateName": "e-"},
                involved_object=client.V1ObjectReference(kind="ConfigMap", name="a"),
                reason="Seen",
            ),
        )
        assert core.list_namespaced_event("space", field_selector="involvedObject.name=a").items[0].reason == "Seen"
        leases = client.CoordinationV1Api(api)
        spec = client.V1LeaseSpec(holder_identity="me", lease_duration_seconds=15)
        lease = leases.create_namespaced_lease("space", client.V1Lease(metadata={"name": "l"}, spec=spec))
        lease.spec.holder_identity = "you"
        assert leases.replace_namespaced_lease("l", "space", lease).spec.holder_identity == "you"
        core.delete_namespaced_config_map("a", "space")
        with pytest.raises(ApiException) as gone:
            core.read_namespaced_config_map("a", "space")
        assert gone.value.status == 404

    await away(go)


async def test_custom_objects(api: client.ApiClient) -> None:
    """Machines through CustomObjectsApi, with status and conflicts; and what CRDs there are."""
    custom = client.CustomObjectsApi(api)

    def go() -> None:
        made = custom.create_namespaced_custom_object(*GROUP, machine("a"))
        assert custom.get_namespaced_custom_object(*GROUP, "a") == made
        changed = custom.patch_namespaced_custom_object_status(*GROUP, "a", {"status": {"instanceState": "ACTIVE"}})
        assert changed["status"]["instanceState"] == "ACTIVE"
        with pytest.raises(ApiException) as stale:
            custom.replace_namespaced_custom_object(*GROUP, "a", made)
        assert stale.value.status == 409
        assert [m["metadata"]["name"] for m in custom.list_cluster_custom_object(*GROUP[:2], "machines")["items"]] == ["a"]
        custom.delete_namespaced_custom_object(*GROUP, "a", propagation_policy="Foreground")
        crds = client.ApiextensionsV1Api(api).list_custom_resource_definition()
        assert "machines.anneal.dev" in [crd.metadata.name for crd in crds.items]
        assert client.VersionApi(api).get_code().git_version.endswith("+anneal")

    await away(go)


async def test_the_dynamic_client(api: client.ApiClient, tmp_path: Path) -> None:
    """DynamicClient finds our kinds by discovery, and creates, applies, watches and deletes them."""

    def go() -> None:
        found = dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))
        machines = found.resources.get(api_version="anneal.dev/v1alpha1", kind="Machine")
        made = machines.create(body=machine("a"), namespace="default")
        assert made.spec.remediation.maxRetry == 3
        assert found.resources.get(short_names=["mch"]).kind == "Machine"
        changed = {**machine("a"), "spec": {"local": {}, "remediation": {"maxRetry": 1}}}
        applied = found.server_side_apply(machines, body=changed, namespace="default", field_manager="me", force_conflicts=True)
        assert applied.spec.remediation.maxRetry == 1
        events = machines.watch(namespace="default", timeout=1)
        assert [(event["type"], event["object"].metadata.name) for event in events] == [("ADDED", "a")]
        machines.delete(name="a", namespace="default")
        configmaps = found.resources.get(api_version="v1", kind="ConfigMap")
        configmaps.create(body=configmap("a"), namespace="default")
        merged = configmaps.patch(
            body={"data": {"l": "w"}}, name="a", namespace="default", content_type="application/strategic-merge-patch+json"
        )
        assert merged.data.to_dict() == {"k": "v", "l": "w"}

    await away(go)


async def test_watching(api: client.ApiClient, server: ApiServer) -> None:
    """watch.Watch streams typed objects, goes on from a version, and ends in time."""
    core = client.CoreV1Api(api)

    def go() -> None:
        core.create_namespaced_config_map("default", configmap("a"))
        version = core.list_namespaced_config_map("default").metadata.resource_version
        core.create_namespaced_config_map("default", configmap("b"))
        stream = watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=1)
        assert [(event["type"], event["object"].metadata.name) for event in stream] == [("ADDED", "b")]
        with pytest.raises(ApiException) as expired:
            next(iter(watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version="99999999")))
        assert expired.value.status == 410

    await away(go)
