"""Machine: one host. This machine, or a server of a cloud. Names follow Cluster API (Machine) and CAPO (OpenStackMachine)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from specs.health import NOT_LOCAL, NOT_OBSERVED, MachineHealthCheck
from specs.health import RULES as HEALTH_RULES
from specs.meta import Column, Counter, Model, Names, Quantity, Resource, Rule, Status
from specs.openstack import CLOUD_FOR_LIFE, NameTagFilter, OpenStackMachine
from specs.openstack import RULES as OPENSTACK_RULES
from specs.references import CredentialsRef

PROVIDERS = ("local", "simulated", "openstack")
ENDPOINT = r"^https?://[!-?A-~]+$"
"""Printable and without @: a password in a URL would be a secret in a spec."""


class LocalMachine(Model):
    """This machine. Any number of Machines may be it; nothing is created and nothing is deleted."""


class Port(Model):
    """One network port of the server."""

    network: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[-._a-zA-Z0-9]+$")]
    """Name of the network."""


class KeyValue(Model):
    """One pair of the server's metadata."""

    key: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[-._a-zA-Z0-9]+$")]
    """The key."""
    value: Annotated[str, Field(max_length=255)]
    """The value."""


class SimulatedMachine(Model):
    """A server of the simulated cloud: a process that behaves, and misbehaves, as real clouds do. For tests."""

    endpoint: Annotated[str, Field(min_length=1, max_length=2048, pattern=ENDPOINT)]
    """URL of the simulated cloud, without credentials: those belong into credentialsRef."""
    credentials_ref: CredentialsRef | None = None
    """The token it asks for."""
    flavor: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[-._a-zA-Z0-9]+$")] = "small"
    """Size of the server. A change replaces the server."""
    image: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[-._a-zA-Z0-9]+$")] = "debian-12"
    """Image it boots from. A change replaces the server."""
    ports: Annotated[list[Port], Field(max_length=8)] = []
    """Its network ports, each a resource of its own in the cloud. A change replaces the server."""
    floating_ip: bool = Field(default=False, alias="floatingIP")
    """Whether it gets an address that is reachable from outside."""
    server_metadata: Annotated[list[KeyValue], Field(max_length=32)] = []
    """Metadata of the server. A change is made in place."""


class Remediation(Model):
    """What to do with a server that the cloud reports as failed (names of Cluster API's MachineHealthCheck)."""

    max_retry: Annotated[int, Field(ge=0, le=10)] = 3
    """How often a failed server is replaced before anneal stops and says so."""
    retry_period_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """Pause before a replacement; doubles with each one."""
    node_startup_timeout_seconds: Annotated[int, Field(ge=10, le=86_400)] | None = None
    """How long the provider may take to build it before it counts as failed; for ever where none is given."""


class Import(Model):
    """An existing server: by the provider's id, or by what tells it from all others."""

    id: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[-._a-zA-Z0-9]+$")] | None = None
    """The provider's id of the server."""
    filter: NameTagFilter | None = None
    """What to look for; exactly one server must match. Looked up once, then kept by its id. For provider openstack."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.id is None) == (self.filter is None):
            raise ValueError("exactly one of id, filter must be set")
        return self


class ManagedOptions(Model):
    """What anneal may do to a host that it manages."""

    on_delete: Literal["delete", "detach"] = "delete"
    """delete: the host goes with the Machine. detach: it stays, with all its parts, and nobody looks after it any more."""


class MachineSpec(Model):
    """The host that should exist. Exactly one provider block says where."""

    local: LocalMachine | None = None
    """This machine."""
    simulated: SimulatedMachine | None = None
    """A server of the simulated cloud (tests only)."""
    openstack: OpenStackMachine | None = None
    """A server of an OpenStack cloud."""
    management_policy: Literal["managed", "unmanaged"] = "managed"
    """managed: anneal creates, changes and deletes it. unmanaged: it is only looked at, and must be named under `import`."""
    import_: Import | None = Field(default=None, alias="import")
    """The existing server to look at. Goes with managementPolicy: unmanaged."""
    managed_options: ManagedOptions = ManagedOptions()
    """What anneal may do to a host that it manages."""
    remediation: Remediation = Remediation()
    """What to do with a server that failed."""
    machine_health_check: MachineHealthCheck | None = None
    """When a server that did not fail counts as unhealthy all the same, and is replaced."""

    @property
    def provider(self) -> str:
        """The name of the provider block that is present."""
        return next(name for name in PROVIDERS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        present = [name for name in PROVIDERS if getattr(self, name) is not None]
        if len(present) != 1:
            raise ValueError(f"exactly one provider of {', '.join(PROVIDERS)} must be set, not {len(present)}")
        if self.local is not None and self.management_policy == "unmanaged":
            raise ValueError("managementPolicy: provider local cannot honour it; remove it, or use another provider")
        if (self.management_policy == "unmanaged") != (self.import_ is not None):
            raise ValueError("managementPolicy: unmanaged and import go together; set both or neither")
        if self.import_ is not None and self.import_.filter is not None and self.openstack is None:
            raise ValueError("import: only provider openstack can honour a filter; give the id")
        if self.openstack is None and self.managed_options.on_delete == "detach":
            raise ValueError("managedOptions: only provider openstack can honour detach")
        if self.machine_health_check is not None and self.local is not None:
            raise ValueError(NOT_LOCAL)
        if self.machine_health_check is not None and self.import_ is not None:
            raise ValueError(NOT_OBSERVED)
        return self


class MachineAddress(Model):
    """One address under which the host is known."""

    type: Literal["Hostname", "InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS"]
    """What kind of address it is."""
    address: Annotated[str, Field(max_length=255)]
    """The address."""


class MachineCapacity(Model):
    """What the host has."""

    cpu: Quantity
    """Cores."""
    memory: Quantity
    """Memory."""


class ResizeRecord(Model):
    """How often a change of size was asked for, so that asking ends."""

    generation: Counter
    """The generation of the spec."""
    count: Counter
    """How often, for this generation."""


class MachineStatus(Status):
    """The host as it was last seen."""

    provider_id: Annotated[str, Field(max_length=255)] | None = Field(default=None, alias="providerID")
    """The provider's id of the host, such as simulated:///3f2a…"""
    instance_state: Annotated[str, Field(max_length=63)] | None = None
    """The provider's own word for the state of the server."""
    addresses: Annotated[list[MachineAddress], Field(max_length=32)] = []
    """Its addresses."""
    capacity: MachineCapacity | None = None
    """Cores and memory."""
    resolved: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """The inputs that the server was made from; for OpenStack, the ids behind the names that the spec gives."""
    power_state: Annotated[str, Field(max_length=31)] | None = None
    """Whether it runs, as the hypervisor says."""
    fault: Annotated[str, Field(max_length=1024)] | None = None
    """What the provider says is wrong with it."""
    resize: ResizeRecord | None = None
    """Changes of size that were asked for."""


class Machine(Resource):
    """One host: this machine, or a server of a cloud."""

    names: ClassVar[Names] = Names("Machine", "machines", "machine", ("mch",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether it can be used"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("State", "string", ".status.instanceState", "The provider's own word for it", 1),
        Column("Address", "string", '.status.addresses[?(@.type=="InternalIP")].address', "Its internal address", 1),
        Column("Provider-ID", "string", ".status.providerID", "The provider's id", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "The deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("spec", "[has(self.local), has(self.simulated), has(self.openstack)].filter(x, x).size() == 1",
             "exactly one provider of local, simulated, openstack must be set"),
        Rule("spec", "!(has(self.local) && self.managementPolicy == 'unmanaged')",
             "managementPolicy: provider local cannot honour it"),
        Rule("spec", "(self.managementPolicy == 'unmanaged') == has(self.__import__)",
             "managementPolicy: unmanaged and import go together"),
        Rule("spec", "!has(self.__import__) || !has(self.__import__.filter) || has(self.openstack)",
             "import: only provider openstack can honour a filter"),
        Rule("spec", "!has(self.managedOptions) || self.managedOptions.onDelete != 'detach' || has(self.openstack)",
             "managedOptions: only provider openstack can honour detach"),
        Rule("spec.import", "has(self.id) != has(self.filter)", "exactly one of id, filter must be set"),
        Rule("spec", "has(self.local) == has(oldSelf.local) && has(self.simulated) == has(oldSelf.simulated)"
             " && has(self.openstack) == has(oldSelf.openstack)",
             "the provider cannot be changed; delete the Machine and create it anew"),
        Rule("spec", "self.managementPolicy == oldSelf.managementPolicy", "managementPolicy cannot be changed"),
        Rule("spec.simulated", "self.endpoint == oldSelf.endpoint", "endpoint cannot be changed: the server lives there"),
        Rule("spec.simulated.credentialsRef",
             "[has(self.file), has(self.env), has(self.secretKeyRef)].filter(x, x).size() == 1",
             "exactly one of file, env, secretKeyRef must be set"),
        *HEALTH_RULES,
        *OPENSTACK_RULES,
    )  # fmt: skip

    kind: Literal["Machine"]
    """Machine."""
    spec: MachineSpec
    """The host that should exist."""
    status: MachineStatus | None = None
    """The host as it was last seen."""

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """The provider, the policy and the cloud of a Machine are for life."""
        before, after = old.get("spec") or {}, new.get("spec") or {}
        refused = [
            (f"spec.{name}", "the provider cannot be changed; delete the Machine and create it anew")
            for name in PROVIDERS
            if (before.get(name) is None) != (after.get(name) is None)
        ]
        if before.get("managementPolicy", "managed") != after.get("managementPolicy", "managed"):
            refused.append(("spec.managementPolicy", "managementPolicy cannot be changed"))
        if not refused and (sim := before.get("simulated")) and sim.get("endpoint") != after["simulated"].get("endpoint"):
            refused.append(("spec.simulated.endpoint", "endpoint cannot be changed: the server lives there"))
        if not refused and (cloud := before.get("openstack")):
            old_ref, new_ref = cloud.get("identityRef") or {}, after["openstack"].get("identityRef") or {}
            if any(old_ref.get(name) != new_ref.get(name) for name in ("cloudName", "region")):
                refused.append(("spec.openstack.identityRef", CLOUD_FOR_LIFE))
        return refused
