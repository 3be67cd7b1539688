"""A Swarm of our making and its nodes, as two drivers over one fleet of engines.

An engine is a node of ours if the managers of the Swarm that carries our tag list the node id that it says. No token is ever part
of a step: it is read from a manager when an engine joins.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from drivers.contract import (
    Absent,
    Ambiguous,
    Conflict,
    DriverError,
    Duplicate,
    Foreign,
    Intent,
    Observation,
    Owner,
    Present,
    Step,
    Survey,
    Unknown,
    Unreachable,
)
from drivers.swarm import tags
from drivers.swarm.client import Docker
from drivers.swarm.fleet import Fleet, Reading, Said
from drivers.swarm.live import Membership, Swarm, failed

PORT = 2377
POOL, POOL_BITS = "10.64.0.0/14", 24
"""Where overlay networks get their addresses, unless the spec of the engine says otherwise."""


class SwarmDriver:
    """The Swarm itself. Create: `node` (whose engine makes it), `address`, `labels`. Update: `labels` (all of them), `rotate`."""

    settle_seconds = 0.0

    def __init__(self, fleet: Fleet) -> None:
        self.name = f"swarm/cluster@{fleet.name}"
        self._fleet = fleet

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Swarm]:
        """See the contract. Absent only if every engine answers, and none is in it."""
        reading = await self._fleet.read(after)
        if reading.swarm is not None and belongs(self._fleet, owner):
            return Present(reading.swarm.id, reading.swarm)
        return Unknown(reading.blind) if reading.blind is not None else Absent()

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract, and the class."""
        if step.verb != "create" and not step.ref:
            raise ValueError(f"{self.name} updates with a ref")
        label = tags.labels(intent.owner, intent.part)
        if step.verb == "create":
            more = step.change.get("labels") or {}
            return await self._init(str(step.change["node"]), str(step.change["address"]), {**more, **label})
        manager = await self._fleet.manager()
        swarm = await manager.read("look at the Swarm", lambda api: api.inspect_swarm())
        spec = {**swarm["Spec"], "Labels": {**step.change["labels"], **label}}
        version, rotate = int(swarm["Version"]["Index"]), bool(step.change.get("rotate"))
        await manager.write("change the Swarm", lambda api: api.update_swarm_raw(version, spec, rotate=rotate))
        return str(step.ref)

    async def destroy(self, ref: str) -> None:
        """It goes with its last node."""

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return survey(self._fleet, await self._fleet.read(time.monotonic()), nodes=False)

    async def close(self) -> None:
        """Let go of the engines."""
        await self._fleet.close()

    async def _init(self, node: str, address: str, label: Mapping[str, str]) -> str:
        body = {
            "AdvertiseAddr": address, "ListenAddr": f"{address}:{PORT}", "DefaultAddrPool": [POOL], "SubnetSize": POOL_BITS,
            "Spec": {"Name": "default", "Labels": label},
        }  # fmt: skip
        engine = self._fleet.engines[node]
        await engine.write(f"make a Swarm of node {node}", lambda api: api.init_swarm_raw(body))
        try:
            info = await engine.read("look at the Swarm", lambda api: api.info())
        except DriverError as error:
            raise Ambiguous(f"cannot make a Swarm of node {node}: it was made, and then silent; looking again") from error
        return str(info["Swarm"]["Cluster"]["ID"])


class NodeDriver:
    """Parts `node/<name>`. Create: `address`, `role`, `managers` (where to join). Update: `role`, `availability`, `labels`."""

    settle_seconds = 10.0

    def __init__(self, fleet: Fleet) -> None:
        self.name = f"swarm/node@{fleet.name}"
        self._fleet = fleet

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Membership]:
        """See the contract."""
        reading = await self._fleet.read(after)
        name = part.partition("/")[2]
        if name not in reading.engines:
            return Unknown(Unreachable(f"cannot look at {part or 'a node'}: its engine is not known; name the part"))
        found = judged(name, reading, ref)
        if belongs(self._fleet, owner) or isinstance(found, Unknown):
            return found
        return Foreign(ref, _foreign(name)) if ref and not isinstance(found, Absent) else Absent()

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract, and the class."""
        if step.verb == "create":
            return await self._join(intent.part.partition("/")[2], step.change)
        if not step.ref:
            raise ValueError(f"{self.name} updates with a ref")
        ref, manager = step.ref, await self._fleet.manager()
        live = await manager.look(f"look up {intent.part}", lambda api: api.inspect_node(ref))
        if live is None:
            raise Conflict(f"cannot change {intent.part}: it is gone; looking again")
        spec = {**live["Spec"], **_spec(step.change)}
        version = int(live["Version"]["Index"])
        await manager.write(f"change {intent.part}", lambda api: api.update_node_raw(ref, version, spec))
        return ref

    async def destroy(self, ref: str) -> None:
        """See the contract: its engine leaves; once it has, or if it is silent, its entry goes."""
        reading = await self._fleet.read(time.monotonic())
        for name, said in reading.engines.items():
            if isinstance(said, Said) and said.state != "inactive" and ref in _called(name, said):
                await self._leave(name, force=said.manager or said.state == "error")
                return
        if reading.swarm is None:
            if reading.blind is not None:
                raise reading.blind
            return
        manager = await self._fleet.manager()
        await manager.remove(f"remove node {ref}", lambda api: api.remove_node(ref, force=True))

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return survey(self._fleet, await self._fleet.read(time.monotonic()), nodes=True)

    async def close(self) -> None:
        """Let go of the engines."""
        await self._fleet.close()

    async def _leave(self, name: str, *, force: bool) -> None:
        await self._fleet.engines[name].write(f"let node {name} leave", lambda api: api.leave_swarm(force=force))

    async def _join(self, name: str, change: Mapping[str, Any]) -> str:
        manager = await self._fleet.manager()
        swarm = await manager.read("look at the Swarm", lambda api: api.inspect_swarm())
        role, address = str(change["role"]), str(change["address"])
        body = {
            "AdvertiseAddr": address, "ListenAddr": f"{address}:{PORT}",
            "RemoteAddrs": [f"{there}:{PORT}" for there in change["managers"]],
            "JoinToken": swarm["JoinTokens"]["Manager" if role == "manager" else "Worker"],
        }  # fmt: skip
        engine = self._fleet.engines[name]
        await engine.write(f"let node {name} join", lambda api: api.join_swarm_raw(body))
        return await _node_id(engine, name)


async def _node_id(engine: Docker, name: str) -> str:
    """The id that it was given."""
    try:
        info = await engine.read(f"ask node {name} for its id", lambda api: api.info())
    except DriverError as error:
        raise Ambiguous(f"cannot let node {name} join: it joined, and then was silent; looking again") from error
    if not (found := str(info["Swarm"].get("NodeID") or "")):
        raise Ambiguous(f"cannot let node {name} join: it has no id yet; looking again")
    return found


def judged(name: str, reading: Reading, ref: str | None) -> Observation[Membership]:
    """What an engine is to our Swarm. Pure."""
    said, swarm = reading.engines[name], reading.swarm
    entry = swarm.node(ref) if swarm else None
    if isinstance(said, DriverError):
        if entry is None:
            return Unknown(said)
        return Present(entry.id, Membership(entry, "silent", reading.tasks.get(entry.id, 0)))
    if said.state == "inactive":
        if entry is not None:
            return Present(entry.id, Membership(entry, "inactive", 0))
        return Unknown(reading.blind) if ref and swarm is None and reading.blind else Absent()
    if said.state == "error" and entry is not None:
        return Present(entry.id, Membership(entry, "error", reading.tasks.get(entry.id, 0)))
    if said.state == "error" and swarm is not None and _failed_here(said, swarm) and ref in (None, said.node or ref):
        return Present(known_as(name, said), Membership(None, "active", 0))  # it has to leave what it never got into
    if said.state != "active" or not said.node:
        return Unknown(Unreachable(f"cannot look at node {name}: its engine is {said.state} {said.error}".rstrip() + "; waiting"))
    if swarm is None and reading.blind:
        return Unknown(reading.blind)
    mine = swarm.node(said.node) if swarm else None
    if mine is None:
        managers = {node.id for node in swarm.nodes} if swarm else set()
        if not said.manager and (said.node == ref or said.peers & managers):  # its entry is gone, or all of its managers are
            return Present(said.node, Membership(None, "active", 0))
        return Foreign(said.node, _foreign(name))
    membership = Membership(mine, "active", reading.tasks.get(mine.id, 0), bool(said.manager and said.cluster))
    found: Present[Membership] = Present(mine.id, membership)
    return Duplicate(found, (entry.id,)) if entry is not None and entry.id != mine.id else found


def known_as(name: str, said: Said) -> str:
    """The id of the node that an engine is; one that failed to join may have none."""
    return said.node or failed(name)


def _called(name: str, said: Said) -> tuple[str, ...]:
    """All that an engine may be referred to by."""
    return (known_as(name, said), failed(name)) if said.state == "error" else (known_as(name, said),)


def _failed_here(said: Said, swarm: Swarm) -> bool:
    """Whether it failed to join our Swarm, and not somebody else's: its error names one of our managers."""
    return any(f" {node.address}:{PORT}" in said.error for node in swarm.nodes if node.address)


def _foreign(name: str) -> str:
    return f"the engine of node {name} is in another Swarm; let it leave that one, or take it out of the spec"


def belongs(fleet: Fleet, owner: Owner) -> bool:
    """Whether the fleet is this owner's."""
    return (fleet.uid, fleet.installation) == (owner.uid, owner.installation)


def survey(fleet: Fleet, reading: Reading, *, nodes: bool) -> Survey | Unknown:
    """What of the reading is ours."""
    if reading.swarm is None:
        return Unknown(reading.blind) if reading.blind is not None else Survey(reading.taken, frozenset(), {})
    swarm = reading.swarm
    refs = frozenset(node.id for node in swarm.nodes) if nodes else frozenset({swarm.id})
    states = [(node.id, node.role, node.state, node.availability, node.reachability, node.leader) for node in swarm.nodes]
    said = [(name, one.state if isinstance(one, Said) else "silent") for name, one in sorted(reading.engines.items())]
    return Survey(reading.taken, refs, {fleet.uid: hash((tuple(states), tuple(said)))})


def _spec(change: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a NodeSpec that are to change."""
    names = {"role": "Role", "availability": "Availability", "labels": "Labels"}
    return {names[field]: value for field, value in change.items() if field in names}
