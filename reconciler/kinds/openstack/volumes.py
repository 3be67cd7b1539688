"""What the states of volumes let a plan do, and what it has to wait for. Pure.

available → plug in, grow, delete · in-use → grow, take off · error… → said, for what it holds is for a person to give up
creating, attaching, detaching, extending, … → wait · on another server → wait until it is taken off there
"""

from __future__ import annotations

from collections.abc import Iterator

from drivers.contract import Present, Seen, Step, Stop, Wait
from drivers.openstack.live import Volume
from reconciler.kinds.openstack.wish import Wish
from specs.meta import Reason

SOON, LATER = 1.0, 10.0
"""How many seconds until the next look: at what the cloud is at work on, at what waits for a person."""
DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
"""In any other state Cinder refuses a delete."""
SETTLED = ("available", "in-use")


def grow(want: Wish, seen: Seen) -> Iterator[Step]:
    """Further volumes that are too small. A root volume of another size is another one."""
    for device in want.spec.additional_block_devices:
        part = f"volume/data-{device.name}"
        match seen.get(part):
            case Present(ref=ref, live=Volume(state=state, size=size)) if size < device.size_gib and state in SETTLED:
                yield Step("update", part, f"{size} GiB → {device.size_gib} GiB", {"size": device.size_gib}, ref=ref)


def unready(want: Wish, server: str, seen: Seen) -> Wait | Stop | None:
    """Why a server cannot be made from its volumes, or work with them, yet. `server` is its id; empty if there is none."""
    volumes = [(part, ref, live) for part, ref, live in _volumes(seen) if part in want.parts]
    for part, ref, live in volumes:
        if live.state.startswith("error"):
            message = f"the cloud says {part} ({ref}) is in {live.state}; mend it there, or delete it there"
            return Stop(Reason.SERVER_FAILED, message)
    for part, ref, live in volumes:
        if live.state == "in-use" and live.server != server:
            message = f"{part} ({ref}) is on server {live.server or '(not told)'}; going on once it is taken off there"
            return Wait(Reason.UPDATING, message, LATER if server else SOON)
        if live.state not in SETTLED:
            return Wait(Reason.BUILDING, f"the cloud says {part} is {live.state}; waiting for it", SOON)
    left = (stuck(part, ref, live) for part, ref, live in _volumes(seen) if part not in want.parts)
    return next(filter(None, left), None) or _other(want, seen)


def stuck(part: str, ref: str, live: Volume) -> Wait | None:
    """Why a volume cannot be deleted yet; None if it can."""
    if live.state in DELETABLE:
        return None
    if live.state == "deleting":
        return Wait(Reason.DELETING, f"the cloud is deleting {part}", SOON)
    if live.state == "error_deleting":
        message = f"the cloud could not delete {part} ({ref}); an administrator has to reset its state"
        return Wait(Reason.DELETION_BLOCKED, message, LATER)
    if live.state == "in-use":
        message = f"{part} ({ref}) is on server {live.server or '(not told)'}; going on once it is taken off there"
        return Wait(Reason.DELETION_BLOCKED, message, LATER)
    return Wait(Reason.DELETING, f"the cloud says {part} is {live.state}; waiting for it", SOON)


def _volumes(seen: Seen) -> list[tuple[str, str, Volume]]:
    """(part, id, volume) of those that are there."""
    found = ((part, seen[part]) for part in sorted(seen))
    return [(part, one.ref, one.live) for part, one in found if isinstance(one, Present) and isinstance(one.live, Volume)]


def _other(want: Wish, seen: Seen) -> Stop | None:
    """Where a further volume is what the spec cannot turn it into: nothing of what it holds is thrown away for that."""
    for device in want.spec.additional_block_devices:
        match seen.get(f"volume/data-{device.name}"):
            case Present(live=Volume(size=size)) if size > device.size_gib:
                message = f'volume "{device.name}" has {size} GiB and cannot shrink to {device.size_gib}'
                return Stop(Reason.INVALID_CONFIGURATION, f"{message}; write sizeGiB: {size}, or give it another name")
            case Present(live=Volume(type=kind)) if device.type not in (None, kind):
                message = f'volume "{device.name}" is of type {kind or "(none)"}, and anneal makes no {device.type} of it'
                return Stop(Reason.INVALID_CONFIGURATION, f"{message}; retype it in the cloud, or give it another name")
    return None
