"""Servers, as a driver over Nova."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from drivers.contract import Conflict, DriverError, Intent, InvalidConfiguration, Owner, Step, Unreachable
from drivers.judging import Thing
from drivers.openstack.live import Server
from drivers.openstack.marks import INSTALLATION, OWNER, mark
from drivers.openstack.table import TableDriver

ACTIONS = ("resize", "confirmResize", "revertResize", "forceDelete", "rebuild", "os-start", "unpause", "resume", "restore")

NOTED = {"detach", "confirmResize", "revertResize"}
"""Changes that Nova answers before they take place, without a word of it on the server."""


class ServerDriver(TableDriver[Server]):
    """Creates take the body of Nova's POST, `madeFrom` beside it. An update is one of:

    {"metadata": {…}} whole; {"tags": […], "madeFrom": …} whole, but for the marks; {"attach": port}; {"detach": port};
    {"attachVolume": id}; {"detachVolume": id}; or an action of Nova with its argument, such as {"resize": {"flavorRef": …}}.
    """

    singular: ClassVar[str] = "server"
    service: ClassVar[str] = "compute"
    table: ClassVar[str] = "servers"
    path: ClassVar[str] = "/servers"
    sick: ClassVar[tuple[str, ...]] = ("ERROR", "DELETING", "SOFT_DELETED")
    narrows: ClassVar[bool] = True

    def listing(self) -> str:
        """With all that is needed, in one call."""
        return "/servers/detail"

    def query(self, owner: Owner | None) -> Mapping[str, Any]:
        """Nova filters by tags; it shows users no filter by metadata that works."""
        if owner is not None:
            return {"tags": f"{OWNER}{owner.uid},{INSTALLATION}{owner.installation}"}
        return {"tags": f"{INSTALLATION}{self._installation}"} if self._installation else {}

    def parse(self, row: Mapping[str, Any]) -> Server:
        """See the base."""
        return Server.parse(row)

    def _thing(self, row: Mapping[str, Any]) -> Thing[Server] | None:
        if "tags" not in row:  # a cell is down: Nova then shows the id and little else
            raise Unreachable(f"cannot look up server {row['id']}: a part of the cloud is down; nothing is concluded from it")
        if row["status"] == "DELETED":
            return None
        return super()._thing(row)

    async def creation(self, step: Step, intent: Intent) -> tuple[str, str, Any]:
        """Name and tags travel in the create; without ports it gets none, so that Nova makes none that nobody removes."""
        body = {key: value for key, value in step.change.items() if key not in ("tags", "madeFrom", "group")}
        hints = {"os:scheduler_hints": {"group": group}} if (group := step.change.get("group")) else {}
        server = {"networks": "none", **body, "name": intent.name, "tags": _tags(step, intent)}
        return "POST", "/servers", {"server": server, **hints}

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract. What Nova only takes note of is waited for, shortly, so that it is asked for once.

        Nova calls it a bad request when a resize is confirmed that is being confirmed already.
        """
        try:
            ref = await super().apply(step, intent)
        except InvalidConfiguration as error:
            if step.change.keys() & {"confirmResize", "revertResize"}:
                raise Conflict(str(error.message), request_id=error.request_id) from error
            raise
        if step.verb == "update" and step.change.keys() & NOTED:
            await self._taken(step, ref)
        return ref

    async def _taken(self, step: Step, ref: str) -> None:
        """Look until the change shows, or a few seconds are over. What cannot be told now the next pass will tell."""
        with contextlib.suppress(DriverError, KeyError, TypeError):
            for pause in (0.1, 0.2, 0.4, 0.8, 1.6):
                await asyncio.sleep(pause)
                if port := step.change.get("detach"):
                    answer = await self._client.read("look at its ports", self.service, f"{self.at(ref)}/os-interface")
                    if port not in {row["port_id"] for row in answer.body["interfaceAttachments"]}:
                        return
                elif (seen := await self._by_id(ref)) is None or seen.live.state != "VERIFY_RESIZE":
                    return

    def update(self, step: Step, ref: str, intent: Intent) -> tuple[str, str, str, Any]:
        """See the class."""
        here = self.at(ref)
        ((what, value),) = ((key, value) for key, value in step.change.items() if key != "madeFrom")
        match what:
            case "metadata":
                return self.service, "PUT", f"{here}/metadata", {"metadata": dict(value)}
            case "tags":
                return self.service, "PUT", f"{here}/tags", {"tags": _tags(step, intent)}
            case "attach":
                return self.service, "POST", f"{here}/os-interface", {"interfaceAttachment": {"port_id": value}}
            case "detach":
                return self.service, "DELETE", f"{here}/os-interface/{value}", None
            case "attachVolume":
                return self.service, "POST", f"{here}/os-volume_attachments", {"volumeAttachment": {"volumeId": value}}
            case "detachVolume":
                return self.service, "DELETE", f"{here}/os-volume_attachments/{value}", None
            case action if action in ACTIONS:
                return self.service, "POST", f"{here}/action", {action: value}
        raise ValueError(f"a server has no {what} to change")

    async def console(self, ref: str, lines: int) -> str:
        """The last lines that it wrote to its console. It changes nothing, though Nova wants a POST."""
        doing = f"read the console of server {ref}"
        answer = await self._client.write(
            doing, self.service, "POST", f"{self.at(ref)}/action", {"os-getConsoleOutput": {"length": lines}}
        )
        return str((answer.body or {}).get("output") or "")


def _tags(step: Step, intent: Intent) -> list[str]:
    return [*step.change.get("tags", ()), *mark(intent.owner, intent.part, str(step.change.get("madeFrom") or ""))]
