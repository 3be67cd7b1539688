"""What the status of a Machine says of an OpenStack server. Pure."""

from __future__ import annotations

from typing import Any

from drivers.contract import Plan
from drivers.openstack.live import Server
from specs.machine import Machine


def cloud_status(obj: Machine, ref: str, server: Server, plan: Plan) -> dict[str, Any]:
    """Addresses, states, fault; and, before another size is asked for, how often it was."""
    addresses = [{"type": "Hostname", "address": server.name}]
    addresses += [{"type": "InternalIP", "address": ip} for ip in server.addresses]
    addresses += [{"type": "ExternalIP", "address": ip} for ip in server.floating]
    fields: dict[str, Any] = {
        "providerID": f"openstack:///{ref}",
        "instanceState": server.state,
        "powerState": server.power,
        "addresses": addresses,
        "fault": server.fault[:1024],
    }
    if isinstance(plan, tuple) and "resize" in plan[0].change:
        past = obj.status.resize if obj.status else None
        count = past.count if past and past.generation == obj.metadata.generation else 0
        fields["resize"] = {"generation": obj.metadata.generation or 0, "count": count + 1}
    return fields
