"""Services of a Swarm with their tasks, as a driver.

An update names the version that it was planned from, so that two who change a service at once do not undo one another: the second
is refused, looks again and plans anew. What others wrote into a service beside what we want stays.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from drivers.contract import Conflict, DriverError, Intent, Observation, Owner, Step, Survey, Unknown
from drivers.judging import Thing
from drivers.snapshot import SharedList
from drivers.swarm import tags
from drivers.swarm.client import Docker
from drivers.swarm.served import BROKEN, Service, Task, runs_once

RESULT = "RESULT "
"""A job's result is the line that begins so."""
LAST_WORDS = 600
MADE_OF = ("ContainerSpec", "ForceUpdate", "Placement", "Resources", "LogDriver", "RestartPolicy")
"""What of a template a task has from its making: where it differs, the task is one of before, and Docker replaces it."""
REMEMBERED = 256


class ServiceDriver:
    """All services of one Swarm. Create: `Step.change` is `spec`. Update: `spec` and the `version` that it was planned from."""

    settle_seconds = 5.0

    def __init__(self, docker: Docker, *, installation: str = "") -> None:
        self.name = f"swarm/service@{docker.name}"
        self._docker, self._installation = docker, installation
        self._shared: SharedList[Service] = SharedList(self._everything, self._of_owner, self._by_id, alone=0)
        self._said: dict[str, str] = {}
        """What tasks that have ended printed, by their ids."""

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Service]:
        """See the contract."""
        return await self._shared.observe(owner, ref, after, part)

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return await self._shared.survey(self._installation)

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract, and the class."""
        if step.verb == "delete" or (step.verb == "update" and not step.ref):
            raise ValueError(f"{self.name} applies creates, and updates with a ref")
        spec, label = dict(step.change["spec"]), tags.labels(intent.owner, intent.part)
        spec |= {"Name": intent.name, "Labels": {**(spec.get("Labels") or {}), **label}}
        if step.verb == "create":
            return str(await self._docker.write(f'create service "{intent.name}"', lambda api: api.create_service_raw(spec)))
        ref, version = str(step.ref), int(step.change["version"])
        live = await self._docker.look(f"look up service {ref}", lambda api: api.inspect_service(ref))
        if live is None:
            raise Conflict(f"cannot change {step.part}: it is gone; looking again")
        whole = merged(live["Spec"], spec) | {"Name": live["Spec"]["Name"]}
        await self._docker.write(f'change service "{intent.name}"', lambda api: api.update_service_raw(ref, version, whole))
        return ref

    async def destroy(self, ref: str) -> None:
        """See the contract."""
        await self._docker.remove(f"delete service {ref}", lambda api: api.remove_service(ref))

    async def close(self) -> None:
        """Forget what was seen."""
        await self._shared.close()

    async def _everything(self) -> list[Thing[Service]]:
        return await self._things("list services", tags.ours())

    async def _of_owner(self, owner: Owner) -> list[Thing[Service]]:
        return await self._things(f"list services of {owner.name}", tags.of_owner(owner))

    async def _by_id(self, ref: str) -> Thing[Service] | None:
        row = await self._docker.look(f"look up service {ref}", lambda api: api.inspect_service(ref))
        return None if row is None else (await self._with_tasks([row]))[0]

    async def _things(self, doing: str, filters: Mapping[str, Sequence[str]]) -> list[Thing[Service]]:
        rows = await self._docker.read(doing, lambda api: api.services(filters=dict(filters)))
        return await self._with_tasks(rows)

    async def _with_tasks(self, rows: Sequence[Mapping[str, Any]]) -> list[Thing[Service]]:
        if not rows:
            return []
        ids = [row["ID"] for row in rows]
        found = await self._docker.read("list tasks", lambda api: api.tasks(filters={"service": ids}))
        tasks: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for task in found:
            tasks[task["ServiceID"]].append(task)
        nodes = await self._docker.read("list nodes", lambda api: api.nodes())
        down = frozenset(node["ID"] for node in nodes if node["Status"]["State"] == "down")
        return [await self._thing(row, tasks[row["ID"]], down) for row in rows]

    async def _thing(self, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], down: frozenset[str]) -> Thing[Service]:
        spec = row["Spec"]
        found = (task_of(each, spec["TaskTemplate"], down) for each in rows)
        tasks = tuple(sorted(found, key=lambda task: task.since))
        output: Mapping[str, Any] = {}
        words = ""
        is_job = runs_once(spec)
        ended = [task for task in tasks if task.current and (task.state in BROKEN or (is_job and task.state == "complete"))]
        if ended:
            words = await self._words(row["ID"], ended[-1], must=is_job)
            lines = [line for line in words.splitlines() if line.startswith(RESULT)]
            with suppress(ValueError):
                output = json.loads(lines[-1].removeprefix(RESULT)) if lines else {}
        update = row.get("UpdateStatus") or {}
        live = Service(
            row["ID"], spec["Name"], int(row["Version"]["Index"]), spec, tasks, str(update.get("State", "")),
            _seconds(str(update.get("StartedAt") or "")), output, words[-LAST_WORDS:].strip(),
        )  # fmt: skip
        seen = [row["Version"]["Index"], [(task.id, task.state, task.desired) for task in tasks]]
        return tags.thing(row["ID"], spec.get("Labels"), str(row["CreatedAt"]), True, seen, live)

    async def _words(self, service: str, task: Task, *, must: bool) -> str:
        """What a task printed before its end. A job's result must be heard; of others it is only told."""
        if task.id in self._said:
            return self._said[task.id]
        if task.state == "rejected":  # it never ran
            return ""
        try:
            raw = await self._docker.read(
                "read a task's output", lambda api: api.service_logs(service, stdout=True, stderr=True, tail=40)
            )
            text = (raw if isinstance(raw, bytes) else b"".join(raw)).decode("utf-8", "replace")
        except DriverError:
            if must:
                raise
            return ""
        if len(self._said) >= REMEMBERED:
            self._said.pop(next(iter(self._said)))
        if not must or RESULT in text or task.state != "complete":
            self._said[task.id] = text
        return text


def task_of(row: Mapping[str, Any], template: Mapping[str, Any], down: Container[str] = ()) -> Task:
    """A task as we see it, beside the template that its service has now, and the nodes that are down."""
    status = row.get("Status") or {}
    made = row.get("Spec") or {}
    same = all(made.get(name) == template.get(name) for name in MADE_OF)
    inside = status.get("ContainerStatus") or {}
    return Task(
        id=row["ID"], state=str(status.get("State", "")), desired=str(row.get("DesiredState", "")), current=same,
        since=_seconds(str(status.get("Timestamp") or row.get("CreatedAt") or "")), node=str(row.get("NodeID", "")),
        message=str(status.get("Err") or ""), code=inside.get("ExitCode"),
        lost=row.get("NodeID") in down,
    )  # fmt: skip


def merged(live: Any, want: Any) -> Any:
    """What is wanted, and beside it what others wrote. Lists are replaced whole."""
    if isinstance(live, Mapping) and isinstance(want, Mapping):
        return {**live, **{name: merged(live.get(name), value) for name, value in want.items()}}
    return want


def _seconds(text: str) -> float:
    """Docker writes nanoseconds."""
    if not text:
        return 0.0
    head, _, rest = text.partition(".")
    return datetime.fromisoformat(f"{head.removesuffix('Z')}.{(rest.removesuffix('Z') + '000000')[:6]}+00:00").timestamp()
