"""`anneal plan`: observe and plan without acting. What it prints is what the next passes would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

from pydantic import ValidationError

from drivers.contract import Done, DriverError, Plan, Step, Stop, Wait
from reconciler.client import ApiError, Client, Object, ResourceId, ours
from reconciler.engine.engine import Engine
from reconciler.engine.kind import Key
from reconciler.engine.subject import paused
from specs.kinds import BY_KIND
from specs.meta import API_VERSION, SOURCE_LABEL, Reason
from specs.problems import summary

BUILT_IN = {"ConfigMap": ResourceId("", "v1", "configmaps"), "Secret": ResourceId("", "v1", "secrets")}
CLI_MANAGER = "anneal-cli"


@dataclass(frozen=True, slots=True)
class Planner:
    """Answers what would happen, for manifests that were not applied yet and for objects that exist."""

    client: Client
    engine: Engine

    async def plan(self, manifests: list[Object] | None, targets: list[Key] | None) -> dict[str, Any]:
        """Plan for `manifests` as if applied, else for `targets`, else for every object there is."""
        if manifests is not None:
            rows = [await self._manifest(manifest) for manifest in manifests]
        else:
            rows = [await self._target(key) for key in (targets if targets is not None else sorted(self.engine.index.keys))]
        return {"objects": rows, "changes": any(row["action"] not in ("none", "wait", "stop") for row in rows)}

    async def _target(self, key: Key) -> dict[str, Any]:
        obj = await self.client.get(ours(key.plural), key.namespace, key.name)
        if obj is None:
            row = {"kind": key.plural, "namespace": key.namespace, "name": key.name, "steps": []}
            return row | {"action": "invalid", "reason": "NotFound", "message": f"there is no {key.plural} {key.name}"}
        return await self._preview(key, obj)

    async def _manifest(self, manifest: Object) -> dict[str, Any]:
        meta = manifest.get("metadata") or {}
        namespace, name, kind = meta.get("namespace") or "default", meta.get("name") or "", str(manifest.get("kind"))
        row: dict[str, Any] = {"kind": kind, "namespace": namespace, "name": name, "steps": []}
        ours_here = manifest.get("apiVersion") == API_VERSION and kind in BY_KIND
        resource = ours(BY_KIND[kind].names.plural) if ours_here else BUILT_IN.get(kind)
        if resource is None:
            return row | {"action": "invalid", "reason": "NotFound", "message": f"anneal does not know the kind {kind}"}
        try:
            live = await self.client.get(resource, namespace, name)
            manager = _manager_of(live)
            applied = await self.client.patch(
                resource, namespace, name, manifest, "apply", manager=manager, force=True, dry_run=True
            )
        except ApiError as error:
            return row | {"action": "invalid", "reason": error.reason, "message": error.message}
        if ours_here:
            if live is None:  # a dry run shows an identity that nothing outside can carry
                applied["metadata"].pop("uid", None)
            return await self._preview(Key(resource.plural, namespace, name), applied)
        same = live is not None and _content(live) == _content(applied)
        action = "none" if same else "update" if live else "create"
        return row | {"action": action, "reason": "", "message": "stored in the API; nothing outside depends on it"}

    async def _preview(self, key: Key, obj: Object) -> dict[str, Any]:
        row: dict[str, Any] = {"kind": obj["kind"], "namespace": key.namespace, "name": key.name, "steps": []}
        try:
            plan = await self.engine.preview(key, obj, self.engine.clock.monotonic())
        except DriverError as error:
            return row | {"action": "wait", "reason": str(error.reason), "message": str(error)}
        except ValidationError:
            message = summary(self.engine.kinds[key.plural].resource, obj)
            return row | {"action": "invalid", "reason": str(Reason.INVALID_SPEC), "message": message}
        if paused(obj):
            plan = Stop(Reason.PAUSED, "paused by annotation: nothing is done until it is removed")
        return row | describe(plan)


def describe(plan: Plan) -> dict[str, Any]:
    """One plan as what `anneal plan` prints: an action, a message, the steps. Pure."""
    match plan:
        case Done(message=message):
            return {"action": "none", "reason": "", "message": message, "steps": []}
        case Stop(reason=reason, message=message):
            return {"action": "stop", "reason": str(reason), "message": message, "steps": []}
        case (_, *_):
            return {"action": _action(plan), "reason": "", "message": "", "steps": [_step(step) for step in plan]}
        case Wait(reason=reason, message=message):
            return {"action": "wait", "reason": str(reason), "message": message, "steps": []}
        case _:
            assert_never(plan)  # type: ignore[arg-type]


def _action(steps: tuple[Step, ...]) -> str:
    verbs = {step.verb for step in steps}
    deleted = {step.part for step in steps if step.verb == "delete"}
    if any(step.verb == "create" and step.part in deleted for step in steps):
        return "replace"
    return next(iter(verbs)) if len(verbs) == 1 else "update"


def _step(step: Step) -> dict[str, Any]:
    return {
        "verb": step.verb,
        "part": step.part,
        "why": step.why,
        "destroys": step.destroys,
        "interrupts": step.interrupts,
        "changes": dict(step.change),
    }


def _manager_of(live: Object | None) -> str:
    """The source that holds the object, so that a field missing from the manifest is planned as removed."""
    source = ((live or {}).get("metadata") or {}).get("labels", {}).get(SOURCE_LABEL) if live else None
    return f"source/{source}" if source else CLI_MANAGER


def _content(obj: Object) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key != "metadata"}
