"""`anneal plan`: observe and plan without acting. What it prints is what the next passes would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from pydantic import ValidationError

from drivers.contract import Done, DriverError, Plan, Step, Stop, Wait
from reconciler.client import ApiError, Client, Object, ResourceId, ours
from reconciler.engine.engine import Engine
from reconciler.engine.kind import Key
from reconciler.engine.subject import paused
from specs.kinds import BY_KIND, BY_PLURAL
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
            together = {_named(manifest) for manifest in manifests}
            rows = [await self._manifest(manifest, together) for manifest in manifests]
        else:
            rows = [await self._target(key) for key in (targets if targets is not None else sorted(self.engine.index.keys))]
        return {"objects": rows, "changes": any(row["action"] not in ("none", "wait", "stop") for row in rows)}

    async def _target(self, key: Key) -> dict[str, Any]:
        obj = await self.client.get(ours(key.plural), key.namespace, key.name)
        if obj is None:
            row = {"kind": key.plural, "namespace": key.namespace, "name": key.name, "steps": []}
            return row | {"action": "invalid", "reason": "NotFound", "message": f"there is no {key.plural} {key.name}"}
        return await self._preview(key, obj)

    async def _manifest(self, manifest: Object, together: set[tuple[str, str, str]]) -> dict[str, Any]:
        kind, namespace, name = _named(manifest)
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
            row = await self._preview(Key(resource.plural, namespace, name), applied)
            return self._after(row, applied, together)
        same = live is not None and _content(live) == _content(applied)
        action = "none" if same else "update" if live else "create"
        return row | {"action": action, "reason": "", "message": "stored in the API; nothing outside depends on it"}

    def _after(self, row: dict[str, Any], obj: Object, together: set[tuple[str, str, str]]) -> dict[str, Any]:
        """What waits for an object that is not there waits for no person, if that object stands in the same files."""
        if row["reason"] != Reason.DEPENDENCY_NOT_FOUND:
            return row
        kind = BY_KIND[obj["kind"]]
        references = self.engine.kinds[kind.names.plural].references(kind.parse(obj))
        needed = [(BY_PLURAL[ref.resource.plural].names.kind, ref.namespace, ref.name)
                  for ref in references if ref.resource.plural in BY_PLURAL]  # fmt: skip
        first = [f"{kind}/{name}" for kind, namespace, name in needed if (kind, namespace, name) in together]
        return row | {"reason": "", "message": f"after {' and '.join(first)}"} if first else row

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
        "changes": _told(step.change),
    }


def _told(change: Mapping[str, Any]) -> dict[str, Any]:
    """Of a change, what a person would ask: of a process its command, of a folder the names of its documents."""
    if "command" in change:
        return {"command": " ".join(["python", *change["command"][1:]])}
    return {key: sorted(value) if key == "documents" else value for key, value in change.items() if value not in ((), [], {}, "")}


def _named(manifest: Object) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    meta = manifest.get("metadata") or {}
    return str(manifest.get("kind")), meta.get("namespace") or "default", meta.get("name") or ""


def _manager_of(live: Object | None) -> str:
    """The source that holds the object, so that a field missing from the manifest is planned as removed."""
    source = ((live or {}).get("metadata") or {}).get("labels", {}).get(SOURCE_LABEL) if live else None
    return f"source/{source}" if source else CLI_MANAGER


def _content(obj: Object) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key != "metadata"}
