"""RayCluster: the whole of what we know about wanting one Ray on this machine, or about one that is there already. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from drivers.contract import Done, Driver, Plan, Present, Seen, Step, Stop, Wait
from drivers.local.folders import Folder
from drivers.local.unit import UnitSpec
from drivers.ray import local as ray
from drivers.ray.local import Endpoint, Head
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import common, processes
from reconciler.kinds.credentials import from_file
from reconciler.kinds.local import Local
from reconciler.kinds.ports import moved
from reconciler.kinds.progress import last_words
from reconciler.logs import register_secret
from specs.meta import Reason, parse_quantity
from specs.ray_cluster import RayCluster

FIRST_PORT = 20_000
START_POLL_SECONDS = 0.5
START_DEADLINE_SECONDS = 90.0
"""A node can miss Ray's own registration limit of 30 s on a busy machine, and then hangs: it is ended and started anew."""
HEALTH_POLL_SECONDS = 15.0
MOST_STARTS = 12
STORE_BYTES = 512 * 2**20
"""Object store, unless the spec says otherwise: tables of the size that fits one machine."""


@dataclass(frozen=True, slots=True)
class RayClusterKind:
    """How RayClusters are reconciled; implements reconciler.engine.kind.Kind."""

    local: Local
    resource: type[RayCluster] = RayCluster

    def references(self, obj: RayCluster) -> Iterable[Reference]:
        """Nothing: a Ray stands for itself."""
        return ()

    def provider(self, obj: RayCluster) -> str:
        """This machine, or the existing Ray."""
        return f"ray@{obj.spec.address}" if obj.spec.address else "local"

    def finalizes(self, obj: RayCluster) -> bool:
        """An existing Ray stays."""
        return obj.spec.local is not None

    async def drivers(self, obj: RayCluster) -> Mapping[str, Driver[Any]]:
        """Folder and head; or the endpoint. CredentialsInvalid: the file with its token cannot be read."""
        if obj.spec.address is not None:
            if obj.spec.token_file is not None and not obj.metadata.deletion_timestamp:
                register_secret(from_file(obj.spec.token_file))
            return {"endpoint": self.local.endpoints}
        return {"head": self.local.heads, "folder": self.local.ray}

    def imported(self, obj: RayCluster) -> Mapping[str, str]:
        """An existing Ray, by its address."""
        return {"endpoint": obj.spec.address} if obj.spec.address else {}

    def resolve(self, obj: RayCluster) -> Mapping[str, Any] | None:
        """The size that was chosen for what the spec leaves open."""
        return None if obj.spec.local is None else {"numCpus": options(obj)["num_cpus"]}

    def plan(self, obj: RayCluster, seen: Seen, now: datetime) -> Plan:
        """From what is seen to a head that answers."""
        if blind := common.blind(seen):
            return blind
        if obj.spec.address is not None:
            return look_at(seen)
        if obj.spec.suspend:
            return suspended(seen, now)
        match seen["folder"]:
            case Present(live=Folder() as folder):
                size, head = options(obj), processes.unit_of(seen, "head")
                if (doing := moved(folder, head, {"ports": ray.ports(), "firstPort": first_port(obj)})) is not None:
                    return doing
                return keep(ray.head(folder, str(obj.metadata.uid), size), f"1 node, {size['num_cpus']} CPU", seen, now)
        change = {"ports": ray.ports(), "firstPort": first_port(obj), "generates": [ray.TOKEN]}
        return (Step("create", "folder", "it needs ports and a token of its own", change),)

    def teardown(self, obj: RayCluster, seen: Seen, now: datetime) -> Plan:
        """The head ends, then its folder goes."""
        if obj.spec.address is not None:
            return Done()
        ending = processes.gone(("head",), seen, now, "the RayCluster is being deleted")
        return processes.gone(("folder",), seen, now, "the RayCluster is being deleted") if isinstance(ending, Done) else ending

    def status(self, obj: RayCluster, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """Where it is and what it has."""
        match seen.get("endpoint"):
            case Present(live=Endpoint(address=address)):
                return {"address": address, "tokenFile": obj.spec.token_file}
        head = head_of(seen)
        up = {"nodes": int(head is not None and head.answers), "rayVersion": installed()}
        if head is not None:
            up |= {"restarts": head.unit.starts - 1}
        chosen = options(obj)
        match seen.get("folder"):
            case Present(live=Folder(path=path, ports=ports)):
                up |= {"address": f"127.0.0.1:{ports['gcs']}", "tokenFile": f"{path}/{ray.TOKEN}", "cpu": str(chosen["num_cpus"])}
        return up | ({"memory": obj.spec.local.memory} if obj.spec.local and obj.spec.local.memory else {})

    def verdicts(self, obj: RayCluster, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready, HeadReady, WorkersReady."""
        ready = common.ready(seen, plan, Reason.HEALTHY)
        if obj.spec.suspend and isinstance(plan, Done):
            ready = Verdict("Ready", "False", Reason.SUSPENDED, "the spec says suspend: true")
        yield ready
        yield Verdict("HeadReady", ready.status, ready.reason, ready.message)
        yield Verdict("WorkersReady", "True", Reason.NOT_REQUIRED, "the head does the work")


def head_of(seen: Seen) -> Head | None:
    """The head, if there is one."""
    match seen.get("head"):
        case Present(live=Head() as head):
            return head
    return None


def keep(want: UnitSpec, healthy: str, seen: Seen, now: datetime) -> Plan:
    """Keep the head running, and answering."""
    head = head_of(seen)
    if head is not None and head.unit.state == "Exited" and head.unit.starts >= MOST_STARTS and not head.unit.stopped:
        said = last_words(head.unit)
        return Stop(Reason.PROCESS_FAILED, f"Ray: {head.unit.how_it_ended}, {head.unit.starts} times in a row: {said}")
    if (doing := processes.run("head", want, seen, now, "no Ray of ours runs")) is not None:
        return doing
    assert head is not None
    if head.answers:
        return Done(healthy)
    waited = now.timestamp() - head.unit.started
    if waited > START_DEADLINE_SECONDS:
        return (Step("delete", "head", f"it does not answer {waited:.0f} s after it was started", ref=head.id),)
    return Wait(Reason.STARTING, "Ray is starting", START_POLL_SECONDS)


def look_at(seen: Seen) -> Plan:
    """An existing Ray is looked at, never touched."""
    match seen["endpoint"]:
        case Present(live=Endpoint(answers=True, address=address)):
            return Done(f"{address} answers", HEALTH_POLL_SECONDS)
        case Present(live=Endpoint(address=address)):
            return Wait(Reason.PROVIDER_UNREACHABLE, f"nobody answers at {address}; asking again", HEALTH_POLL_SECONDS)
    return Wait(Reason.PROVIDER_UNREACHABLE, "nobody was asked", HEALTH_POLL_SECONDS)


def suspended(seen: Seen, now: datetime) -> Plan:
    """The head ends; ports and token are kept."""
    return processes.gone(("head",), seen, now, "the spec says suspend: true")


def options(obj: RayCluster) -> dict[str, int | None]:
    """How large Ray is: what the spec says, else this machine."""
    spec = obj.spec.local
    if spec is None:
        return {"num_cpus": None}
    chosen = (obj.status.resolved or {}).get("numCpus") if obj.status else None
    cpus = spec.num_cpus or chosen or len(os.sched_getaffinity(0))
    store = int(parse_quantity(spec.object_store_memory)) if spec.object_store_memory else STORE_BYTES
    return {
        "num_cpus": cpus,
        "memory": int(parse_quantity(spec.memory)) if spec.memory else None,
        "object_store_memory": store,
    }


def first_port(obj: RayCluster) -> int:
    """Where the search for ports begins: two clusters that start at once do not look at the same ones.

    Below 32,768, where outgoing connections take theirs: a port that is free now would be somebody's when Ray starts again.
    """
    if obj.metadata.uid is None:  # a plan for what does not exist yet
        return FIRST_PORT
    return FIRST_PORT + int(str(obj.metadata.uid).replace("-", "")[:4], 16) % 60 * 200


def installed() -> str | None:
    """The version of Ray that is installed."""
    try:
        return version("ray")
    except PackageNotFoundError:
        return None
