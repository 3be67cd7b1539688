"""A machine small enough to think about: processes, folders and objects in memory, and time that passes when it is told to.

It does what steps say and refuses what the real one refuses; processes do their work as time passes, as the test decides.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drivers.contract import Absent, DriverError, Plan, Present, Seen, Step, Unknown, Unreachable
from drivers.local.folders import Folder
from drivers.local.tables import Table
from drivers.local.unit import Unit
from drivers.objects import LiveObject
from drivers.ray.local import Endpoint, Head
from reconciler.engine.kind import Kind
from reconciler.home import Home
from reconciler.kinds.local import Local
from specs.meta import Resource

UID = "0b5f3f0e-1111-4222-8333-000000000001"
BLIND = Unknown(Unreachable("no answer"))
HOME = Home(Path("/home/anneal"))


class NoApi:
    """Nobody asks it anything in these tests."""

    async def get(self, *_: Any) -> None:
        """Nothing is there."""


def local() -> Local:
    """What the kinds are given. Its drivers are never used."""
    return Local(HOME, NoApi(), lambda: None, "installation-1")  # type: ignore[arg-type]


@dataclass
class World:
    """One object, the world around it, and the engine's part of the play."""

    kind: Kind[Any]
    spec: dict[str, Any]
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    things: dict[str, Any] = field(default_factory=dict)
    """Part → what is there."""
    ended: Callable[[World, str, Unit], Mapping[str, Any] | None] = lambda world, part, unit: {}
    """Part and job → what it writes when it ends; None: it dies."""
    starts: Callable[[World, str, Unit], bool] = lambda world, part, unit: True
    """Whether a service comes up."""
    status: dict[str, Any] = field(default_factory=dict)
    generation: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)
    pids: Any = field(default_factory=lambda: itertools.count(100))
    log: list[Step] = field(default_factory=list)
    watch: Callable[[World], None] = lambda world: None
    """Called after every step: what must hold at every moment."""

    @property
    def object(self) -> Resource:
        """The object as the API has it."""
        names = self.kind.resource.names
        meta = {"name": "a", "namespace": "default", "uid": UID, "generation": self.generation, **self.metadata}
        obj = {"apiVersion": "anneal.dev/v1alpha1", "kind": names.kind, "metadata": meta, "spec": self.spec}
        return self.kind.resource.parse(copy.deepcopy(obj) | ({"status": self.status} if self.status else {}))

    def parts(self) -> list[str]:
        """The parts that the engine would look at."""
        work = self.kind.drivers(self.object)
        try:
            work.send(None)  # type: ignore[attr-defined]
        except StopIteration as done:
            return list(done.value)
        raise AssertionError("drivers() waited for something")

    def seen(self) -> Seen:
        """What the drivers would say."""
        return {part: self._observed(part) for part in self.parts()}

    def _observed(self, part: str) -> Any:
        thing = self.things.get(part)
        if thing is None:
            return Absent()
        return thing if isinstance(thing, Unknown) else Present(getattr(thing, "id", part), thing)

    def plan(self) -> Plan:
        """What the kind says now."""
        return self.kind.plan(self.object, self.seen(), self.now)

    def settle(self, passes: int = 400) -> Plan:
        """Do what the engine does until there is nothing more to do; return the last word: Done or Stop."""
        for _ in range(passes):
            plan = self.step()
            if not isinstance(plan, tuple) and getattr(plan, "seconds", None) is None:
                return plan
            if not isinstance(plan, tuple) and type(plan).__name__ == "Done":
                return plan
        raise AssertionError(f"no end in sight: {plan}; {self.things}")

    def step(self) -> Plan:
        """One pass of the engine."""
        obj, seen = self.object, self.seen()
        plan = self.kind.plan(obj, seen, self.now)
        self._remember(obj, seen, plan)
        if isinstance(plan, tuple):
            assert plan[0].part in seen, f"{plan[0].part} has no driver"
            self.do(plan[0])
            self.log.append(plan[0])
        else:
            self.pass_time(min(max(getattr(plan, "seconds", None) or 0.0, 0.05), 600.0))
        self.watch(self)
        return plan

    def _remember(self, obj: Resource, seen: Seen, plan: Plan) -> None:
        self.status |= json.loads(json.dumps(self.kind.status(obj, seen, plan)))
        self.status["parts"] = [{"name": part, "ref": str(seen[part].ref)} for part in seen if isinstance(seen[part], Present)]
        said = [
            {"type": v.type, "status": v.status, "reason": str(v.reason), "message": v.message[:4096]}
            | {"observedGeneration": self.generation, "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for v in self.kind.verdicts(obj, seen, plan)
        ]
        self.status["conditions"] = said
        assert self.kind.resource.parse(self.object.model_dump(mode="json", exclude_none=True))

    def teardown(self, passes: int = 200) -> None:
        """Delete the object; every part that is its own must be gone in the end."""
        imported = set(self.kind.imported(self.object))
        for _ in range(passes):
            plan = self.kind.teardown(self.object, self.seen(), self.now)
            if isinstance(plan, tuple):
                self.do(plan[0])
            elif type(plan).__name__ == "Done":
                break
            else:
                self.pass_time(max(getattr(plan, "seconds", 0.0), 0.05))
        left = {part for part in self.things if part not in imported}
        assert not left, left

    # --- what happens ---------------------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Make the change, as the machine would."""
        thing = self.things.get(step.part)
        if step.verb == "create":
            assert thing is None, f"{step.part} made twice"
            self.things[step.part] = self._made(step)
        elif step.verb == "delete":
            assert thing is not None, f"{step.part} is not there"
            self._delete(step.part, thing)
        else:
            assert thing is not None
            self._update(step, thing)

    def _made(self, step: Step) -> Any:
        if "command" in step.change:
            unit = self._started(step.part, step.change, 1)
            return Head(unit, False) if step.part == "head" else unit
        if "documents" in step.change or "ports" in step.change:
            ports = dict.fromkeys(step.change.get("ports", {}), 8437)
            documents = json.loads(json.dumps(step.change.get("documents", {})).replace('"{port.http}"', "8437"))
            return Folder(step.part, step.part, "/folder", ports, documents)
        meta = {"name": step.change["name"], "namespace": "default", "generation": 1, "creationTimestamp": self.now.isoformat()}
        return LiveObject({"metadata": meta, "spec": step.change["spec"]})

    def _started(self, part: str, change: Mapping[str, Any], starts: int) -> Unit:
        return Unit(
            part, part, "Running", change["digest"], change["label"], f"/units/{part}", change["counts"], starts,
            self.now.timestamp(), pid=next(self.pids), grace_seconds=change["grace_seconds"],
        )  # fmt: skip

    def _delete(self, part: str, thing: Any) -> None:
        unit = self.unit(part)
        if unit is None or unit.state == "Exited":
            del self.things[part]
        elif unit.state == "Running":
            self.put(part, replace(unit, state="Stopping", stopping_since=self.now.timestamp()))
        else:
            assert unit.overdue(self.now.timestamp()), "asked twice before its time was up"
            self.put(part, replace(unit, state="Exited", stopped=True, stopping_since=None, pid=None))

    def _update(self, step: Step, thing: Any) -> None:
        if isinstance(thing, Folder):
            documents = {**thing.documents, **step.change.get("documents", {})}
            ports = {name: max(thing.ports.values()) + 1 for name in step.change.get("ports", {})} or thing.ports
            self.things[step.part] = replace(thing, documents=documents, ports=ports, taken=frozenset())
            return
        unit = self.unit(step.part)
        assert unit is not None
        if step.change.get("stop"):
            self.put(step.part, replace(unit, state="Stopping", stopping_since=self.now.timestamp()))
            return
        assert unit.state == "Exited", "started twice"
        again = not unit.stopped and not step.change.get("fresh")
        self.put(step.part, self._started(step.part, step.change, unit.starts + 1 if again else 1))

    def unit(self, part: str) -> Unit | None:
        """The process of a part."""
        thing = self.things.get(part)
        return thing.unit if isinstance(thing, Head) else thing if isinstance(thing, Unit) else None

    def put(self, part: str, unit: Unit) -> None:
        """Change the process of a part."""
        self.things[part] = Head(unit, False) if part == "head" else unit

    def pass_time(self, seconds: float) -> None:
        """Time passes: services come up, jobs end, what was asked to end has ended."""
        self.now += timedelta(seconds=seconds)
        for part in list(self.things):
            unit = self.unit(part)
            if unit is None:
                continue
            if unit.state == "Stopping":
                self.put(part, replace(unit, state="Exited", stopped=True, stopping_since=None, pid=None))
            elif unit.state == "Running":
                self._work(part, unit)

    def _work(self, part: str, unit: Unit) -> None:
        if part in ("profile", "job", "preflight", "score", "bring"):
            wrote = self.ended(self, part, unit)
            code = None if wrote is None else 0
            ended = replace(unit, state="Exited", code=code, ended=self.now.timestamp(), outputs=wrote or {}, pid=None)
            self.put(part, ended)
        elif not self.starts(self, part, unit):
            self.put(part, replace(unit, state="Exited", pid=None))
        elif part == "head":
            self.things[part] = Head(unit, True)
        else:
            self._says_ready(part, unit)

    def _says_ready(self, part: str, unit: Unit) -> None:
        folder = self.things.get("folder")
        if isinstance(folder, Folder):
            name = "web" if part == "web" else "worker-r" + part.partition("/")[2]
            said = {f"state/{name}.json": {"ready": True, "pid": unit.pid}}
            self.things["folder"] = replace(folder, documents={**folder.documents, **said})

    def kill(self, part: str) -> None:
        """kill -9."""
        if (unit := self.unit(part)) is not None and unit.state != "Exited":
            self.put(part, replace(unit, state="Exited", pid=None, stopping_since=None, stopped=unit.stopping_since is not None))

    def take_port(self, name: str, part: str) -> None:
        """A stranger listens where this process wants to: it ends whenever it is started there."""
        folder = self.things["folder"]
        assert isinstance(folder, Folder)
        self.things["folder"] = replace(folder, taken=frozenset({name}))
        self.kill(part)
        before = self.starts
        self.starts = lambda there, which, unit: (
            before(there, which, unit) and (which != part or not there.things["folder"].taken)
        )

    def blind(self, part: str) -> None:
        """Nobody can look at it now."""
        self.things[part] = BLIND


def referred(
    kind: str, *, spec: Mapping[str, Any], status: Mapping[str, Any], ready: bool = True, reason: str = "Healthy"
) -> LiveObject:
    """Another object, as it is seen."""
    said = {"type": "Ready", "status": str(ready), "reason": reason, "message": "a message", "observedGeneration": 1}
    meta = {"name": "x", "namespace": "default", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return LiveObject({"kind": kind, "metadata": meta, "spec": dict(spec), "status": {**status, "conditions": [said]}})


__all__ = ["BLIND", "DriverError", "Endpoint", "Table", "World", "local", "referred"]
