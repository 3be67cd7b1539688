"""RayCluster: a Ray to run experiments on: one on this machine, or an existing one by its address. Names follow KubeRay."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from specs.meta import Column, Counter, Model, Names, Quantity, Resource, Rule, Status
from specs.references import FilePath

PROVIDERS = ("local", "address")


class LocalRay(Model):
    """A Ray on this machine: one head, on loopback only, token on, with ports and a temporary folder of its own."""

    num_cpus: Annotated[int, Field(ge=1, le=4096)] | None = None
    """How many cores Ray may give away; null: all that this machine lets us use."""
    memory: Quantity | None = None
    """How much memory Ray may give away; null: Ray decides."""
    object_store_memory: Quantity | None = None
    """How much memory the object store may take; null: 512Mi."""


class RayClusterSpec(Model):
    """The Ray that should run. Exactly one of local and address says where."""

    local: LocalRay | None = None
    """On this machine."""
    address: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9.-]+:[0-9]{1,5}$")] | None = None
    """An existing Ray, as host:port of its GCS. It is looked at and used, never started and never stopped."""
    token_file: FilePath | None = None
    """The file with the token of an existing Ray, if it asks for one. A local Ray makes its own."""
    suspend: bool = False
    """True stops a local Ray; its experiments wait."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        present = [name for name in PROVIDERS if getattr(self, name) is not None]
        if len(present) != 1:
            raise ValueError(f"exactly one of {', '.join(PROVIDERS)} must be set, not {len(present)}")
        if self.local is not None and self.token_file is not None:
            raise ValueError("tokenFile: provider local cannot honour it, it makes its own token; remove it")
        if self.address is not None and self.suspend:
            raise ValueError("suspend: an existing Ray is not ours to stop; remove it")
        return self


class RayClusterStatus(Status):
    """The Ray as it was last seen."""

    address: Annotated[str, Field(max_length=255)] | None = None
    """Where drivers connect: host:port of the GCS."""
    token_file: Annotated[str, Field(max_length=4096)] | None = None
    """The file with the token, readable by its owner only."""
    nodes: Counter | None = None
    """How many nodes are alive."""
    cpu: Annotated[str, Field(max_length=32)] | None = None
    """How many cores it gives away."""
    memory: Annotated[str, Field(max_length=32)] | None = None
    """How much memory it gives away."""
    ray_version: Annotated[str, Field(max_length=63)] | None = None
    """The version that runs."""
    restarts: Counter | None = None
    """How often the head was started again."""
    resolved: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """The inputs that it was started with."""


class RayCluster(Resource):
    """A Ray cluster to run experiments on: started and supervised on this machine, or an existing one."""

    names: ClassVar[Names] = Names("RayCluster", "rayclusters", "raycluster", ("rayc",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether it can be used"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("Nodes", "integer", ".status.nodes", "How many nodes are alive", 1),
        Column("CPU", "string", ".status.cpu", "How many cores it gives away", 1),
        Column("Address", "string", ".status.address", "Where drivers connect", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "What there is, or the deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("spec", "[has(self.local), has(self.address)].filter(x, x).size() == 1",
             "exactly one of local, address must be set"),
        Rule("spec", "!(has(self.local) && has(self.tokenFile))", "tokenFile: provider local cannot honour it"),
        Rule("spec", "!(has(self.address) && self.suspend)", "suspend: an existing Ray is not ours to stop"),
        Rule("spec", "has(self.local) == has(oldSelf.local)",
             "the provider cannot be changed; delete the RayCluster and create it anew"),
    )  # fmt: skip

    kind: Literal["RayCluster"]
    """RayCluster."""
    spec: RayClusterSpec
    """The Ray that should run."""
    status: RayClusterStatus | None = None
    """The Ray as it was last seen."""

    @classmethod
    def changes_refused(cls, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
        """The provider of a RayCluster is for life."""
        before, after = old.get("spec") or {}, new.get("spec") or {}
        if (before.get("local") is None) == (after.get("local") is None):
            return []
        return [("spec.local", "the provider cannot be changed; delete the RayCluster and create it anew")]
