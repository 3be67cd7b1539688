"""Planning for a server with ports and an address, whatever the cloud. Pure.

A reader sees every state of a server here, and what is done about it:

    BUILD → wait · ACTIVE → compare · ERROR → replace, a few times, with growing pauses · gone → create
    SHUTOFF, PAUSED, SUSPENDED, VERIFY_RESIZE, … → somebody did that: say so, touch nothing · SOFT_DELETED → say so
    somebody else's tag, or none → never touched · two with our tag → the recorded one is kept, the other deleted
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from drivers.contract import Absent, Done, Duplicate, Foreign, Plan, Present, Seen, Step, Stop, Unknown, Wait
from drivers.simulated.live import Address, Port, Server
from specs.machine import Machine, Remediation, SimulatedMachine
from specs.meta import Reason

BUILD_POLL_SECONDS = 2.0
DELETE_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Past:
    """How often the server was replaced for this spec, and since when."""

    count: int
    since: timedelta
    """Time since the last replacement."""

    @classmethod
    def of(cls, obj: Machine, now: datetime) -> Past:
        """Read it from the object's failures."""
        for row in obj.status.failures if obj.status else ():
            if row.part == "server" and row.generation == obj.metadata.generation and row.reason == Reason.SERVER_FAILED:
                return cls(row.count, now - datetime.fromisoformat(row.time))
        return cls(0, timedelta(0))


def inputs(spec: SimulatedMachine) -> dict[str, Any]:
    """What a server is made from: another value of any of these is another server."""
    return {"flavor": spec.flavor, "image": spec.image, "networks": [port.network for port in spec.ports]}


def blind(seen: Seen) -> Wait | Stop | None:
    """What keeps us from planning at all: something unknown, or something that is not ours."""
    for part, observation in seen.items():
        if isinstance(observation, Unknown):
            return Wait(
                observation.error.reason, f"cannot look at {part}: {observation.error}", observation.error.retry_after or 15.0
            )
    for part, observation in seen.items():
        if isinstance(observation, Foreign):
            return Stop(Reason.NOT_OURS, f"{part}: {observation.message}; it is left alone")
    return None


def plan(spec: SimulatedMachine, remediation: Remediation, past: Past, seen: Seen, wanted: Set[str]) -> Plan:
    """From what is seen to one server with its ports and its address."""
    if duplicates := tuple(surplus_twins(seen)):
        return duplicates
    match seen["server"]:
        case Present(ref=ref, live=Server(state="ERROR") as server):
            return replace_failed(ref, server.fault, remediation, past)
        case Present(live=Server(state="SOFT_DELETED")):
            return Stop(
                Reason.EXTERNAL_DELETED, "somebody deleted the server, and the cloud still keeps it; restore it or purge it"
            )
        case Present(live=Server(state="DELETED" | "DELETING")):
            return Wait(Reason.DELETING, "the cloud is deleting the server", DELETE_POLL_SECONDS)
        case Present(ref=ref, live=Server() as server):
            if steps := tuple(_rebuild(ref, server, spec, seen, wanted)):
                return steps
            return _settled(ref, server, spec, seen, wanted)
        case _:
            return (
                *_surplus(seen, wanted),
                *_missing_parts(spec, seen, wanted),
                _create_server(spec, seen),
                *_lead_address(seen, None),
            )


def teardown(seen: Seen) -> Plan:
    """From what is seen to nothing. One part at a time, and the next only once the one before it is gone."""
    if duplicates := tuple(surplus_twins(seen)):
        return duplicates
    order = sorted(seen, key=lambda part: ({"server": 0, "address": 1}.get(part, 2), part))
    steps: list[Step] = []
    for part in order:
        match seen[part]:
            case Present(live=Server(state="DELETED" | "DELETING" | "SOFT_DELETED" as state)) if not steps:
                return Wait(
                    Reason.DELETING, f"the cloud says the server is {state}; waiting until it is gone", DELETE_POLL_SECONDS
                )
            case Present(ref=ref):
                loss = "the server and its local disk" if part == "server" else None
                steps.append(Step("delete", part, "the Machine is being deleted", ref=ref, destroys=loss))
    return tuple(steps) or Done()


def surplus_twins(seen: Seen) -> Iterator[Step]:
    """Of what is there twice, remove all but the one that is kept."""
    for part, observation in seen.items():
        if isinstance(observation, Duplicate):
            for ref in observation.extra:
                why = f"two carry our tag; {observation.keep.ref} is the one on record"
                yield Step("delete", part, why, ref=ref, destroys=f"the duplicate {part} {ref}")


def replace_failed(ref: str, fault: str, remediation: Remediation, past: Past, cause: str = "") -> Plan:
    """Replace what the cloud could not build or keep: a few times, with growing pauses, then say so and stop.

    `cause` says why where it is not that the cloud reports ERROR.
    """
    cause, why = cause or f"the cloud says: {fault or 'no fault was given'}", cause or f"it is in ERROR: {fault}"
    if past.count >= remediation.max_retry:
        tried = f"replaced {past.count} times" if past.count else "replacing is switched off (spec.remediation.maxRetry: 0)"
        return Stop(Reason.SERVER_FAILED, f"{cause}; {tried}. Change the spec to try again")
    pause = timedelta(seconds=remediation.retry_period_seconds * 2.0 ** (past.count - 1)) if past.count else timedelta(0)
    if past.since < pause:
        message = f"{cause}; replaced {past.count} of {remediation.max_retry} times, next in a while"
        return Wait(Reason.SERVER_FAILED, message, (pause - past.since).total_seconds())
    return (Step("delete", "server", why, ref=ref, destroys="its local disk", remedies=True),)


def _rebuild(ref: str, server: Server, spec: SimulatedMachine, seen: Seen, wanted: Set[str]) -> Iterator[Step]:
    """What cannot be changed in place: the server goes and comes again."""
    reasons = [
        f"{name} {have} → {want}"
        for name, have, want in (("flavor", server.flavor, spec.flavor), ("image", server.image, spec.image))
        if have != want
    ]
    for part, port in _ports(seen):
        if part not in wanted:
            reasons.append(f"{part} no longer wanted")
        elif port.live.network != (network := _network(spec, part)):
            reasons.append(f"{part} {port.live.network} → {network}")
    if not reasons:
        return
    why = "; ".join(reasons)
    yield Step(
        "delete", "server", why, ref=ref, destroys="its local disk", interrupts="the machine is gone until the new one is up"
    )
    yield _create_server(spec, seen)


def _settled(ref: str, server: Server, spec: SimulatedMachine, seen: Seen, wanted: Set[str]) -> Plan:
    if server.state == "BUILD":
        return Wait(Reason.BUILDING, "the cloud is building it", BUILD_POLL_SECONDS)
    if server.state != "ACTIVE":
        return Stop(Reason.STOPPED, f"the server is {server.state}: somebody stopped it; start it again, or delete the Machine")
    steps = [
        *_surplus(seen, wanted),
        *_missing_parts(spec, seen, wanted),
        *_drift(ref, server, spec, seen),
        *_lead_address(seen, ref),
    ]
    return tuple(steps) or Done(", ".join((server.state, *server.addresses)))


def _drift(ref: str, server: Server, spec: SimulatedMachine, seen: Seen) -> Iterator[Step]:
    """What can be changed in place."""
    metadata = {pair.key: pair.value for pair in spec.server_metadata}
    if dict(server.metadata) != metadata:
        yield Step("update", "server", "its metadata differs", {"metadata": metadata}, ref=ref)
    ports = [observation.ref for _, observation in _ports(seen)]
    if unplugged := [port for port in ports if port not in server.ports]:
        yield Step("update", "server", f"port {', '.join(unplugged)} is unplugged", {"ports": ports}, ref=ref)


def _lead_address(seen: Seen, server: str | None) -> Iterator[Step]:
    match seen.get("address"):
        case Present(ref=ref, live=Address(server=there)) if server and (there or "") != server:
            yield Step("update", "address", "it leads elsewhere or nowhere", {"server": server}, ref=ref)


def _surplus(seen: Seen, wanted: Set[str]) -> Iterator[Step]:
    """Parts that an earlier spec wanted. Ports are freed only once the server that used them is gone."""
    server_there = isinstance(seen["server"], Present)
    for part in sorted(seen.keys() - wanted, reverse=True):
        match seen[part]:
            case Present(ref=ref) if part == "address" or not server_there:
                yield Step("delete", part, "no longer wanted", ref=ref, destroys="the address" if part == "address" else None)


def _missing_parts(spec: SimulatedMachine, seen: Seen, wanted: Set[str]) -> Iterator[Step]:
    for part in sorted(wanted - {"server"}, key=lambda name: (name == "address", name)):
        if part == "address" and isinstance(seen[part], Absent):
            yield Step("create", part, "no address carries our tag")
        elif part.startswith("port/"):
            yield from _missing_port(spec, seen, part)


def _missing_port(spec: SimulatedMachine, seen: Seen, part: str) -> Iterator[Step]:
    network = _network(spec, part)
    match seen[part]:
        case Absent():
            yield Step("create", part, "no port carries our tag", {"network": network})
        case Present(ref=ref, live=Port(network=other)) if other != network:
            yield Step("delete", part, f"network {other} → {network}", ref=ref)


def _network(spec: SimulatedMachine, part: str) -> str:
    return spec.ports[int(part.partition("/")[2])].network


def _create_server(spec: SimulatedMachine, seen: Seen) -> Step:
    change = {
        "flavor": spec.flavor,
        "image": spec.image,
        "metadata": {pair.key: pair.value for pair in spec.server_metadata},
        "ports": [observation.ref for _, observation in _ports(seen)],
    }
    return Step("create", "server", "no server carries our tag", change)


def _ports(seen: Seen) -> Iterator[tuple[str, Present[Port]]]:
    for part in sorted(part for part in seen if part.startswith("port/")):
        observation = seen[part]
        if isinstance(observation, Present):
            yield part, observation
