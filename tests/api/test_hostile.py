"""Whatever is sent, the server answers for it: a 2xx or a 4xx, never a fault, and what it stored it can read, list and delete."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.api.admission import Options
from reconciler.api.jsonvalue import clone
from reconciler.api.listing import ListOptions
from reconciler.api.resources import ResourceType
from reconciler.api.selection import Selection
from reconciler.api.server import ApiServer
from reconciler.client import ApiError
from reconciler.home import Home
from tests.support.apiserver import configmap, machine

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u", "controller": True, "blockOwnerDeletion": True}
META = {
    "labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["anneal.dev/x"], "ownerReferences": [OWNER],
    "generateName": "x-", "uid": "u", "resourceVersion": "1",
    "generation": 1, "creationTimestamp": "2024-01-01T00:00:00Z", "selfLink": "/",
    "deletionTimestamp": "2024-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0, "namespace": "default",
    "managedFields": [{"manager": "m", "operation": "Update", "apiVersion": "v1", "time": "2024-01-01T00:00:00Z",
                       "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:k": {}}}}],
}  # fmt: skip
SEEDS: list[dict[str, Any]] = [
    configmap("c", **META),
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c", **META}, "data": {"a": "eA=="}, "stringData": {"b": "c"}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c", **META}, "spec": {}, "status": {"phase": "Active"}},
    {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "c", **META}, "involvedObject": {"name": "x"}, "count": 1},
    {
        **machine("c", **META),
        "spec": {"simulated": {"endpoint": "http://x", "ports": [{"network": "n"}]}},
        "status": {"parts": []},
    },
]
ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "default", "../x", "x" * 300, "\x00", "é\u202e", "1", "f:data", "v1", "\ud7ff"]),
)  # fmt: skip
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = clone(value)
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return value


@st.composite
def mutants(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A seed, and the seed with some of its places replaced, or bereft of what the server sets."""
    seed = draw(st.sampled_from(SEEDS))
    mutant = clone(seed)
    if draw(st.booleans()):
        for name in ("uid", "resourceVersion", "finalizers", "ownerReferences"):
            mutant["metadata"].pop(name)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(places(mutant))[1:]))
        mutant = put(mutant, path, draw(VALUES))
    return seed, mutant


@pytest.fixture(scope="module")
def runner() -> Iterator[tuple[asyncio.Runner, ApiServer]]:
    with TemporaryDirectory() as folder, asyncio.Runner() as loop:
        server = ApiServer(Home(Path(folder) / "home"))
        loop.run(server.start())
        yield loop, server
        loop.run(server.stop())


async def tried(what: Any) -> Any:
    """The result, or None for a refusal. Anything but a well-formed refusal is a failure."""
    try:
        return await what
    except ApiError as e:
        if not 400 <= e.code < 500 or e.status["kind"] != "Status":
            raise
        orjson.dumps(e.status)
        return None


async def campaign(server: ApiServer, seed: dict[str, Any], mutant: Any, kind: str) -> None:
    core = server.core
    rtype = core.registry.find_kind(seed["apiVersion"], seed["kind"])
    assert rtype is not None
    namespace = "default" if rtype.namespaced else ""
    base = {**clone(seed), "metadata": {"name": "base"}}
    await tried(core.create(rtype, namespace, base, options(server)))
    await tried(core.create(rtype, namespace, clone(mutant), options(server)))
    body = clone(mutant)
    if isinstance(body.get("metadata"), dict):
        body["metadata"]["name"] = "base"
    await tried(core.replace(rtype, namespace, "base", clone(body), options(server)))
    for subresource in ("", *rtype.subresources):
        await tried(core.patch(rtype, namespace, "base", clone(body), kind, options(server, subresource), force=True))  # type: ignore[arg-type]
    ops = [{"op": "add", "path": f"/{name}", "value": value} for name, value in mutant.items()]
    await tried(core.patch(rtype, namespace, "base", ops, "json", options(server)))
    await check_and_clear(server, rtype)


def options(server: ApiServer, subresource: str = "") -> Options:
    return server.core.options("test", subresource=subresource)


async def check_and_clear(server: ApiServer, rtype: ResourceType) -> None:
    core = server.core
    for row in core.list(rtype, ListOptions(Selection())).rows:
        obj = core.codec.load(rtype, row)
        assert obj["metadata"]["name"] == row.key.name
        assert isinstance(obj["metadata"]["uid"], str)
        if row.key.name in ("default", "kube-system", "kube-public"):
            continue
        await core.edit(rtype, row.key.namespace, row.key.name, without_finalizers, "test")
        if rtype.kind == "Namespace":
            await server.client.delete(rtype.id, None, row.key.name)
        else:
            await server.client.delete(rtype.id, row.key.namespace, row.key.name)
    await server.collector.settled()


def without_finalizers(obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"].pop("finalizers", None)
    return obj


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(mutants(), st.sampled_from(["merge", "apply", "strategic"]))
def test_no_object_is_a_fault(
    runner: tuple[asyncio.Runner, ApiServer], case: tuple[dict[str, Any], dict[str, Any]], kind: str
) -> None:
    """Valid objects with any of their parts replaced, by every verb that takes a body: 2xx or 4xx, and the store stays sound."""
    loop, server = runner
    loop.run(campaign(server, *case, kind))
