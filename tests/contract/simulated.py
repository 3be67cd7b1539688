"""The harness of the simulated cloud: it can fake everything that can be thought of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.contract import Driver, Fence, Intent, Owner, Step
from drivers.simulated import connect
from drivers.simulated.driver import tags
from tests.contract.harness import INSTALLATION, Hook
from tests.support.cloud import CloudAdmin, fault

TABLES = {"server": "servers", "port": "ports", "address": "addresses"}
CHANGES: dict[str, dict[str, Any]] = {
    "server": {"flavor": "small", "image": "debian-12"},
    "port": {"network": "net"},
    "address": {},
}
CANNOT: dict[str, dict[Hook, str]] = {
    "server": {Hook.PARTS: "a Machine has one server"},
    "port": {Hook.UPDATE: "nothing of a port that the driver shows can be changed in place"},
    "address": {Hook.PARTS: "a Machine has one address"},
}


class Simulated:
    """One of the three drivers, over a cloud that runs for the whole session."""

    def __init__(self, singular: str) -> None:
        self.name = f"simulated-{singular}"
        self.singular, self.table = singular, TABLES[singular]
        self.part = f"{singular}/0" if singular == "port" else singular
        self.cannot: Mapping[Hook, str] = CANNOT[singular]
        self.secret = "open-sesame"
        self.admin = CloudAdmin("")

    def reset(self) -> None:
        """A new cloud, which asks for a token."""
        self.admin.reset()
        self.secret = "open-sesame"
        self.admin.settings(token=self.secret)

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 10.0) -> Driver[Any]:
        """The driver, with a token source that `rotate` changes."""
        cloud = connect(
            endpoint or self.admin.url, lambda: self.secret, fence, installation=INSTALLATION, call_seconds=call_seconds
        )
        return cloud.drivers[self.singular]

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """A small one."""
        part = part or self.part
        step = Step("create", part, "no such thing carries our tag", CHANGES[self.singular])
        return step, Intent(owner, part, owner.external_name(part))

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """Metadata of a server; where an address leads."""
        if self.singular == "server":
            step = Step("update", self.part, "its metadata differs", {"metadata": {"role": "worker"}}, ref=ref)
            return step, lambda live: dict(live.metadata) == {"role": "worker"}
        server = self.admin.create("servers", name="target")
        return Step("update", self.part, "it leads nowhere", {"server": server}, ref=ref), lambda live: live.server == server

    def broken(self, fault_: str, **more: Any) -> None:
        """Any fault of the cloud, on this table."""
        self.admin.faults(fault(fault_, path=f"/{self.table}", **more))

    def honest(self) -> None:
        """No faults."""
        self.admin.faults()

    def pass_time(self, seconds: float) -> None:
        """Move the cloud's clock."""
        self.admin.advance(seconds)

    def meddle(self, verb: str, ref: str = "", **fields: Any) -> str:
        """Over the back door."""
        table: Any = self.table
        match verb:
            case "create":
                return self.admin.create(table, **fields)
            case "change":
                self.admin.change(table, ref, **fields)
            case "delete":
                self.admin.delete(table, ref)
        return ref

    def tags(self, owner: Owner, part: str) -> Mapping[str, Any]:
        """As the driver tags."""
        return {"tags": tags(owner, part)}

    def rotate(self, *, told: bool) -> None:
        """A new token in the cloud."""
        self.admin.settings(token="new-sesame")
        if told:
            self.secret = "new-sesame"

    def refs(self) -> list[str]:
        """From the inventory, which shows also what is hidden."""
        return [thing["id"] for thing in self.admin.inventory()[self.table]]

    def mutations(self) -> int:
        """From the request log."""
        return len([entry for entry in self.admin.log() if entry["table"] == self.table])

    def reads(self) -> int:
        """Lists, questions by tag and questions by id."""
        return sum(count for what, count in self.admin.reads().items() if what.endswith(self.table))
