"""`spec.openstack` of a Machine: a server of an OpenStack cloud, in the words of Cluster API Provider OpenStack (CAPO)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.cloud_init import BESIDE, MOST_BESIDE, CloudInit
from specs.cloud_init import RULES as CLOUD_INIT_RULES
from specs.meta import Model, ObjectName, Rule

Id = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[-._a-zA-Z0-9]+$")]
Label = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A name that OpenStack lets people give: anything printable."""
Tag = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f,/]+$")]
IpAddress = Annotated[str, Field(min_length=2, max_length=49, pattern=r"^[0-9a-fA-F:.]+(/[0-9]+)?$")]
MacAddress = Annotated[str, Field(min_length=17, max_length=17, pattern=r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")]

ONE_OF_ID = "exactly one of id, filter must be set"
ONE_OF_GROUP = "exactly one of id, filter, rules must be set"
ONE_OF_IDENTITY = "exactly one of name, file must be set"
KEY_ONCE = "sshKeyName and sshPublicKey exclude each other"
CLOUD_FOR_LIFE = "cloudName and region cannot be changed: the server lives there"


class IdentityRef(Model):
    """Where the credentials are read from: a clouds.yaml in a Secret or in a file. They never stand in a spec."""

    name: ObjectName | None = None
    """Name of a Secret in the same namespace; its key clouds.yaml holds the file."""
    file: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    """Path of a clouds.yaml on the daemon's machine; read anew when it changes."""
    cloud_name: Label
    """The entry in clouds.yaml to use. Cannot be changed."""
    region: Label | None = None
    """The region, where the entry names none or several. Cannot be changed."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.name is None) == (self.file is None):
            raise ValueError(ONE_OF_IDENTITY)
        return self


class NameFilter(Model):
    """What to look for, where an id is not known. Exactly one must match."""

    name: Label
    """The exact name."""


class NameTagFilter(Model):
    """What to look for, where an id is not known. Exactly one must match."""

    name: Label | None = None
    """The exact name."""
    tags: Annotated[list[Tag], Field(max_length=16)] = []
    """Tags that it must carry, all of them."""


class Named(Model):
    """Something that exists in the cloud, by its id or by its name. Looked up once; its id is kept in status.resolved."""

    id: Id | None = None
    """The cloud's id of it."""
    filter: NameFilter | None = None
    """Its name."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.id is None) == (self.filter is None):
            raise ValueError(ONE_OF_ID)
        return self


class Tagged(Model):
    """Something that exists in the cloud, by its id or by name and tags. Looked up once; its id is kept in status.resolved."""

    id: Id | None = None
    """The cloud's id of it."""
    filter: NameTagFilter | None = None
    """Its name and tags."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.id is None) == (self.filter is None):
            raise ValueError(ONE_OF_ID)
        return self


class FixedIP(Model):
    """One address of a port."""

    subnet: Tagged | None = None
    """The subnet it comes from; any of the network's where none is given."""
    ip_address: IpAddress | None = None
    """The very address; any free one where none is given."""


class AddressPair(Model):
    """An address that a port may use though it is not its own."""

    ip_address: IpAddress
    """An address, or a range as 10.0.0.0/24."""
    mac_address: MacAddress | None = None
    """The hardware address; the port's own where none is given."""


class SecurityGroupRule(Model):
    """What may pass. Names as in CAPO."""

    direction: Literal["ingress", "egress"] = "ingress"
    """Towards the server, or away from it."""
    ether_type: Literal["IPv4", "IPv6"] = "IPv4"
    """Which protocol of the internet."""
    protocol: Literal["tcp", "udp", "icmp", "ipv6-icmp"] | None = None
    """Which protocol above it; any where none is given."""
    port_range_min: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The first port; all where none is given."""
    port_range_max: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The last port."""
    remote_ip_prefix: IpAddress | None = Field(default=None, alias="remoteIPPrefix")
    """From where or to where, as 10.0.0.0/8; anywhere where none is given."""


class SecurityGroup(Model):
    """A security group: one that exists, or one that is made for this Machine from its rules."""

    id: Id | None = None
    """The cloud's id of one that exists."""
    filter: NameTagFilter | None = None
    """Name and tags of one that exists."""
    rules: Annotated[list[SecurityGroupRule], Field(max_length=64)] | None = None
    """The rules of one that is made and removed with the Machine. A change is made in place."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(x is not None for x in (self.id, self.filter, self.rules)) != 1:
            raise ValueError(ONE_OF_GROUP)
        return self


class OpenStackPort(Model):
    """One network port, a resource of its own in the cloud: made before the server, removed after it."""

    network: Tagged
    """The network. A change replaces the port, not the server."""
    description: Annotated[str, Field(max_length=120, pattern=r"^([^\x00-\x20\x7f]+( [^\x00-\x20\x7f]+)*)?$")] = ""
    """For people, with single spaces. anneal's own mark follows it. A change is made in place."""
    fixed_ips: Annotated[list[FixedIP], Field(max_length=8, alias="fixedIPs")] = []
    """Its addresses; one of any subnet where none is given. A change is made in place."""
    security_groups: Annotated[list[Tagged], Field(max_length=8)] | None = None
    """Its security groups; those of the server where none are given. A change is made in place."""
    allowed_address_pairs: Annotated[list[AddressPair], Field(max_length=16)] = []
    """Further addresses that it may use. A change is made in place."""
    mac_address: MacAddress | None = None
    """Its hardware address; any where none is given. A change replaces the port."""
    vnic_type: Literal["normal", "direct", "macvtap", "baremetal"] = "normal"
    """How it reaches the hardware. A change replaces the port."""
    disable_port_security: bool = False
    """Whether it goes without security groups and address checks. A change is made in place."""
    tags: Annotated[list[Tag], Field(max_length=16)] = []
    """Tags beside those of anneal. A change is made in place."""


class VolumeZone(Model):
    """Where a volume lies."""

    name: Label
    """The availability zone of the block storage."""


class RootVolume(Model):
    """A volume that the server boots from, in place of its local disk. Needs block storage (Cinder)."""

    size_gib: Annotated[int, Field(ge=1, le=65_536, alias="sizeGiB")]
    """Its size. A change replaces the server."""
    type: Label | None = None
    """The volume type; the cloud's default where none is given."""
    availability_zone: VolumeZone | None = None
    """Where it lies."""


class BlockDevice(Model):
    """A further volume. Needs block storage (Cinder)."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Its name within this Machine."""
    size_gib: Annotated[int, Field(ge=1, le=65_536, alias="sizeGiB")]
    """Its size."""
    type: Label | None = None
    """The volume type; the cloud's default where none is given."""


class FloatingIP(Model):
    """An address that is reachable from outside; it leads to the first port."""

    network: Tagged | None = None
    """The external network it comes from; the only one of the cloud where none is given."""


class ServerMetadata(Model):
    """One pair of the server's metadata."""

    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[-._: a-zA-Z0-9]+$")]
    """The key."""
    value: Annotated[str, Field(max_length=255)]
    """The value."""


class OpenStackMachine(Model):
    """A server of an OpenStack cloud."""

    identity_ref: IdentityRef
    """The cloud, and how to get in."""
    flavor: Named
    """Its size. A change resizes the server: it reboots."""
    image: Tagged
    """What it boots from. A change replaces the server."""
    ssh_key_name: Label | None = None
    """A key pair that exists in the cloud. A change replaces the server."""
    ssh_public_key: Annotated[str, Field(min_length=1, max_length=8192, pattern=r"^[-@._+/= a-zA-Z0-9]+$")] | None = None
    """A public key in the form of OpenSSH; a key pair is made of it. A change replaces the server."""
    ports: Annotated[list[OpenStackPort], Field(max_length=8)] = []
    """Its network ports, in their order. Without any it has no network."""
    security_groups: Annotated[list[SecurityGroup], Field(max_length=8)] = []
    """Security groups of all ports that name none themselves. A change is made in place."""
    root_volume: RootVolume | None = None
    """A volume to boot from, in place of a local disk. A change replaces the server."""
    additional_block_devices: Annotated[list[BlockDevice], Field(max_length=8)] = []
    """Further volumes. They outlive a replacement of the server, not the Machine."""
    floating_ip: FloatingIP | None = Field(default=None, alias="floatingIP")
    """An address that is reachable from outside. It outlives a replacement of the server."""
    server_group: Named | None = None
    """The group that says which servers keep apart. A change replaces the server."""
    config_drive: bool | None = None
    """Whether it gets its data by a drive; as the cloud does it where nothing is said. A change replaces the server."""
    server_metadata: Annotated[list[ServerMetadata], Field(max_length=32)] = []
    """Metadata of the server. A change is made in place."""
    tags: Annotated[list[Tag], Field(max_length=32)] = []
    """Tags beside those of anneal. A change is made in place."""
    availability_zone: Label | None = None
    """Where it runs; anywhere where none is given. A change replaces the server."""
    user_data: Annotated[str, Field(max_length=49_000)] | None = None
    """What cloud-init runs at the first boot, as it is; beside cloudInit a further part of it. No secrets: who sees the Machine
    sees it. A change replaces the server."""
    cloud_init: CloudInit | None = None
    """What the server is for: its user data are made from that. A change replaces the server."""
    resync_period_seconds: Annotated[int, Field(ge=10, le=86_400)] | None = None
    """Look at it again so often, though nothing was heard; the daemon's own period where none is given."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.ssh_key_name is not None and self.ssh_public_key is not None:
            raise ValueError(KEY_ONCE)
        if self.cloud_init and self.user_data and not (self.user_data[0] == "#" and len(self.user_data) <= MOST_BESIDE):
            raise ValueError(BESIDE)
        return self


_SELECTORS = ("flavor", "image", "ports.[].network", "ports.[].fixedIPs.[].subnet", "ports.[].securityGroups.[]",
              "floatingIP.network", "serverGroup")  # fmt: skip

RULES: tuple[Rule, ...] = (
    *(Rule(f"spec.openstack.{path}", "has(self.id) != has(self.filter)", ONE_OF_ID) for path in _SELECTORS),
    Rule("spec.openstack.securityGroups.[]",
         "[has(self.id), has(self.filter), has(self.rules)].filter(x, x).size() == 1", ONE_OF_GROUP),
    Rule("spec.openstack.identityRef", "has(self.name) != has(self.file)", ONE_OF_IDENTITY),
    Rule("spec.openstack.identityRef",
         "self.cloudName == oldSelf.cloudName && has(self.region) == has(oldSelf.region)"
         " && (!has(self.region) || self.region == oldSelf.region)", CLOUD_FOR_LIFE),
    *CLOUD_INIT_RULES,
    Rule("spec.openstack", "!(has(self.sshKeyName) && has(self.sshPublicKey))", KEY_ONCE),
)  # fmt: skip
"""What pydantic checks across fields, for an API server."""
