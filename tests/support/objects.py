"""Objects to look at, made over HTTP so that a test's own command is the only one that is run."""

from __future__ import annotations

from typing import Any

import yaml

from reconciler.cli.api import APPLY, Api
from reconciler.cli.kinds import of_object
from reconciler.cli.kubeconfig import load
from tests.support.cli import Cli


def machine(name: str, **labels: str) -> str:
    """A Machine as a file holds it."""
    meta = {"name": name, "labels": labels}
    return yaml.safe_dump({"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": meta, "spec": {"local": {}}})


def send(cli: Cli, method: str, path: str, body: Any, content_type: str = "application/json", **query: Any) -> Any:
    """One request to the home's API server."""
    api = Api(load(home=str(cli.home)))
    try:
        return api.request(method, path, query, body=body, content_type=content_type)
    finally:
        api.close()


def make(cli: Cli, ns: str, *documents: str, manager: str = "anneal-cli") -> None:
    """Apply documents in a namespace."""
    api = Api(load(home=str(cli.home)))
    for document in documents:
        obj = yaml.safe_load(document)
        path = of_object(api, obj).path(ns, obj["metadata"]["name"])
        api.request("PATCH", path, {"fieldManager": manager, "force": True}, body=obj, content_type=APPLY)
    api.close()


def set_ready(cli: Cli, ns: str, name: str, status: str, message: str = "") -> None:
    """Say of a Machine what the daemon would say."""
    ready = {
        "type": "Ready",
        "status": status,
        "reason": "Building",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {"status": {"conditions": [ready], "observedGeneration": 1, "parts": [{"name": "server", "ref": "srv-1"}]}}
    path = f"/apis/anneal.dev/v1alpha1/namespaces/{ns}/machines/{name}/status"
    send(cli, "PATCH", path, body, "application/merge-patch+json")
