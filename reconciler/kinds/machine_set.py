"""MachineSet: a pool of Machines as one object. Pure; each Machine is a part, and reconciled by itself.

A part is called machine/<template>-<number>: Machines of an earlier template are told apart by their names. One step at a time:

    too many of the new → the least useful goes · too few, and room for more → one is made · old ones → one goes,
    if it is not Ready or enough others are · else wait for those that are not Ready yet
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.contract import Done, Driver, Plan, Present, Seen, Step, Wait
from drivers.objects import LiveObject
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import common
from reconciler.kinds.local import Local
from reconciler.kinds.servers import surplus_twins
from specs.machine_set import MOST_REPLICAS, MachineSet, MachineSetSpec
from specs.meta import Reason

PATIENCE = 5.0
NUMBERS = 2 * MOST_REPLICAS
"""More numbers than Machines: those that are on their way out keep theirs."""


@dataclass(frozen=True, slots=True)
class Member:
    """One Machine of the set."""

    part: str
    ref: str
    template: str
    number: int
    ready: bool
    going: bool
    created: str
    why: str

    @classmethod
    def of(cls, part: str, ref: str, live: LiveObject) -> Member:
        """Read it from the object."""
        template, _, number = part.partition("/")[2].partition("-")
        meta, ready = live.object["metadata"], live.condition()
        why = f"{live.name}: {ready.get('message') or 'not looked at yet'}"
        return cls(
            part, ref, template, int(number), live.ready, bool(meta.get("deletionTimestamp")), meta["creationTimestamp"], why
        )


@dataclass(frozen=True, slots=True)
class MachineSetKind:
    """How MachineSets are reconciled; implements reconciler.engine.kind.Kind."""

    local: Local
    resource: type[MachineSet] = MachineSet

    def references(self, obj: MachineSet) -> Iterable[Reference]:
        """None: Machines wake their owner by themselves."""
        return ()

    def provider(self, obj: MachineSet) -> str:
        """The API server."""
        return "local"

    def finalizes(self, obj: MachineSet) -> bool:
        """Machines go with their owner, by their references, each with a finalizer of its own."""
        return False

    async def drivers(self, obj: MachineSet) -> Mapping[str, Driver[Any]]:
        """One part for each Machine that may be wanted or is on record."""
        names = {f"machine/{digest(obj)}-{number}" for number in range(NUMBERS)}
        rows = (*(obj.status.parts if obj.status else ()),)
        names |= {row.name for row in rows if row.name.startswith("machine/")}
        names |= {row.part for row in (obj.status.intents if obj.status else ())}
        return dict.fromkeys(sorted(names), self.local.objects("machines"))

    def imported(self, obj: MachineSet) -> Mapping[str, str]:
        """None."""
        return {}

    def resolve(self, obj: MachineSet) -> Mapping[str, Any] | None:
        """None."""
        return None

    def plan(self, obj: MachineSet, seen: Seen, now: datetime) -> Plan:
        """From what is seen to as many as wanted, all of the template as it is now."""
        if blind := common.blind(seen):
            return blind
        if twins := tuple(surplus_twins(seen)):
            return twins
        spec, here = obj.spec, digest(obj)
        members = sorted(_members(seen), key=lambda one: (one.template, one.number))
        staying = [one for one in members if not one.going]
        new = [one for one in staying if one.template == here]
        old = [one for one in staying if one.template != here] if spec.rollout.strategy.type == "RollingUpdate" else []
        kept = len(staying) if spec.rollout.strategy.type == "OnDelete" else len(new)
        if kept > spec.replicas:
            return (_delete(_first(spec, staying if spec.rollout.strategy.type == "OnDelete" else new), "there are too many"),)
        free = sorted(set(range(NUMBERS)) - {one.number for one in members if one.template == here})
        if kept < spec.replicas and len(staying) < spec.replicas + surge(spec) and free:
            return (_create(obj, free[0]),)
        if old:
            return _retire(spec, staying, old)
        if waiting := [one for one in staying if not one.ready]:
            return Wait(Reason.DEPENDENCY_NOT_READY, f"{len(waiting)} of {spec.replicas} not ready: {waiting[0].why}", PATIENCE)
        return Done(f"{len(staying)} of {spec.replicas} Machines are ready")

    def teardown(self, obj: MachineSet, seen: Seen, now: datetime) -> Plan:
        """Machines go by themselves."""
        return Done()

    def status(self, obj: MachineSet, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """How many there are."""
        staying = [one for one in _members(seen) if not one.going]
        return {
            "replicas": len(staying),
            "readyReplicas": sum(one.ready for one in staying),
            "upToDateReplicas": sum(one.template == digest(obj) for one in staying),
        }

    def verdicts(self, obj: MachineSet, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready."""
        yield common.ready(seen, plan, Reason.HEALTHY)


def digest(obj: MachineSet) -> str:
    """Which template: another one is other Machines. A default counts as nothing, or each new field would replace every pool."""
    text = json.dumps(obj.spec.template.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def surge(spec: MachineSetSpec) -> int:
    """How many more than wanted there may be."""
    return spec.rollout.strategy.rolling_update.max_surge if spec.rollout.strategy.type == "RollingUpdate" else 0


def _members(seen: Seen) -> Iterator[Member]:
    for part, observation in seen.items():
        match observation:
            case Present(ref=ref, live=LiveObject() as live):
                yield Member.of(part, ref, live)


def _retire(spec: MachineSetSpec, staying: list[Member], old: list[Member]) -> Plan:
    """One of an earlier template goes: what is not Ready at once, others only if enough are left."""
    limits = spec.rollout.strategy.rolling_update
    fewest = spec.replicas - max(limits.max_unavailable, 0 if limits.max_surge else 1)
    useless = [one for one in old if not one.ready]
    if useless:
        return (_delete(useless[0], "its template is an earlier one"),)
    if sum(one.ready for one in staying) > fewest:
        return (_delete(_first(spec, old), "its template is an earlier one"),)
    return Wait(Reason.UPDATING, f"{len(old)} of an earlier template wait until enough others are ready", PATIENCE)


def _first(spec: MachineSetSpec, members: list[Member]) -> Member:
    """Which goes first: what is not Ready, then by age."""
    by_age = sorted(members, key=lambda one: (one.created, one.number), reverse=spec.deletion.order == "Newest")
    return min(by_age, key=lambda one: one.ready)


def _delete(member: Member, why: str) -> Step:
    return Step("delete", member.part, why, ref=member.ref, destroys="the Machine and its server")


def _create(obj: MachineSet, number: int) -> Step:
    part = f"machine/{digest(obj)}-{number}"
    template = obj.spec.template
    change: dict[str, Any] = {
        "name": f"{(obj.metadata.name or '')[:48].rstrip('-')}-{digest(obj)[:5]}-{number}",
        "spec": template.spec.model_dump(mode="json", exclude_unset=True),
        "labels": dict(template.metadata.labels or {}),
    }
    return Step("create", part, "there are too few", change)
