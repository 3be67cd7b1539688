"""Planning for a server of an OpenStack cloud, with all its parts. Pure.

A reader sees every state of a server here, and what is done about it:

    BUILD → wait, or replace after nodeStartupTimeoutSeconds · ACTIVE → compare
    ERROR, or its root volume is gone → replace, a few times, with growing pauses
    a rebuild was asked for → rebuild in place, or replace what boots from a volume
    VERIFY_RESIZE → confirm what was wanted, revert what was not · RESIZE, REBOOT, MIGRATING, … → wait · gone → create
    SHUTOFF, PAUSED, SUSPENDED, … → somebody did that: say so, touch nothing · SOFT_DELETED → say so
    somebody else's tag, or none → never touched · two with our tag → the recorded one is kept, the other deleted
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from drivers.contract import Absent, Done, Plan, Present, Seen, Step, Stop, Wait
from drivers.openstack.live import Group, Key, Port, Server, Volume
from reconciler.kinds import servers
from reconciler.kinds.openstack import drift, volumes
from reconciler.kinds.openstack.wish import Wish, order
from specs.meta import Reason

BUSY_SECONDS = 1.0
"""How soon to look again at what the cloud is at work on."""
BUSY = ("RESIZE", "REVERT_RESIZE", "REBOOT", "HARD_REBOOT", "REBUILD", "MIGRATING", "PASSWORD")
ORDER = {"server": 0, "address": 1, "port": 2, "group": 3, "volume": 4, "key": 5}
"""In which order parts are removed: what is in use cannot go."""
MAKING = {"group": 0, "key": 1, "volume": 2, "port": 3, "address": 4}
"""In which order they are made."""
LOSSES = {"server": "the server and its local disk", "volume": "all that is on it", "address": "the address"}
MOST_RESIZES = 3


def plan(want: Wish, seen: Seen) -> Plan:
    """From what is seen to one server with its parts."""
    if extra := tuple(servers.surplus_twins(seen)):
        return extra
    match seen["server"]:
        case Present(ref=ref, live=Server(state="ERROR", fault=fault)):
            return servers.replace_failed(ref, fault, want.remediation, want.past)
        case Present(live=Server(state="SOFT_DELETED")):
            return Stop(
                Reason.EXTERNAL_DELETED, "somebody deleted the server, and the cloud still keeps it; restore it or purge it"
            )
        case Present(live=Server(state="DELETED" | "DELETING")):
            return Wait(Reason.DELETING, "the cloud is deleting the server", BUSY_SECONDS)
        case Present(ref=ref, live=Server() as server):
            if why := drift.replacement(want, server, seen):
                loss, pause = "its local disk", "the machine is gone until the new one is up"
                gone = Step("delete", "server", why, ref=ref, destroys=loss, interrupts=pause)
                return (gone, _create_server(want, seen))
            return _with_server(want, ref, server, seen)
        case _:
            return _without_server(want, seen)


def teardown(seen: Seen) -> Plan:
    """From what is seen to nothing. One part at a time, and the next only once the one before it is gone."""
    if extra := tuple(servers.surplus_twins(seen)):
        return extra
    steps: list[Step] = []
    for part in sorted(seen, key=lambda part: (ORDER[part.partition("/")[0]], order(part))):
        match seen[part]:
            case Present(live=Server(state="DELETED" | "DELETING" as state)):
                return Wait(Reason.DELETING, f"the cloud says the server is {state}; waiting until it is gone", BUSY_SECONDS)
            case Present(ref=ref, live=Server(state="SOFT_DELETED")):
                why, loss = "the cloud still keeps it", "the server and its local disk"
                steps.append(Step("update", part, why, {"forceDelete": None}, ref=ref, destroys=loss))
            case Present(ref=ref, live=Volume() as volume) if not steps and (waiting := volumes.stuck(part, ref, volume)):
                return waiting
            case Present(ref=ref):
                what = part.partition("/")[0]
                steps.append(Step("delete", part, "the Machine is being deleted", ref=ref, destroys=LOSSES.get(what)))
    return tuple(steps) or Done()


def _with_server(want: Wish, ref: str, server: Server, seen: Seen) -> Plan:
    """It exists and need not be replaced."""
    if server.state == "BUILD":
        return _building(want, ref, server)
    if server.state == "VERIFY_RESIZE":
        action = "confirmResize" if server.flavor == want.flavor else "revertResize"
        why = f"it waits for a word on its new size, {server.flavor}"
        return (Step("update", "server", why, {action: None}, ref=ref),)
    if server.state in BUSY or (server.task and server.state == "ACTIVE"):
        return Wait(Reason.UPDATING, f"the cloud is at work on it: {server.task or server.state}", BUSY_SECONDS)
    if server.state != "ACTIVE":
        return Stop(Reason.STOPPED, f"the server is {server.state}: somebody stopped it; start it again, or delete the Machine")
    if want.spec.root_volume and server.made_from and isinstance(seen.get("volume/root"), Absent):
        cause = "its root volume is gone from the cloud"  # a new one would be used by nobody: it runs from nothing
        return servers.replace_failed(ref, "", want.remediation, want.past, cause=cause)
    if want.rebuild not in ("", server.rebuilt):
        loss, pause = "what is on its local disk", "the machine is gone until its image is back on the disk"
        return (Step("update", "server", "a rebuild was asked for", want.rebuilt, ref=ref, destroys=loss, interrupts=pause),)
    steps = (
        *drift.unplug(want, ref, seen),
        *_surplus(want, seen),
        *_missing(want, seen),
        *drift.groups(want, seen),
        *drift.ports(want, seen),
        *drift.plug(want, ref, server, seen),
        *volumes.grow(want, seen),
        *drift.server(want, ref, server),
        *drift.address(want, seen),
    )
    if steps:
        return steps
    if server.flavor != want.flavor:
        return _resize(want, ref, server)
    if waiting := volumes.unready(want, ref, seen):
        return waiting
    return Done(", ".join((server.state, *server.addresses, *server.floating)), want.spec.resync_period_seconds)


def _building(want: Wish, ref: str, server: Server) -> Plan:
    limit = want.remediation.node_startup_timeout_seconds
    if limit is not None and (want.now - datetime.fromisoformat(server.created)).total_seconds() > limit:
        return servers.replace_failed(ref, "", want.remediation, want.past, cause=f"it was not built within {limit} s")
    return Wait(Reason.BUILDING, f"the cloud is building it{f' ({server.task})' if server.task else ''}", BUSY_SECONDS)


def _resize(want: Wish, ref: str, server: Server) -> Plan:
    """Bounded: a cloud that finds no host for the new size may say so nowhere but in its log."""
    if want.resizes >= MOST_RESIZES:
        message = f"asked {want.resizes} times for flavor {want.flavor}, and the server still is {server.flavor}"
        return Stop(Reason.INVALID_CONFIGURATION, f"{message}; the cloud may have no room. Change the spec to try again")
    flavor = want.id("flavor", want.spec.flavor)
    why = f"flavor {server.flavor} → {want.flavor}"
    return (Step("update", "server", why, {"resize": {"flavorRef": flavor}}, ref=ref, interrupts="the server reboots"),)


def _without_server(want: Wish, seen: Seen) -> Plan:
    """There is none: parts first, then the server, then the address is led to it."""
    steps = (
        *_surplus(want, seen),
        *_unfit(want, seen),
        *_missing(want, seen),
        *drift.groups(want, seen),
        *drift.ports(want, seen),
    )
    if not steps and (waiting := volumes.unready(want, "", seen)):
        return waiting
    return (*steps, _create_server(want, seen), *drift.address(want, seen))


def _create_server(want: Wish, seen: Seen) -> Step:
    return Step("create", "server", "no server carries our tag", want.server(seen))


def _surplus(want: Wish, seen: Seen) -> Iterator[Step]:
    """Parts that an earlier spec wanted, and ports that must be others. What is in use waits until it is free."""
    for part in sorted(seen.keys() - {"server"}, key=lambda part: (ORDER[part.partition("/")[0]], order(part))):
        match seen[part]:
            case Present(ref=ref, live=Port(server="") as port):
                if why := drift.other_port(want, part, port):
                    yield Step("delete", part, why, ref=ref)
            case Present(live=Port()):
                continue
            case Present(live=Volume(state=state, server=there)) if there or state not in volumes.DELETABLE:
                continue
            case Present(ref=ref, live=Group()) if drift.used(ref, seen):
                continue
            case Present(ref=ref) if part not in want.parts:
                yield Step("delete", part, "no longer wanted", ref=ref, destroys=LOSSES.get(part.partition("/")[0]))


def _unfit(want: Wish, seen: Seen) -> Iterator[Step]:
    """Parts that only a server that is not there yet can get anew."""
    match seen.get("key"):
        case Present(ref=ref, live=Key(public=public)) if want.spec.ssh_public_key not in (None, public):
            yield Step("delete", "key", "the public key is another", ref=ref)
    match seen.get("volume/root"):
        case Present(ref=ref, live=Volume(state="available", made_from=made_from)) if want.spec.root_volume:
            if made_from and not want.root_fits(made_from):
                why = "it was made from another image, of another size or type, or before a rebuild was asked for"
                yield Step("delete", "volume/root", why, ref=ref, destroys="all that is on it")
    for part, observation in seen.items():
        match observation:
            case Present(ref=ref, live=Port(server=there)) if there and part in want.parts:
                yield Step("update", part, "it is bound to a server that is gone", {"device_id": "", "device_owner": ""}, ref=ref)


def _missing(want: Wish, seen: Seen) -> Iterator[Step]:
    wanted = want.parts - {"server"}
    for part in sorted(wanted, key=lambda part: (MAKING[part.partition("/")[0]], order(part))):
        if not isinstance(seen[part], Absent):
            continue
        match part.partition("/")[0]:
            case "group":
                yield Step("create", part, "no group carries our tag")
            case "key":
                yield Step("create", part, "no key carries our tag", {"public_key": want.spec.ssh_public_key})
            case "volume":
                yield Step("create", part, "no volume carries our tag", want.volume(part))
            case "port":
                yield Step("create", part, "no port carries our tag", want.port(part, seen))
            case "address":
                yield Step("create", part, "no address carries our tag", want.address(seen))
