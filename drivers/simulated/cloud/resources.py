"""What may be done with servers, ports and addresses, and how they look from outside."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drivers.simulated.cloud.world import Thing, World

CORES = {"small": 1, "medium": 2, "large": 4, "xlarge": 8}
FIELDS = {
    "servers": {"flavor", "image", "ports", "metadata"},
    "ports": {"network"},
    "addresses": {"server"},
}
MUTABLE = {"servers": {"metadata", "ports", "state", "name"}, "ports": {"name"}, "addresses": {"server", "name"}}


class Refusal(Exception):
    """The cloud says no: an HTTP status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def create(world: World, table: str, body: Mapping[str, Any], *, doom: str | None = None, late: float = 0.0) -> Thing:
    """Make a thing. `doom` is the fault with which a server will end in ERROR; `late` hides it from reads for so many seconds."""
    if unknown := set(body) - FIELDS[table] - {"name", "tags"}:
        raise Refusal(400, f"Additional properties are not allowed ({', '.join(sorted(unknown))} was unexpected)")
    for field in ("flavor", "image", "network"):
        if field in FIELDS[table] and (not body.get(field) or str(body[field]).startswith("no-such-")):
            raise Refusal(400, f"Invalid {field} provided: {body.get(field)!r} could not be found.")
    _check_references(world, table, body)
    _check_quota(world, table, body)
    thing = new(world, table, body)
    thing |= {"visible_at": world.now + late}
    if table == "servers" and doom:
        thing |= {"doom": doom}
    world.put(table, thing["id"], thing)
    return thing


def new(world: World, table: str, body: Mapping[str, Any]) -> Thing:
    """A thing with all its fields, not yet in the world."""
    now, serial = world.now, world.serial
    thing: Thing = {"id": str(uuid.uuid4()), "name": "", "tags": {}, "created": now, "visible_at": now}
    if table == "servers":
        thing |= {"state": "BUILD", "fault": "", "doom": None, "active_at": now + float(world.settings["build_seconds"])}
        thing |= {"flavor": "small", "image": "debian-12", "ports": [], "metadata": {}, "gone_at": None, "ip": _ip(10, serial)}
    if table == "ports":
        thing |= {"network": "private", "ip": _ip(10, serial)}
    if table == "addresses":
        thing |= {"server": None, "ip": _ip(198, serial)}
    return thing | dict(body)


def update(world: World, table: str, thing: Thing, body: Mapping[str, Any]) -> Thing:
    """Change fields in place. A server's state may be set to ACTIVE: start, unpause and restore in one."""
    if unknown := set(body) - MUTABLE[table]:
        raise Refusal(400, f"{', '.join(sorted(unknown))} cannot be changed")
    if table == "servers" and thing["gone_at"]:
        raise Refusal(409, f"Cannot change instance {thing['id']} while it is in task_state deleting")
    if "state" in body and (body["state"] != "ACTIVE" or state(thing, world.now) not in ("SHUTOFF", "PAUSED", "SOFT_DELETED")):
        raise Refusal(409, f"Cannot go to {body['state']} while instance {thing['id']} is in vm_state {state(thing, world.now)}")
    _check_references(world, table, body, itself=thing["id"])
    changed = {**thing, **body}
    world.put(table, thing["id"], changed)
    return changed


def delete(world: World, table: str, thing: Thing) -> bool:
    """Ask for a thing's removal: a server takes its time, a port in use refuses. False if it was on its way out already."""
    if table == "ports" and (server := users(world).get(thing["id"])):
        raise Refusal(409, f"Port {thing['id']} is currently in use by server {server}.")
    if table == "servers" and thing["gone_at"]:
        return False
    slow = float(world.settings["delete_seconds"]) if table == "servers" else 0.0
    world.put(table, thing["id"], {**thing, "gone_at": world.now + slow} if slow else None)
    return True


def show(world: World, table: str, thing: Thing, used: Mapping[str, str]) -> dict[str, Any]:
    """The thing as the cloud's users see it. `used` is what `users` said."""
    created = datetime.fromtimestamp(thing["created"], UTC).isoformat().replace("+00:00", "Z")
    seen = {"id": thing["id"], "name": thing["name"], "tags": thing["tags"], "created": created}
    if table == "servers":
        ports = [world.tables["ports"][port] for port in thing["ports"] if port in world.tables["ports"]]
        current = state(thing, world.now)
        seen |= {key: thing[key] for key in ("flavor", "image", "metadata")}
        seen |= {"state": current, "fault": thing["fault"] or (thing["doom"] if current == "ERROR" else "") or ""}
        seen |= {"ports": [port["id"] for port in ports], "addresses": [port["ip"] for port in ports] or [thing["ip"]]}
    if table == "ports":
        server = used.get(thing["id"])
        seen |= {"network": thing["network"], "ip": thing["ip"], "server": server, "state": "ACTIVE" if server else "DOWN"}
    if table == "addresses":
        alive = thing["server"] if thing["server"] in world.tables["servers"] else None
        seen |= {"ip": thing["ip"], "server": alive, "state": "ACTIVE" if alive else "DOWN"}
    return seen


def state(server: Thing, now: float) -> str:
    """A server's state at a time: what was set, moved on by the clock."""
    if server["gone_at"]:
        return "DELETING"
    if server["state"] == "BUILD" and now >= server["active_at"]:
        return "ERROR" if server["doom"] else "ACTIVE"
    return str(server["state"])


def users(world: World) -> dict[str, str]:
    """Port id → the id of the server that uses it."""
    return {port: server["id"] for server in world.tables["servers"].values() for port in server["ports"]}


def _check_references(world: World, table: str, body: Mapping[str, Any], itself: str | None = None) -> None:
    if table == "servers" and body.get("ports"):
        used = users(world)
        for port in body["ports"]:
            if port not in world.tables["ports"]:
                raise Refusal(400, f"Port {port} could not be found.")
            if used.get(port, itself) != itself:
                raise Refusal(409, f"Port {port} is still in use.")
    if table == "addresses" and body.get("server") and body["server"] not in world.tables["servers"]:
        raise Refusal(404, f"Instance {body['server']} could not be found.")


def _check_quota(world: World, table: str, body: Mapping[str, Any]) -> None:
    limit, used = world.settings["quotas"][table], len(world.tables[table])
    if table != "servers":
        if used >= limit:
            raise Refusal(409, f"Quota exceeded for resources: ['{table}']: {used} of {limit} in use. (OverQuota)")
        return
    if used >= limit:
        raise Refusal(403, f"Quota exceeded for instances: Requested 1, but already used {used} of {limit} instances")
    want, cores = CORES.get(body["flavor"], 1), world.settings["quotas"]["cores"]
    busy = sum(CORES.get(server["flavor"], 1) for server in world.tables["servers"].values())
    if busy + want > cores:
        raise Refusal(403, f"Quota exceeded for cores: Requested {want}, but already used {busy} of {cores} cores")


def _ip(first: int, serial: int) -> str:
    return f"{first}.{serial >> 16 & 255}.{serial >> 8 & 255}.{serial & 255}"
