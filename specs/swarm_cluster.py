"""SwarmCluster: a Docker Swarm: made of Docker Engines by anneal, or an existing one by its managers' endpoints."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from specs.meta import Column, Counter, LabelKey, LabelValue, Model, Names, ObjectName, Resource, Rule, Status
from specs.references import FilePath, ObjectRef

PROVIDERS = ("endpoints", "nodes")
ENDPOINT = (
    r"^(unix:///[-._/a-zA-Z0-9]+|tcp://[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?:[0-9]{1,5}"
    r"|ssh://([a-z_][-_.a-zA-Z0-9]*@)?[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[-._/a-zA-Z0-9]+)?)$"
)
ADDRESS = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"
LOOPBACK = ("tcp://127.", "tcp://localhost:")


def _sockets_fit(url: str) -> str:
    if url.startswith("unix://") and len(url) > 107 + len("unix://"):
        raise ValueError("a Unix socket's path has at most 107 characters")
    return url


Endpoint = Annotated[str, Field(min_length=8, max_length=255, pattern=ENDPOINT), AfterValidator(_sockets_fit)]
"""A Docker Engine: unix:///path, tcp://host:port, or ssh://[user@]host[:port][/path/of/docker.sock]."""
Address = Annotated[str, Field(max_length=15, pattern=ADDRESS)]
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[a-z0-9][-._:/a-zA-Z0-9]*(@sha256:[0-9a-f]{64})?$")]


class Tls(Model):
    """How tcp:// endpoints are reached: files of the daemon's machine, read when a connection is made."""

    ca_file: FilePath
    """The CA that signed the engines' certificates."""
    cert_file: FilePath
    """Our certificate."""
    key_file: FilePath
    """Its key."""


class EngineAccess(Model):
    """How the engine of a Machine is reached at the Machine's address."""

    protocol: Literal["tcp", "ssh"] = "tcp"
    """tcp: with the certificates of spec.tls. ssh: as ~/.ssh of the daemon's user says."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """null: 2376 for tcp, and for ssh what ~/.ssh says."""
    user: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z_][-_.a-zA-Z0-9]*$")] | None = None
    """Who we are there; ssh only."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.protocol == "tcp" and self.user is not None:
            raise ValueError("user: tcp knows no user; remove it, or take protocol ssh")
        return self


class SwarmNode(Model):
    """One Docker Engine that is to be a node: by its endpoint and address, or as the one of a Machine."""

    name: ObjectName
    """What it is called here; the engine's own name may be another."""
    endpoint: Endpoint | None = None
    """Where its engine is reached."""
    address: Address | None = None
    """The address under which the other nodes reach it."""
    machine_ref: ObjectRef | None = None
    """The Machine that it is, in place of endpoint and address: its internal address is followed, wherever it goes."""
    engine: EngineAccess | None = None
    """How the Machine's engine is reached; null: tcp with TLS at port 2376."""
    role: Literal["Any", "Manager", "Worker"] = "Any"
    """Manager: it is made a manager before others are. Worker: it never is one. Any: where one is needed."""
    availability: Literal["Active", "Pause", "Drain"] = "Active"
    """Drain: its tasks go elsewhere. Pause: it gets no new ones."""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}
    """Labels of the node, for placement constraints: node.labels.KEY."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.endpoint is None) != (self.address is None) or (self.endpoint is None) == (self.machine_ref is None):
            raise ValueError("either endpoint and address, or machineRef must be set")
        if self.engine is not None and self.machine_ref is None:
            raise ValueError("engine: it goes with machineRef; an endpoint says itself how it is reached")
        return self

    @property
    def over_tcp(self) -> bool:
        """Whether its engine is reached by TCP from beyond this machine."""
        if self.endpoint is not None:
            return self.endpoint.startswith("tcp://") and not self.endpoint.startswith(LOOPBACK)
        return self.engine is None or self.engine.protocol == "tcp"


class OverlayNetwork(Model):
    """A network across the nodes."""

    name: ObjectName
    """Its name on the Swarm is anneal's; labels tell which is which."""


class Registry(Model):
    """A registry as a service on the Swarm, for who has none."""

    image: Image = "registry:2"
    """An image of the CNCF distribution registry."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 5000
    """The port on its node. The engines must take it as an insecure registry, or have its certificate."""
    node: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$")] | None = None
    """The host name of the node where it runs and keeps its images; null: the first manager by name, when it is made."""


class SwarmClusterSpec(Model):
    """The Swarm that should be. Exactly one of endpoints and nodes says which."""

    endpoints: Annotated[list[Endpoint], Field(min_length=1, max_length=9)] | None = None
    """The managers of an existing Swarm. It is looked at and used; its nodes are never touched."""
    nodes: Annotated[list[SwarmNode], Field(min_length=1, max_length=60)] | None = None
    """The engines that anneal makes a Swarm of."""
    managers: Annotated[int, Field(ge=1, le=9)] | None = None
    """How many of the nodes manage; null: three if there are so many nodes, else one. Two survive no failure."""
    tls: Tls | None = None
    """For tcp:// endpoints; without it they must be on loopback."""
    publish: Literal["Auto", "Host", "Ingress"] = "Auto"
    """How ports are published. Ingress needs IPVS in the nodes' kernels; Auto: Ingress only if it was seen to be there."""
    token_rotation: Annotated[str, Field(max_length=63, pattern=r"^[-._:a-zA-Z0-9]*$")] = ""
    """Any text, such as a date: when it changes, new join tokens are made and the old ones are worth nothing."""
    token_rotation_period_seconds: Annotated[int, Field(ge=60, le=31_536_000)] | None = None
    """Join tokens that are so old are made anew. They are made anew in any case when a node has left."""
    manager_replacement_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """A manager that is down for so long gives its place to a node that is up."""
    networks: Annotated[list[OverlayNetwork], Field(max_length=16)] = []
    """Overlay networks."""
    registry: Registry | None = None
    """A registry on the Swarm."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(getattr(self, name) is not None for name in PROVIDERS) != 1:
            raise ValueError(f"exactly one of {', '.join(PROVIDERS)} must be set")
        remote = any(url.startswith("tcp://") and not url.startswith(LOOPBACK) for url in self.endpoints or [])
        if self.tls is None and (remote or any(node.over_tcp for node in self.nodes or [])):
            raise ValueError("tls: an engine is open to whoever reaches it: tcp:// beyond loopback needs tls")
        if self.endpoints is not None and self.managers is not None:
            raise ValueError("managers: an existing Swarm is not changed; remove it, or list the nodes")
        if self.endpoints is not None and self.token_rotation_period_seconds is not None:
            raise ValueError("tokenRotationPeriodSeconds: an existing Swarm is not changed; remove it, or list the nodes")
        if self.endpoints is not None and self.token_rotation:
            raise ValueError("tokenRotation: an existing Swarm is not changed; remove it, or list the nodes")
        for field in ("name", "endpoint", "address", "machine_ref"):
            found = [getattr(node, field) for node in self.nodes or []]
            values = [getattr(value, "name", value) for value in found if value is not None]
            if len(values) != len(set(values)):
                raise ValueError(f"nodes: two have the same {field.replace('machine_ref', 'machineRef')}")
        able = [node for node in self.nodes or [] if node.role != "Worker"]
        if self.nodes and len(able) < (self.managers or 1):
            raise ValueError(f"managers: {self.managers or 1} wanted, and only {len(able)} nodes may be one")
        return self

    @property
    def wanted_managers(self) -> int:
        """How many of the nodes manage."""
        able = sum(node.role != "Worker" for node in self.nodes or [])
        return self.managers or (3 if able >= 3 else 1)


class NodeStatus(Model):
    """A node as it was last seen."""

    name: Annotated[str, Field(max_length=255)]
    """Its name in the spec; of an existing Swarm, its host name."""
    id: Annotated[str, Field(max_length=63)]
    """The Swarm's own id of it."""
    hostname: Annotated[str, Field(max_length=255)] = ""
    """Its host name."""
    endpoint: Annotated[str, Field(max_length=255)] = ""
    """Where its engine is reached, if that is known: also of a node that left the spec."""
    address: Annotated[str, Field(max_length=255)] = ""
    """The address that it tells the others."""
    role: Annotated[str, Field(max_length=15)] = ""
    """manager or worker."""
    state: Annotated[str, Field(max_length=15)] = ""
    """ready, down, disconnected or unknown."""
    availability: Annotated[str, Field(max_length=15)] = ""
    """active, pause or drain."""
    leader: bool = False
    """Whether it leads the managers."""


class SwarmClusterStatus(Status):
    """The Swarm as it was last seen."""

    swarm_id: Annotated[str, Field(max_length=63)] = Field(default="", alias="swarmID")
    """Docker's own id of the Swarm."""
    endpoints: Annotated[list[Annotated[str, Field(max_length=255)]], Field(max_length=60)] = []
    """Where its managers are reached."""
    publish_mode: Literal["host", "ingress"] = "host"
    """How ports are published."""
    endpoint_mode: Literal["dnsrr", "vip"] = "dnsrr"
    """How services find one another."""
    ipvs: Annotated[str, Field(max_length=255)] = ""
    """What was found out about IPVS, and how."""
    registry: Annotated[str, Field(max_length=255)] | None = None
    """host:port of its registry."""
    nodes: Annotated[list[NodeStatus], Field(max_length=120)] = []
    """The nodes."""
    machines: Annotated[dict[ObjectName, Annotated[str, Field(max_length=255)]], Field(max_length=60)] = {}
    """The address of each node's Machine, as it was when that was last ready."""
    managers: Annotated[str, Field(max_length=15)] = ""
    """Managers that answer, of all."""
    workers: Counter | None = None
    """How many nodes are workers."""
    resolved: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """The inputs that it was made from."""


class SwarmCluster(Resource):
    """A Docker Swarm to serve models on: made of Docker Engines, or an existing one."""

    names: ClassVar[Names] = Names("SwarmCluster", "swarmclusters", "swarmcluster", ("swc",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether it can be used"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("Managers", "string", ".status.managers", "Managers that answer, of all", 1),
        Column("Workers", "integer", ".status.workers", "How many nodes are workers", 1),
        Column("Publish", "string", ".status.publishMode", "How ports are published", 1),
        Column("Registry", "string", ".status.registry", "Its registry", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "What there is, or the deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("spec", "[has(self.endpoints), has(self.nodes)].filter(x, x).size() == 1",
             "exactly one of endpoints, nodes must be set"),
        Rule("spec", "has(self.tls) || !has(self.endpoints) || self.endpoints.all(url, !url.startsWith('tcp://') || "
             "url.startsWith('tcp://127.') || url.startsWith('tcp://localhost:'))",
             "tls: tcp:// beyond loopback needs tls"),
        Rule("spec", "has(self.tls) || !has(self.nodes) || self.nodes.all(node, has(node.endpoint) ? "
             "(!node.endpoint.startsWith('tcp://') || node.endpoint.startsWith('tcp://127.') || "
             "node.endpoint.startsWith('tcp://localhost:')) : (has(node.engine) && node.engine.protocol == 'ssh'))",
             "tls: tcp:// beyond loopback needs tls"),
        Rule("spec.nodes.[]", "has(self.endpoint) == has(self.address) && has(self.endpoint) != has(self.machineRef)",
             "either endpoint and address, or machineRef must be set"),
        Rule("spec.nodes.[]", "!has(self.engine) || has(self.machineRef)", "engine: it goes with machineRef"),
        Rule("spec.nodes.[].engine", "self.protocol == 'ssh' || !has(self.user)", "user: tcp knows no user"),
        Rule("spec", "!has(self.endpoints) || (!has(self.managers) && self.tokenRotation == '' && "
             "!has(self.tokenRotationPeriodSeconds))",
             "managers, tokenRotation, tokenRotationPeriodSeconds: an existing Swarm is not changed"),
        Rule("spec", "!has(self.nodes) || self.nodes.all(node, self.nodes.exists_one(other, other.name == node.name))",
             "nodes: two have the same name"),
        Rule("spec", "!has(self.nodes) || self.nodes.filter(node, has(node.endpoint)).all(node, "
             "self.nodes.filter(other, has(other.endpoint)).exists_one(other, other.endpoint == node.endpoint))",
             "nodes: two have the same endpoint"),
        Rule("spec", "!has(self.nodes) || self.nodes.filter(node, has(node.address)).all(node, "
             "self.nodes.filter(other, has(other.address)).exists_one(other, other.address == node.address))",
             "nodes: two have the same address"),
        Rule("spec", "!has(self.nodes) || self.nodes.filter(node, has(node.machineRef)).all(node, "
             "self.nodes.filter(other, has(other.machineRef)).exists_one(other, other.machineRef.name == node.machineRef.name))",
             "nodes: two have the same machineRef"),
        Rule("spec", "!has(self.nodes) || self.nodes.filter(node, node.role != 'Worker').size() >= "
             "(has(self.managers) ? self.managers : 1)",
             "managers: more wanted than nodes may be one"),
        Rule("spec", "has(self.nodes) == has(oldSelf.nodes)",
             "an existing Swarm and one of our making are two things; delete the SwarmCluster and create it anew"),
    )  # fmt: skip

    kind: Literal["SwarmCluster"]
    """SwarmCluster."""
    spec: SwarmClusterSpec
    """The Swarm that should be."""
    status: SwarmClusterStatus | None = None
    """The Swarm as it was last seen."""

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """Whether it exists already or is made by us is for life."""
        before, after = old.get("spec") or {}, new.get("spec") or {}
        if (before.get("nodes") is None) == (after.get("nodes") is None):
            return []
        text = "an existing Swarm and one of our making are two things; delete the SwarmCluster and create it anew"
        return [("spec.nodes", text)]
