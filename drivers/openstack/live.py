"""What an OpenStack cloud shows of a server, a port, an address, a group, a key, a volume, as values."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.openstack.marks import REBUILT, Marks, others, plain, read, words_of

POWER = {0: "NOSTATE", 1: "RUNNING", 3: "PAUSED", 4: "SHUTDOWN", 6: "CRASHED", 7: "SUSPENDED"}
GOING = ("deleting", "soft-deleting", "force-deleting")


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it was last seen."""

    id: str
    name: str
    state: str
    """Nova's word: BUILD, ACTIVE, SHUTOFF, PAUSED, ERROR, VERIFY_RESIZE, SOFT_DELETED, …; DELETING while it is being deleted."""
    task: str
    """What Nova is doing with it: "resize_prep", …; empty if nothing."""
    power: str
    fault: str
    flavor: str
    """The flavor's name: Nova shows no id of it."""
    image: str
    """The image's id; empty if it boots from a volume."""
    metadata: Mapping[str, str]
    tags: tuple[str, ...]
    """Tags that are not ours, sorted."""
    made_from: str
    addresses: tuple[str, ...]
    floating: tuple[str, ...]
    volumes: tuple[str, ...]
    """Ids of the volumes that are attached."""
    created: str
    rebuilt: str = ""
    """Which request to rebuild it was last made or rebuilt for."""

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Server:
        """Read Nova's JSON; KeyError or TypeError if it is something else."""
        task = row.get("OS-EXT-STS:task_state") or ""
        found = [address for network in (row.get("addresses") or {}).values() for address in network]
        floating = tuple(a["addr"] for a in found if a.get("OS-EXT-IPS:type") == "floating")
        return cls(
            id=row["id"],
            name=row["name"],
            state="DELETING" if task in GOING else row["status"],
            task=task,
            power=POWER.get(row.get("OS-EXT-STS:power_state") or 0, "NOSTATE"),
            fault=(row.get("fault") or {}).get("message") or "",
            flavor=row["flavor"]["original_name"],
            image=(row.get("image") or {}).get("id") or "",
            metadata={key: value for key, value in (row.get("metadata") or {}).items() if key != REBUILT},
            tags=others(row["tags"]),
            made_from=read(row["tags"]).made_from,
            addresses=tuple(a["addr"] for a in found if a["addr"] not in floating),
            floating=floating,
            volumes=tuple(v["id"] for v in row.get("os-extended-volumes:volumes_attached") or ()),
            created=row["created"],
            rebuilt=(row.get("metadata") or {}).get(REBUILT) or "",
        )


@dataclass(frozen=True, slots=True)
class Port:
    """A network port."""

    id: str
    name: str
    network: str
    fixed: tuple[tuple[str, str], ...]
    """(subnet id, address)."""
    groups: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    """(address, hardware address) that it may use beside its own."""
    mac: str
    vnic: str
    secure: bool
    server: str
    """What uses it; empty if nothing does."""
    description: str
    tags: tuple[str, ...]
    state: str
    created: str

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Port:
        """Read Neutron's JSON."""
        return cls(
            id=row["id"],
            name=row["name"],
            network=row["network_id"],
            fixed=tuple(sorted((ip["subnet_id"], ip["ip_address"]) for ip in row["fixed_ips"])),
            groups=tuple(sorted(row.get("security_groups") or ())),
            pairs=tuple(
                sorted((network_of(p["ip_address"]), p["mac_address"].lower()) for p in row.get("allowed_address_pairs") or ())
            ),
            mac=row["mac_address"],
            vnic=row.get("binding:vnic_type") or "normal",
            secure=row.get("port_security_enabled", True),
            server=row.get("device_id") or "",
            description=plain(row.get("description") or ""),
            tags=others(row.get("tags") or ()),
            state=row["status"],
            created=row["created_at"],
        )


@dataclass(frozen=True, slots=True)
class Address:
    """A floating IP."""

    id: str
    name: str
    ip: str
    network: str
    port: str
    """The port it leads to; empty if none."""
    state: str
    created: str

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Address:
        """Read Neutron's JSON. It has no name: the description says it."""
        return cls(
            row["id"], plain(row.get("description") or ""), row["floating_ip_address"], row["floating_network_id"],
            row.get("port_id") or "", row["status"], row["created_at"],
        )  # fmt: skip


Rule = tuple[str, str, str, int, int, str]
"""(direction, ether type, protocol, first port, last port, prefix); "" and 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Group:
    """A security group."""

    id: str
    name: str
    rules: tuple[tuple[Rule, str], ...]
    """(rule, its id), sorted."""
    created: str

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Group:
        """Read Neutron's JSON."""
        rules = sorted((rule_of(rule), rule["id"]) for rule in row.get("security_group_rules") or ())
        return cls(row["id"], row["name"], tuple(rules), row["created_at"])


def network_of(text: str) -> str:
    """An address or a range as Neutron writes it, so that two ways to write one are equal: 10.1.2.3/8 is 10.0.0.0/8."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def rule_of(row: Mapping[str, Any]) -> Rule:
    """A rule of Neutron's JSON as a value that compares."""
    prefix = network_of(row.get("remote_ip_prefix") or "")
    return (
        row["direction"], row["ethertype"], row.get("protocol") or "", row.get("port_range_min") or 0,
        row.get("port_range_max") or 0, "" if prefix in ("0.0.0.0/0", "::/0") else prefix,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair. Nova knows it by its name alone, so the name carries the tag: <external name>_<installation>_<UID>_<part>."""

    id: str
    name: str
    public: str
    created: str

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Key:
        """Read Nova's JSON."""
        return cls(row["name"], row["name"].split("_")[0], row.get("public_key") or "", row.get("created_at") or "")

    @staticmethod
    def marks(name: str) -> Marks:
        """What the name says."""
        words = name.rsplit("_", 3)
        return Marks(*words[1:]) if len(words) == 4 else Marks()


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume."""

    id: str
    name: str
    state: str
    """Cinder's word: creating, available, in-use, error, deleting, …"""
    size: int
    server: str
    created: str
    made_from: str = ""
    """A digest of what it was made from."""
    type: str = ""
    """The name of its type."""

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Volume:
        """Read Cinder's JSON."""
        made_from = (row.get("metadata") or {}).get("anneal-made-from") or ""
        server = next((a["server_id"] for a in row.get("attachments") or ()), "")
        name, kind = row.get("name") or "", row.get("volume_type") or ""
        return cls(row["id"], name, row["status"], row["size"], server, row["created_at"], made_from, kind)


def marks_of(row: Mapping[str, Any]) -> Marks:
    """Whose a thing of Nova or Neutron is."""
    return read(words_of(row))
