"""From the spec of a Machine and the ids behind its names to the bodies that a cloud takes. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.contract import Present, Seen
from drivers.openstack.live import Rule, rule_of
from drivers.openstack.lookup import Selector
from drivers.openstack.marks import REBUILT
from reconciler.kinds.openstack.cloud_init import user_data
from reconciler.kinds.servers import Past
from specs.machine import Machine, Remediation
from specs.meta import REBUILD_ANNOTATION
from specs.openstack import Named, OpenStackMachine, OpenStackPort, SecurityGroupRule, Tagged

Body = dict[str, Any]


def selector(what: str, given: Named | Tagged | Any) -> Selector:
    """What the spec says of something that exists, as a question to the cloud."""
    if given is None:
        return Selector(what)
    tags = tuple(getattr(given.filter, "tags", ()) or ()) if given.filter else ()
    return Selector(what, given.id or "", (given.filter.name or "") if given.filter else "", tags)


def selectors(obj: Machine) -> Iterator[Selector]:
    """Everything that the Machine refers to by name, and the flavor, whose name Nova shows in place of its id."""
    spec = obj.spec.openstack
    assert spec is not None
    if obj.spec.import_ is not None:
        found = [selector("server", obj.spec.import_)]
    else:
        found = [selector("flavor", spec.flavor), selector("image", spec.image)]
        found += [selector("securityGroup", group) for group in spec.security_groups if group.rules is None]
        for port in spec.ports:
            found.append(selector("network", port.network))
            found += [selector("subnet", ip.subnet) for ip in port.fixed_ips if ip.subnet]
            found += [selector("securityGroup", group) for group in port.security_groups or ()]
        if spec.server_group:
            found.append(selector("serverGroup", spec.server_group))
        if spec.floating_ip:
            found.append(address_network(spec))
    yield from (one for one in found if not one.id or one.what == "flavor")


def address_network(spec: OpenStackMachine) -> Selector:
    """Where the floating IP comes from."""
    given = spec.floating_ip.network if spec.floating_ip else None
    return selector("network", given) if given else Selector("externalNetwork")


def parts(spec: OpenStackMachine) -> frozenset[str]:
    """The names of all parts that are wanted."""
    names = {"server"} | {f"port/{number}" for number in range(len(spec.ports))}
    names |= {f"group/{number}" for number, group in enumerate(spec.security_groups) if group.rules is not None}
    names |= {f"volume/data-{device.name}" for device in spec.additional_block_devices}
    names |= {"volume/root"} if spec.root_volume else set()
    names |= {"address"} if spec.floating_ip else set()
    return frozenset(names | ({"key"} if spec.ssh_public_key else set()))


@dataclass(frozen=True, slots=True)
class Wish:
    """One wanted server: the spec, the ids behind its names, what was tried before, and the time."""

    spec: OpenStackMachine
    resolved: Mapping[str, Any]
    remediation: Remediation
    past: Past
    resizes: int
    """How often this spec asked for another size already."""
    now: datetime
    rebuild: str = ""
    """A digest of the request to rebuild it; empty if there is none."""

    @classmethod
    def of(cls, obj: Machine, now: datetime) -> Wish:
        """Read it from a Machine."""
        assert obj.spec.openstack is not None
        status = obj.status
        asked = status.resize if status else None
        count = asked.count if asked and asked.generation == obj.metadata.generation else 0
        resolved = (status.resolved if status else None) or {}
        asked_for = (obj.metadata.annotations or {}).get(REBUILD_ANNOTATION)
        rebuild = _digest([asked_for]) if asked_for else ""
        return cls(obj.spec.openstack, resolved, obj.spec.remediation, Past.of(obj, now), count, now, rebuild)

    @property
    def parts(self) -> frozenset[str]:
        """The parts that are wanted."""
        return parts(self.spec)

    def id(self, what: str, given: Any) -> str:
        """The id of something that the spec refers to."""
        return self._id(selector(what, given))

    def _id(self, wanted: Selector) -> str:
        return wanted.id if wanted.id and wanted.what != "flavor" else str(self.resolved.get(wanted.key, {}).get("id", ""))

    @property
    def flavor(self) -> str:
        """Name of the flavor: what a server shows."""
        return str(self.resolved.get(selector("flavor", self.spec.flavor).key, {}).get("name", ""))

    @property
    def made_from(self) -> str:
        """A digest of all that a server cannot change: another one is another server."""
        spec = self.spec
        values = [
            self.id("image", spec.image), spec.ssh_key_name, spec.ssh_public_key, spec.availability_zone, spec.config_drive,
            spec.user_data, spec.server_group and self.id("serverGroup", spec.server_group),
            spec.root_volume and spec.root_volume.model_dump(mode="json"),
        ]  # fmt: skip
        if spec.cloud_init is not None:  # what is asked for, not what our templates make of it: newer ones replace no server
            values.append(spec.cloud_init.model_dump(mode="json"))
        return _digest(values)

    @property
    def root_made_from(self) -> str:
        """A digest of all that the root volume is made from: another one is another volume."""
        root = self.spec.root_volume
        return _digest([self.id("image", self.spec.image), root and root.model_dump(mode="json")])

    def root_fits(self, made_from: str) -> bool:
        """Whether a root volume is what is wanted: of the same image, size and type, and not from before a request to rebuild."""
        made, _, rebuilt = made_from.partition(".")
        return made == self.root_made_from and self.rebuild in ("", rebuilt)

    def port_spec(self, part: str) -> OpenStackPort:
        """The port that a part stands for."""
        return self.spec.ports[int(part.partition("/")[2])]

    def groups(self, port: OpenStackPort, seen: Seen) -> list[str] | None:
        """Ids of the security groups of a port, sorted; None where nothing is said."""
        if port.disable_port_security:
            return []
        if port.security_groups is not None:
            return sorted(self.id("securityGroup", group) for group in port.security_groups)
        if not self.spec.security_groups:
            return None
        found = []
        for number, group in enumerate(self.spec.security_groups):
            match seen.get(f"group/{number}"):
                case Present(ref=ref) if group.rules is not None:
                    found.append(ref)
                case _ if group.rules is None:
                    found.append(self.id("securityGroup", group))
        return sorted(found)

    def port(self, part: str, seen: Seen) -> Body:
        """The body of a port's create."""
        want = self.port_spec(part)
        body: Body = {"network_id": self.id("network", want.network)}
        body |= {"binding:vnic_type": want.vnic_type} if want.vnic_type != "normal" else {}
        body |= {"description": want.description} if want.description else {}
        body |= {"mac_address": want.mac_address} if want.mac_address else {}
        body |= {"port_security_enabled": False} if want.disable_port_security else {}
        body |= {"fixed_ips": self.fixed_ips(want)} if want.fixed_ips else {}
        body |= {"allowed_address_pairs": pairs_of(want)} if want.allowed_address_pairs else {}
        groups = self.groups(want, seen)
        return body if groups is None else body | {"security_groups": groups}

    def fixed_ips(self, port: OpenStackPort) -> list[Body]:
        """The addresses of a port, as far as they are given."""
        rows = []
        for ip in port.fixed_ips:
            row = {"subnet_id": self.id("subnet", ip.subnet)} if ip.subnet else {}
            rows.append(row | ({"ip_address": ip.ip_address} if ip.ip_address else {}))
        return rows

    def address(self, seen: Seen) -> Body:
        """The body of a floating IP's create: it leads to the first port from the start."""
        first = [{"port_id": ref} for part, ref in refs(seen, "port") if part in self.parts][:1]
        return {"floating_network_id": self._id(address_network(self.spec)), **(first[0] if first else {})}

    def volume(self, part: str) -> Body:
        """The body of a volume's create."""
        if part == "volume/root":
            root = self.spec.root_volume
            assert root is not None
            zone = {"availability_zone": root.availability_zone.name} if root.availability_zone else {}
            kind = {"volume_type": root.type} if root.type else {}
            body = {"size": root.size_gib, "imageRef": self.id("image", self.spec.image), **kind, **zone}
            return body | {"madeFrom": f"{self.root_made_from}{f'.{self.rebuild}' if self.rebuild else ''}"}
        device = next(one for one in self.spec.additional_block_devices if part == f"volume/data-{one.name}")
        return {"size": device.size_gib, **({"volume_type": device.type} if device.type else {})}

    def server(self, seen: Seen) -> Body:
        """The body of a server's create, out of the parts that are there."""
        spec = self.spec
        ports = [ref for part, ref in refs(seen, "port") if part in self.parts]
        body: Body = {
            "flavorRef": self._id(selector("flavor", spec.flavor)),
            "metadata": self.metadata | ({REBUILT: self.rebuild} if self.rebuild else {}),
            "madeFrom": self.made_from,
        }
        body |= {"networks": [{"port": ref} for ref in ports]} if ports else {}
        body |= {"tags": sorted(set(spec.tags))} if spec.tags else {}
        body |= {"availability_zone": spec.availability_zone} if spec.availability_zone else {}
        body |= {"config_drive": spec.config_drive} if spec.config_drive is not None else {}
        body |= {"user_data": base64.b64encode(data.encode()).decode()} if (data := user_data(spec)) else {}
        body |= {"group": self.id("serverGroup", spec.server_group)} if spec.server_group else {}
        keys = [ref for _, ref in refs(seen, "key")]
        if name := spec.ssh_key_name or next(iter(keys), None):
            body["key_name"] = name
        roots = [ref for part, ref in refs(seen, "volume") if part == "volume/root"]
        if spec.root_volume is None:
            body["imageRef"] = self.id("image", spec.image)
        elif roots:
            device = {"boot_index": 0, "uuid": roots[0], "source_type": "volume", "destination_type": "volume"}
            body["block_device_mapping_v2"] = [device | {"delete_on_termination": False}]
        return body

    @property
    def rebuilt(self) -> Body:
        """The body of a rebuild. Metadata go with it: so the server itself says that it took place."""
        image = self.id("image", self.spec.image)
        return {"rebuild": {"imageRef": image, "metadata": self.metadata | {REBUILT: self.rebuild}}}

    @property
    def metadata(self) -> dict[str, str]:
        """The server's metadata."""
        return {pair.key: pair.value for pair in self.spec.server_metadata}


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def refs(seen: Seen, stem: str) -> list[tuple[str, str]]:
    """(part, id) of the parts of one kind that are there, in their order."""
    names = sorted((part for part in seen if part.partition("/")[0] == stem), key=order)
    return [(part, found.ref) for part in names if isinstance(found := seen[part], Present)]


def order(part: str) -> tuple[str, int, str]:
    """port/2 before port/10."""
    stem, _, rest = part.partition("/")
    return stem, int(rest) if rest.isdecimal() else 0, rest


def pairs_of(port: OpenStackPort) -> list[Body]:
    """Addresses that a port may use beside its own."""
    return [
        {"ip_address": pair.ip_address, **({"mac_address": pair.mac_address} if pair.mac_address else {})}
        for pair in port.allowed_address_pairs
    ]


def rule_body(rule: SecurityGroupRule) -> Body:
    """A rule as Neutron takes it."""
    body: Body = {"direction": rule.direction, "ethertype": rule.ether_type}
    first, last = rule.port_range_min, rule.port_range_max
    given = {
        "protocol": rule.protocol, "remote_ip_prefix": rule.remote_ip_prefix,
        "port_range_min": first or last, "port_range_max": last or first,
    }  # fmt: skip
    return body | {key: value for key, value in given.items() if value is not None}


EGRESS = ({"direction": "egress", "ethertype": "IPv4"}, {"direction": "egress", "ethertype": "IPv6"})
"""What Neutron puts into each new group: everything may go out. A group with egress rules of its own does without."""


def rules_of(rules: list[SecurityGroupRule]) -> dict[Rule, Body]:
    """The rules that a group should have."""
    bodies = [rule_body(rule) for rule in rules]
    bodies += [] if any(rule.direction == "egress" for rule in rules) else [dict(body) for body in EGRESS]
    return {rule_of(body): body for body in bodies}
