"""From names to ids: what a spec refers to and somebody else made. Looked up once; the ids are stored before anything is made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from drivers.contract import InvalidConfiguration
from drivers.openstack.client import CloudClient


class Selector(NamedTuple):
    """What to look for: an id, or a name with tags. `what` is a key of PLACES, or externalNetwork."""

    what: str
    id: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same question: under this its answer is stored."""
        return ":".join((self.what, self.id or "", self.name or "", ",".join(self.tags)))

    def __str__(self) -> str:
        words = [f'called "{self.name}"'] * bool(self.name) + [f"with tags {', '.join(self.tags)}"] * bool(self.tags)
        return " ".join(filter(None, (self.what, self.id, *words)))


class _Place(NamedTuple):
    service: str
    path: str
    table: str


PLACES = {
    "flavor": _Place("compute", "/flavors", "flavors"),
    "image": _Place("image", "/images", "images"),
    "network": _Place("network", "/networks", "networks"),
    "subnet": _Place("network", "/subnets", "subnets"),
    "securityGroup": _Place("network", "/security-groups", "security_groups"),
    "serverGroup": _Place("compute", "/os-server-groups", "server_groups"),
    "server": _Place("compute", "/servers/detail", "servers"),
}


_ASKING: WeakKeyDictionary[CloudClient, dict[str, asyncio.Task[dict[str, str]]]] = WeakKeyDictionary()
"""Questions that wait for their answers."""


async def find(client: CloudClient, selector: Selector) -> dict[str, str]:
    """{"id", "name"} of the one thing that matches; InvalidConfiguration if there is none, or more than one.

    Who asks the same while somebody does gets the same answer: fifty Machines of one image are one question, not fifty.
    """
    asking = _ASKING.setdefault(client, {})
    if (task := asking.get(selector.key)) is None:
        task = asking[selector.key] = asyncio.create_task(_find(client, selector))
        task.add_done_callback(lambda _: asking.pop(selector.key))
    return dict(await asyncio.shield(task))


async def _find(client: CloudClient, selector: Selector) -> dict[str, str]:
    doing = f"look up {selector}"
    external = selector.what == "externalNetwork"
    place = PLACES["network" if external else selector.what]
    if selector.id and selector.what != "flavor":
        return {"id": selector.id, "name": ""}
    if selector.id:
        answer = await client.read(doing, place.service, f"{place.path}/{selector.id}")
        rows = [answer.body["flavor"]] if answer.status == 200 else []
    else:
        rows = await client.rows(doing, place.service, place.path, place.table, _query(selector))
        rows = [row for row in rows if _matches(row, selector)]
    match rows:
        case [row]:
            return {"id": str(row["id"]), "name": str(row.get("name") or "")}
        case []:
            raise InvalidConfiguration(
                f"cannot {doing}: the cloud has none that this account may see; make it, or correct the spec"
            )
    raise InvalidConfiguration(f"cannot {doing}: {len(rows)} match; give the id of one")


def _query(selector: Selector) -> Mapping[str, Any]:
    """What the service can narrow down itself. Nova takes a name for a regular expression, and flavors by no name."""
    if selector.what == "externalNetwork":
        return {"router:external": "true"}
    if selector.what in ("network", "subnet", "securityGroup", "image") and selector.name:
        return {"name": selector.name}
    return {}


def _matches(row: Mapping[str, Any], selector: Selector) -> bool:
    if selector.name and row.get("name") != selector.name:
        return False
    return set(selector.tags) <= set(row.get("tags") or ())
