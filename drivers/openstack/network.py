"""Ports, floating IPs and security groups, as drivers over Neutron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from drivers.contract import Intent, Owner, Step
from drivers.openstack.live import Address, Group, Port
from drivers.openstack.marks import described, mark
from drivers.openstack.table import TableDriver

Live = TypeVar("Live")


class NeutronDriver(TableDriver[Live]):
    """What the tables of Neutron share: how a create carries the tag."""

    service: ClassVar[str] = "network"
    wrapper: ClassVar[str]
    """The key that one thing is wrapped in."""
    _takes_tags: bool | None = None

    def query(self, owner: Owner | None) -> Mapping[str, Any]:
        """Nothing: where the marks stand in the description no filter finds them, and a project has few of these."""
        return {}

    async def creation(self, step: Step, intent: Intent) -> tuple[str, str, Any]:
        """Marks as tags where the create takes them, else in the description."""
        marks = mark(intent.owner, intent.part)
        body = self.body(step.change, intent)
        if await self._tags_at_create():
            body["tags"] = [*body.get("tags", ()), *marks]
        else:
            body.pop("tags", None)  # they follow in an update
            body["description"] = described(body.get("description", ""), marks)
        return "POST", self.path, {self.wrapper: body}

    def body(self, change: Mapping[str, Any], intent: Intent) -> dict[str, Any]:
        """The body of a create but for the marks."""
        return {**change, "name": intent.name}

    def update(self, step: Step, ref: str, intent: Intent) -> tuple[str, str, str, Any]:
        """{"tags": […]} whole, but for the marks; anything else are fields of the thing."""
        marks = mark(intent.owner, intent.part)
        if "tags" in step.change:
            return self.service, "PUT", f"{self.at(ref)}/tags", {"tags": [*step.change["tags"], *marks]}
        fields = dict(step.change)
        if "description" in fields and self._takes_tags is False:
            fields["description"] = described(fields["description"], marks)
        return self.service, "PUT", self.at(ref), {self.wrapper: fields}

    async def _tags_at_create(self) -> bool:
        if self._takes_tags is None:
            answer = await self._client.read("ask whether creates take tags", self.service, "/extensions/tag-creation")
            self._takes_tags = answer.status == 200
        return self._takes_tags


class PortDriver(NeutronDriver[Port]):
    """Creates and updates take Neutron's own fields."""

    singular: ClassVar[str] = "port"
    table: ClassVar[str] = "ports"
    path: ClassVar[str] = "/ports"
    wrapper: ClassVar[str] = "port"

    def parse(self, row: Mapping[str, Any]) -> Port:
        """See the base."""
        return Port.parse(row)


class AddressDriver(NeutronDriver[Address]):
    """Creates take floating_network_id; an update says port_id. The name stands in the description: there is no other place."""

    singular: ClassVar[str] = "address"
    table: ClassVar[str] = "floatingips"
    path: ClassVar[str] = "/floatingips"
    wrapper: ClassVar[str] = "floatingip"

    def body(self, change: Mapping[str, Any], intent: Intent) -> dict[str, Any]:
        """A floating IP has no name."""
        return {**change, "description": intent.name}

    def parse(self, row: Mapping[str, Any]) -> Address:
        """See the base."""
        return Address.parse(row)


class GroupDriver(NeutronDriver[Group]):
    """Creates take nothing but a description; an update is {"add": [rule, …]} or {"remove": rule id}: one call each."""

    singular: ClassVar[str] = "group"
    table: ClassVar[str] = "security_groups"
    path: ClassVar[str] = "/security-groups"
    wrapper: ClassVar[str] = "security_group"

    def update(self, step: Step, ref: str, intent: Intent) -> tuple[str, str, str, Any]:
        """See the class."""
        if "add" in step.change:
            rules = [{**rule, "security_group_id": ref} for rule in step.change["add"]]
            return self.service, "POST", "/security-group-rules", {"security_group_rules": rules}
        if "remove" in step.change:
            return self.service, "DELETE", f"/security-group-rules/{step.change['remove']}", None
        return super().update(step, ref, intent)

    def parse(self, row: Mapping[str, Any]) -> Group:
        """See the base."""
        return Group.parse(row)
