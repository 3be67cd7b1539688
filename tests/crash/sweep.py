"""One run of a scenario, with or without a crash, and what is compared afterwards."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.client import ApiUnavailable
from reconciler.http_client import HttpClient
from tests.crash.scenarios import SCENARIOS, Scenario, delete, remove_file
from tests.support.cloud import CloudProcess
from tests.support.daemon import DaemonProcess
from tests.support.world import SWIFT, World, portrait

LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a run left behind. `portrait` has ids and times masked."""

    portrait: dict[str, Any]
    creates: Counter[str]
    deletes: Counter[str]
    delete_requests: int
    """Deletes that were sent, with those that found nothing."""
    points: int
    """Crash points that were passed, if they were counted."""


@dataclass
class Stand:
    """What serves many runs, one after the other: a cloud, a home, and the runs without a crash to compare with."""

    cloud: CloudProcess
    folder: Path
    daemon: DaemonProcess | None = None
    clean: dict[str, Result] = field(default_factory=dict)
    learned: dict[str, list[str]] = field(default_factory=dict)
    serial: int = 0

    def fresh(self) -> DaemonProcess:
        """A new home, where the last run did not leave a tidy one."""
        if self.daemon is None:
            self.cloud.admin.reset()
            self.serial += 1
            self.daemon = DaemonProcess(self.folder / f"home-{self.serial}", SWIFT)
        return self.daemon

    def discard(self) -> None:
        """Do not use this home again."""
        if self.daemon is not None:
            self.daemon.kill()
        self.daemon = None


@dataclass
class Bench:
    """Plays scenarios on a stand. Each run has a Machine of its own and leaves nothing behind."""

    stand: Stand

    async def reference(self, scenario: str) -> Result:
        """The run without a crash; made once."""
        stand = self.stand
        if scenario not in stand.clean:
            points = stand.folder / f"points-{scenario}.jsonl"
            points.unlink(missing_ok=True)
            result = await self.run(scenario, {"ANNEAL_CRASH_COUNT": str(points)})
            labels = [json.loads(line)["label"] for line in points.read_text().splitlines()]
            stand.clean[scenario], stand.learned[scenario] = result, labels[: result.points]
        return stand.clean[scenario]

    def points(self, scenario: str) -> list[str]:
        """The points of the run without a crash, in words."""
        return self.stand.learned[scenario]

    def label(self, scenario: str, number: int) -> str:
        """What the n-th point of the run without a crash was."""
        learned = self.points(scenario)
        return learned[number - 1] if number <= len(learned) else "beyond the last one"

    async def run(self, name: str, env: Mapping[str, str]) -> Result:
        """Play the scenario with a daemon that is started under `env`, started again if it dies, until all is quiet."""
        daemon = self.stand.fresh()
        try:
            result = await self._run(daemon, name, env)
        except BaseException:
            self.stand.discard()
            raise
        return result

    async def _run(self, daemon: DaemonProcess, name: str, env: Mapping[str, str]) -> Result:
        if daemon.extra:  # a crash that the last run had no need of
            daemon.kill()
        if not daemon.alive:
            await daemon.start()
        client = HttpClient.from_kubeconfig(daemon.home.kubeconfig)
        world, scenario = World(self.stand.cloud, daemon, client), SCENARIOS[name]
        self.stand.serial += 1
        machine = f"{name}-{self.stand.serial}"
        try:
            if scenario.before is not None:
                await scenario.before(world, machine)
                await world.ready(machine)
            daemon.stop()
            await daemon.start(env, wait=False)
            async with asyncio.timeout(LIMIT_SECONDS):
                uid = await _play(world, scenario, machine)
            if await world.get(machine) is not None:
                await world.rounds(2)  # nothing is done any more, though all was looked at twice
            points = _counted(env)
            result = await _look(world, machine, uid, points)
            await _tidy(world, machine)
        finally:
            await client.close()
        return result


async def _play(world: World, scenario: Scenario, name: str) -> str:
    """Begin, and see it through, over the daemon's death; returns the Machine's UID."""
    began, uid, over = False, "", 0
    while over < 3:  # seen again and again: a crash that comes with the last write has come
        try:
            if scenario.before is not None and not uid:
                uid = await _uid(world, name)
            if not began:
                await scenario.begin(world, name)
                began = True
            obj = await world.get(name)
        except ApiUnavailable:  # dead, or not there yet
            if not world.daemon.alive:
                await world.daemon.start()
            await asyncio.sleep(0.02)
            continue
        uid = uid or (obj["metadata"]["uid"] if obj else "")
        over = over + 1 if scenario.over(obj) else 0
        await asyncio.sleep(0.02)
    return uid


def _counted(env: Mapping[str, str]) -> int:
    file = Path(env.get("ANNEAL_CRASH_COUNT", ""))
    return len(file.read_text().splitlines()) if file.is_file() else 0


async def _uid(world: World, name: str) -> str:
    obj = await world.get(name)
    assert obj is not None
    return str(obj["metadata"]["uid"])


async def _look(world: World, name: str, uid: str, points: int) -> Result:
    admin = world.admin
    creates = Counter(entry["table"] for entry in admin.creates(owner=uid))
    mine = {entry["id"] for entry in admin.creates(owner=uid)}
    deletes = [entry for entry in admin.log() if entry["method"] == "DELETE" and entry["id"] in mine]
    seen = portrait(await world.get(name), admin.of_owner(uid))
    return Result(seen, creates, Counter(entry["table"] for entry in deletes if entry["done"]), len(deletes), points)


async def _tidy(world: World, name: str) -> None:
    """Leave nothing behind. The daemon may still have a crash in store, if it was to come later than the scenario's end."""
    for _ in range(2):
        try:
            await remove_file(world, name)
            if await world.get(name) is not None:
                await delete(world, name)
                await world.gone(name)
            break
        except ApiUnavailable:
            await world.daemon.died()
            await world.daemon.start()
    world.admin.reset()


def differences(clean: Result, crashed: Result) -> Iterator[str]:
    """Say what a crash changed. One repeated delete is no difference: it finds nothing."""
    if crashed.portrait != clean.portrait:
        yield f"the end state: {json.dumps(clean.portrait, indent=1)} became {json.dumps(crashed.portrait, indent=1)}"
    if crashed.creates != clean.creates:
        yield f"creates: {dict(clean.creates)} became {dict(crashed.creates)}"
    if crashed.deletes != clean.deletes:
        yield f"deletes: {dict(clean.deletes)} became {dict(crashed.deletes)}"
    if crashed.delete_requests > clean.delete_requests + 1:
        yield f"delete requests: {clean.delete_requests} became {crashed.delete_requests}"
