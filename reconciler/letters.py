"""Dead letters for who asks the daemon: of a deployment on this machine, or of one on a Swarm."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drivers.contract import Owner, Present, Unreachable
from drivers.local.folders import Folder
from drivers.swarm.served import Service
from reconciler.client import Client, Object, ours
from reconciler.engine.clock import Clock
from reconciler.kinds.model_deployment import ModelDeploymentKind
from reconciler.kinds.swarm.letters import ANNOTATION, Request
from specs.model_deployment import ModelDeployment

DEPLOYMENTS = ours("modeldeployments")
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.3
MARK = "RESULT "


@dataclass(frozen=True, slots=True)
class Letters:
    """Lists and replays. Raises DriverError with the reason if that cannot be done now."""

    client: Client
    kind: ModelDeploymentKind
    installation: str
    clock: Clock
    wake: Callable[[str], None]
    """Called with the UID of a deployment whose annotation changed."""

    async def ask(self, obj: Object, verb: str, ids: Sequence[str]) -> dict[str, Any]:
        """What `serving.dlq` answers."""
        model = ModelDeployment.model_validate(obj)
        meta = obj["metadata"]
        owner = Owner(self.installation, "ModelDeployment", meta["namespace"], meta["name"], meta["uid"])
        found = await (self._here(model, owner, verb, ids) if model.spec.swarm is None else self._there(obj, owner, verb, ids))
        if found.get("error"):
            raise Unreachable(str(found["error"]))
        return found

    async def _here(self, model: ModelDeployment, owner: Owner, verb: str, ids: Sequence[str]) -> dict[str, Any]:
        driver = (await self.kind.drivers(model))["folder"]
        seen = await driver.observe(owner, None, time.monotonic(), "folder")
        if not (isinstance(seen, Present) and isinstance(seen.live, Folder)):
            raise Unreachable(f'cannot read the dead letters of "{owner.name}": it has no folder yet; try again')
        words = [word for ident in ids for word in ("--id", ident)]
        config = f"{seen.live.path}/config.json"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "serving.dlq", "--config", config, verb, *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        except TimeoutError as error:
            process.kill()
            raise Unreachable(f"cannot read the dead letters: no answer after {PATIENCE_SECONDS:.0f} s; try again") from error
        line = next((line for line in out.decode().splitlines() if line.startswith(MARK)), "")
        if not line:
            raise Unreachable(f"cannot read the dead letters: {err.decode()[-300:].strip()}")
        found: dict[str, Any] = json.loads(line.removeprefix(MARK))
        return found

    async def _there(self, obj: Object, owner: Owner, verb: str, ids: Sequence[str]) -> dict[str, Any]:
        request = Request(uuid.uuid4().hex[:10], verb, tuple(ids), self.clock.now() + timedelta(seconds=PATIENCE_SECONDS))
        await self._annotate(owner, request.dump())
        try:
            return await self._result(owner, request)
        finally:
            await self._annotate(owner, None)

    async def _result(self, owner: Owner, request: Request) -> dict[str, Any]:
        said = "its job was not made yet"
        while self.clock.now() < request.until:
            obj = await self.client.get(DEPLOYMENTS, owner.namespace, owner.name)
            if obj is None or obj["metadata"]["uid"] != owner.uid:
                raise Unreachable(f'cannot read the dead letters of "{owner.name}": it was deleted')
            drivers = await self.kind.drivers(ModelDeployment.model_validate(obj))
            if (driver := drivers.get(request.part)) is not None:
                seen = await driver.observe(owner, None, time.monotonic(), request.part)
                if isinstance(seen, Present) and isinstance(seen.live, Service):
                    if seen.live.output:
                        return dict(seen.live.output)
                    said = f"its job is {', '.join(task.state for task in seen.live.tasks) or 'waiting'} {seen.live.last_words}"
            await asyncio.sleep(LOOK_SECONDS)
        raise Unreachable(f"cannot read the dead letters: no answer after {PATIENCE_SECONDS:.0f} s: {said}; try again")

    async def _annotate(self, owner: Owner, text: str | None) -> None:
        body = {"metadata": {"annotations": {ANNOTATION: text}}}
        await self.client.patch(DEPLOYMENTS, owner.namespace, owner.name, body, manager="anneal-letters")
        self.wake(owner.uid)
