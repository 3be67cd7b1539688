"""What is there from the first start on: the namespaces that every cluster has, and the CRDs of our own kinds."""

from __future__ import annotations

import asyncio
from typing import Any

from reconciler.api.core import PROTECTED, Core
from reconciler.api.resources import CRD, NAMESPACE
from reconciler.client import ApiError
from specs.crd import crd
from specs.meta import Resource

Object = dict[str, Any]
MANAGER = "anneal"


async def bootstrap(core: Core) -> None:
    """Create what is missing, and bring the CRDs up to this version of anneal."""
    kinds = [rtype.model for rtype in core.registry if issubclass(rtype.model, Resource)]
    await asyncio.gather(*(_namespace(core, name) for name in PROTECTED), *(_definition(core, kind) for kind in kinds))


async def _namespace(core: Core, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    try:
        core.get(NAMESPACE, "", name)
    except ApiError:
        await core.create(NAMESPACE, "", body, core.options(MANAGER))


async def _definition(core: Core, kind: type[Resource]) -> None:
    wanted = _served(crd(kind), core.now())
    name = wanted["metadata"]["name"]
    try:
        found = core.get(CRD, "", name)
    except ApiError:
        await core.create(CRD, "", wanted, core.options(MANAGER))
        return
    if found.get("spec") != wanted["spec"]:
        await core.edit(CRD, "", name, lambda obj: {**obj, "spec": wanted["spec"], "status": wanted["status"]}, MANAGER)


def _served(definition: Object, now: str) -> Object:
    """The CRD with the status of one that is established."""
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    spec = definition["spec"]
    versions = [version["name"] for version in spec["versions"]]
    return {**definition, "status": {"conditions": conditions, "acceptedNames": spec["names"], "storedVersions": versions}}
