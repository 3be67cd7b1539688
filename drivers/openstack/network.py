"""Ports, floating IPs and security groups, as drivers over Neutron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from drivers.contract import Intent, Step
from drivers.openstack.live import Address, Group, Port
from drivers.openstack.marks import described, mark
from drivers.openstack.table import TableDriver

Live = TypeVar("Live")


class NeutronDriver(TableDriver[Live]):
    """What the tables of Neutron share: the create carries the marks at the end of the description.

    Tags would be the natural place, but Neutron sets them in a call of their own: in between the thing would be nobody's.
    """

    service: ClassVar[str] = "network"
    wrapper: ClassVar[str]
    """The key that one thing is wrapped in."""

    async def creation(self, step: Step, intent: Intent) -> tuple[str, str, Any]:
        """Marks travel in the create; tags of the spec follow in an update."""
        body = {key: value for key, value in self.body(step.change, intent).items() if key != "tags"}
        body["description"] = described(body.get("description", ""), mark(intent.owner, intent.part))
        return "POST", self.path, {self.wrapper: body}

    def body(self, change: Mapping[str, Any], intent: Intent) -> dict[str, Any]:
        """The body of a create but for the marks."""
        return {**change, "name": intent.name}

    def update(self, step: Step, ref: str, intent: Intent) -> tuple[str, str, str, Any]:
        """{"tags": […]} whole; anything else are fields of the thing."""
        if "tags" in step.change:
            return self.service, "PUT", f"{self.at(ref)}/tags", {"tags": list(step.change["tags"])}
        fields = dict(step.change)
        if "description" in fields:
            fields["description"] = described(fields["description"], mark(intent.owner, intent.part))
        return self.service, "PUT", self.at(ref), {self.wrapper: fields}


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
