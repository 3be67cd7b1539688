"""A Ray on this machine: one head as a unit, with ports, token and temporary folder of its own. Ray itself is never imported.

Ray is open code execution to whoever reaches it, so it listens on loopback only and asks for a token. It replaces 127.0.0.1 by
the outside address unless it is told that there is no cluster but this machine (RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drivers.contract import Absent, Duplicate, Foreign, Intent, Observation, Owner, Present, Step, Survey, Unknown
from drivers.local.folders import Folder
from drivers.local.unit import Unit, UnitSpec
from drivers.local.units import UnitDriver
from drivers.looked_at import LookedAt

PROBE_SECONDS = 1.0
SERVICES = ("gcs", "node", "object", "agent", "agentGrpc", "runtimeEnv", "metrics")
WORKER_PORTS = 128
TOKEN = "token"  # noqa: S105  the name of the file


def ports() -> dict[str, int]:
    """How many ports a head needs, by name."""
    return {**dict.fromkeys(SERVICES, 1), "worker": WORKER_PORTS}


def environment(token_file: str) -> dict[str, str]:
    """What every process needs that talks to it."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": token_file,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }


def temporary(uid: str) -> str:
    """Ray's own folder. Short: its sockets lie in it, and a socket's path has at most 107 characters."""
    return str(Path(tempfile.gettempdir()) / f"anneal-ray-{uid.replace('-', '')[:8]}")


def head(folder: Folder, uid: str, options: Mapping[str, int | None]) -> UnitSpec:
    """The head as a unit. `options` are num_cpus, memory, object_store_memory, where they are set."""
    port, temp = folder.ports, temporary(uid)
    flags = {
        "node-ip-address": "127.0.0.1",
        "port": port["gcs"],
        "node-manager-port": port["node"],
        "object-manager-port": port["object"],
        "dashboard-agent-listen-port": port["agent"],
        "dashboard-agent-grpc-port": port["agentGrpc"],
        "runtime-env-agent-port": port["runtimeEnv"],
        "metrics-export-port": port["metrics"],
        "min-worker-port": port["worker"],
        "max-worker-port": port["worker"] + WORKER_PORTS - 1,
        "include-dashboard": "false",
        "temp-dir": temp,
        **{name.replace("_", "-"): value for name, value in options.items() if value is not None},
    }
    words = ["--no-monitor", *(f"--{name}={value}" for name, value in flags.items())]  # nothing to scale; it would open a port
    return UnitSpec(
        command=[sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats", *words],
        env=environment(f"{folder.path}/{TOKEN}"),
        removes=[temp],
        label=f"{port['gcs']}/{port['node']}",
        grace_seconds=10.0,
    )


@dataclass(frozen=True, slots=True)
class Head:
    """A head as it was found."""

    unit: Unit
    answers: bool
    """Whether its GCS and its raylet listen: then the node is a member."""

    @property
    def id(self) -> str:
        """The unit's."""
        return self.unit.id

    @property
    def name(self) -> str:
        """The unit's."""
        return self.unit.name


class HeadDriver:
    """Heads: units that are asked whether they answer."""

    name = "ray/head"
    settle_seconds = 0.0

    def __init__(self, units: UnitDriver) -> None:
        self._units = units

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Head]:
        """See the contract."""
        match await self._units.observe(owner, ref, after, part):
            case Present(ref=found, live=unit):
                return Present(found, await _asked(unit))
            case Duplicate(keep=Present(ref=found, live=unit), extra=extra):
                return Duplicate(Present(found, await _asked(unit)), extra)
            case Absent() | Unknown() | Foreign() as other:
                return other

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract."""
        return await self._units.apply(step, intent)

    async def destroy(self, ref: str) -> None:
        """See the contract."""
        await self._units.destroy(ref)

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return await self._units.survey()

    async def close(self) -> None:
        """See the contract."""
        await self._units.close()


async def _asked(unit: Unit) -> Head:
    if unit.state != "Running":
        return Head(unit, False)
    answers = await asyncio.gather(*(listens("127.0.0.1", int(port)) for port in unit.label.split("/")))
    return Head(unit, all(answers))


async def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An existing Ray as it was found."""

    address: str
    answers: bool


class EndpointDriver(LookedAt):
    """Existing Rays, by address."""

    name = "ray/endpoint"

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Endpoint]:
        """Whether it takes connections."""
        if ref is None:
            return Absent()
        host, _, port = ref.rpartition(":")
        return Present(ref, Endpoint(ref, await listens(host, int(port))))
