"""Discovery and OpenAPI say what the server serves, in the form that kubectl reads."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.api.openapi import api_group, api_groups, api_resources, api_versions, openapi_v3, openapi_v3_index
from reconciler.api.resources import registry

TYPES = tuple(registry())
STORED = [rtype for rtype in TYPES if rtype.stored]


def document(rtype) -> dict[str, Any]:
    found = openapi_v3(rtype.api_version, TYPES)
    assert found is not None
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {node["$ref"]} if isinstance(node.get("$ref"), str) else set().union(*map(references, node.values()), set())
    return set().union(*map(references, node), set()) if isinstance(node, list) else set()


@pytest.mark.parametrize("rtype", TYPES, ids=lambda t: t.kind)
def test_every_reference_leads_somewhere(rtype):
    """No document points to a schema that it does not hold."""
    doc = document(rtype)
    known = {f"#/components/schemas/{name}" for name in doc["components"]["schemas"]}
    assert references(doc) <= known


@pytest.mark.parametrize("rtype", TYPES, ids=lambda t: t.kind)
def test_a_kind_is_found_by_its_name(rtype):
    """kubectl explain finds a kind's schema by its group, version and kind; each field there is described."""
    gvk = {"group": rtype.group, "version": rtype.version, "kind": rtype.kind}
    (schema,) = [
        schema
        for schema in document(rtype)["components"]["schemas"].values()
        if gvk in schema.get("x-kubernetes-group-version-kind", [])
    ]
    assert schema["description"]
    assert all(field.get("description") for field in schema["properties"].values())


@pytest.mark.parametrize("rtype", [t for t in STORED if "patch" in t.verbs], ids=lambda t: t.kind)
def test_patches_take_what_kubectl_apply_sends(rtype):
    """The PATCH operation names its kind, its formats and the parameters without which kubectl validates by itself."""
    scope = "/namespaces/{namespace}" if rtype.namespaced else ""
    operation = document(rtype)["paths"][f"{rtype.id.prefix}{scope}/{rtype.plural}/{{name}}"]["patch"]
    assert operation["x-kubernetes-group-version-kind"]["kind"] == rtype.kind
    assert {p["name"] for p in operation["parameters"]} == {"dryRun", "fieldManager", "fieldValidation", "force"}
    assert "application/apply-patch+yaml" in operation["requestBody"]["content"]
    assert ("application/strategic-merge-patch+json" in operation["requestBody"]["content"]) is (rtype.group != "anneal.dev")


def test_the_index_changes_when_a_document_does():
    """A client that kept a document learns from its hash that there is a new one."""
    few = openapi_v3_index([t for t in TYPES if t.kind != "Secret"])["paths"]
    every = openapi_v3_index(TYPES)["paths"]
    assert few["api/v1"] != every["api/v1"]
    assert few["apis/anneal.dev/v1alpha1"] == every["apis/anneal.dev/v1alpha1"]
    assert every == openapi_v3_index(TYPES)["paths"]


def test_discovery_lists_every_kind_once():
    """By way of /api, /apis and their versions every kind is found, with its short names and verbs."""
    versions = [*api_versions()["versions"], *(v["groupVersion"] for g in api_groups(TYPES)["groups"] for v in g["versions"])]
    found = [r for version in versions for r in (api_resources(version, TYPES) or {})["resources"] if "/" not in r["name"]]
    assert sorted(r["name"] for r in found) == sorted(t.plural for t in TYPES)
    machine = next(r for r in found if r["name"] == "machines")
    assert machine["shortNames"] == ["mch"]
    assert machine["categories"] == ["anneal"]
    assert {"get", "list", "watch", "patch"} <= set(machine["verbs"])


def test_status_is_discovered_as_a_subresource():
    """Clients write status by /status because discovery lists it."""
    names = {r["name"] for r in (api_resources("anneal.dev/v1alpha1", TYPES) or {})["resources"]}
    assert "machines/status" in names


@pytest.mark.parametrize(
    "ask", [lambda: api_resources("nope/v1", TYPES), lambda: openapi_v3("nope/v1", TYPES), lambda: api_group("nope", TYPES)]
)
def test_what_is_not_served_is_not_described(ask):
    """A group that does not exist is None: the server answers 404."""
    assert ask() is None
