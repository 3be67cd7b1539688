"""A Swarm small enough to think about: services whose tasks come up, fail or hang as the test decides, when time passes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from drivers.contract import Present, Step
from drivers.swarm.answers import Answers
from drivers.swarm.served import Item, Service, Task, runs_once
from drivers.swarm.services import merged
from reconciler.kinds.swarm.judging import PART
from tests.unit.kinds.world import World, referred

GOOD = {"ok": True, "engine": "onnx", "golden": {"checked": 20, "wrong": 0}, "latencyMs": {"p50": 0.02}}


def cluster(nodes: int = 3, mode: str = "host") -> Any:
    rows = [
        {"id": f"node{n}", "name": f"n{n}", "address": f"10.0.0.{n}", "role": "manager" if n == 1 else "worker",
         "state": "ready", "availability": "active"}
        for n in range(1, nodes + 1)
    ]  # fmt: skip
    return referred("SwarmCluster", spec={}, status={"publishMode": mode, "nodes": rows})


@dataclass
class SwarmWorld(World):
    """One deployment on a Swarm."""

    trial: Callable[[dict[str, Any]], Any] = lambda spec: GOOD
    """A preflight's spec → what it prints; None: it hangs; a text: its node cannot begin it, for that."""
    comes_up: Callable[[str, dict[str, Any]], str] = lambda part, spec: ""
    """A service's part and spec → why its tasks fail; empty: they come up."""
    answers: Answers = field(default_factory=lambda: Answers({}))
    """What the entry tells of the revisions' answers."""
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def _observed(self, part: str) -> Any:
        return Present(part, self.answers) if part == PART else super()._observed(part)

    def do(self, step: Step) -> None:
        """What was made is on record before anything else happens: the engine sees to that."""
        super().do(step)
        if step.verb == "create":
            parts = [row for row in self.status.get("parts", ()) if row["name"] != step.part]
            self.status["parts"] = [*parts, {"name": step.part, "ref": self.things[step.part].id}]

    def _made(self, step: Step) -> Any:
        if "command" in step.change:
            return super()._made(step)
        ident = f"id{next(self.ids)}"
        if "spec" not in step.change:
            return Item(ident, step.part)
        self._check(step.part, step.change["spec"])
        return Service(ident, step.part, 1, copy.deepcopy(step.change["spec"]))

    def _check(self, part: str, spec: dict[str, Any]) -> None:
        """Docker refuses a service that names what is not there."""
        box, there = spec["TaskTemplate"]["ContainerSpec"], {t.id for t in self.things.values() if isinstance(t, Item)}
        for row in box["Configs"]:
            assert row["ConfigID"] in there, f"{part} names config {row['ConfigName']}, which is not there"
        assert all(row["SecretID"] in there for row in box["Secrets"])
        assert all(row["Target"] in there for row in spec["TaskTemplate"]["Networks"])

    def _delete(self, part: str, thing: Any) -> None:
        if isinstance(thing, Item):
            for service in self.services().values():
                box = service.spec["TaskTemplate"]["ContainerSpec"]
                assert thing.id not in {row["ConfigID"] for row in box["Configs"]}, f"{part} is in use"
        if isinstance(thing, Item | Service):
            del self.things[part]
        else:
            super()._delete(part, thing)

    def _update(self, step: Step, thing: Any) -> None:
        if not isinstance(thing, Service):
            super()._update(step, thing)
            return
        assert step.change["version"] == thing.version, "out of sequence"
        self._check(step.part, step.change["spec"])
        spec = merged(thing.spec, step.change["spec"])
        same = spec["TaskTemplate"] == thing.spec["TaskTemplate"]
        tasks = tuple(replace(task, current=task.current and same) for task in thing.tasks)
        self.things[step.part] = replace(
            thing, version=thing.version + 1, spec=spec, tasks=tasks, update="" if same else "updating"
        )

    def services(self) -> dict[str, Service]:
        """All services, by part."""
        return {part: thing for part, thing in self.things.items() if isinstance(thing, Service)}

    def pass_time(self, seconds: float) -> None:
        """Time passes: tasks come up, or fail; jobs end."""
        super().pass_time(seconds)
        for part, service in self.services().items():
            self.things[part] = replace(self._later(part, service), update="completed" if service.update else "")

    def _later(self, part: str, service: Service) -> Service:
        if runs_once(service.spec):
            if any(task.current for task in service.tasks):
                return service
            found = self.trial(dict(service.spec))
            if found is None:
                return replace(service, tasks=(*service.tasks, self._task("running")))
            if isinstance(found, str):
                return replace(service, tasks=(*service.tasks, self._task("rejected", message=found)))
            state = "complete" if found.get("ok") else "failed"
            return replace(service, tasks=(*service.tasks, self._task(state)), output=found)
        if why := self.comes_up(part, dict(service.spec)):
            failed = self._task("failed", message=why)
            kept = tuple(t for t in service.tasks if not (t.current and t.state == "running"))
            return replace(service, tasks=(*kept[-4:], failed), last_words="Traceback")
        want = service.spec["Mode"].get("Replicated", {}).get("Replicas", 3)
        running = [t for t in service.tasks if t.current and t.state == "running"][:want]
        running += [self._task("running") for _ in range(want - len(running))]
        broken = [t for t in service.tasks if t.state in ("failed", "rejected")]
        return replace(service, tasks=(*broken, *running))

    def _task(self, state: str, message: str = "") -> Task:
        desired = "running" if state == "running" else "shutdown"
        return Task(f"task{next(self.ids)}", state, desired, True, self.now.timestamp(), message=message)

    def fail(self, part: str, message: str) -> None:
        """One task of a service dies."""
        service = self.things[part]
        assert isinstance(service, Service)
        first = service.running[0]
        kept = [t for t in service.tasks if t is not first]
        self.things[part] = replace(service, tasks=(*kept, self._task("failed", message)))
