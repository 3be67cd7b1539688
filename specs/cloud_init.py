"""`spec.openstack.cloudInit`: what a server is for, and so what cloud-init puts onto it at its first boot. No secrets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.meta import Model, Rule

HostName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9.:]*[a-zA-Z0-9])?$")]
Package = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][-a-z0-9.+]*$")]

RAY_ROLES = "the roles rayHead and rayWorker need ray, the others cannot honour it"
WORKER_HEAD = "ray.headAddress goes with the role rayWorker, and with no other"
BESIDE = "userData beside cloudInit must begin with # (as #cloud-config or #!/bin/sh) and have at most 40000 characters"
MOST_BESIDE = 40_000


class RayNode(Model):
    """The Ray of a server: installed, and started once its token lies in /etc/anneal/ray-token."""

    version: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9a-z]+)*$")]
    """The version, the same on all nodes and on whoever connects."""
    head_address: HostName | None = None
    """Where workers find the head; for rayWorker only."""
    port: Annotated[int, Field(ge=1024, le=65_535)] = 6379
    """The head's port."""


class CloudInit(Model):
    """What cloud-init does at the first boot, by what the server is for."""

    role: Literal["plain", "rayHead", "rayWorker", "swarmHost"] = "plain"
    """plain: packages only. rayHead, rayWorker: Ray as a service. swarmHost: Docker, not yet in any swarm."""
    packages: Annotated[list[Package], Field(max_length=64)] = []
    """Packages of the image's distribution, beside those that the role needs."""
    ray: RayNode | None = None
    """For rayHead and rayWorker."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.role in ("rayHead", "rayWorker")) != (self.ray is not None):
            raise ValueError(RAY_ROLES)
        if (self.role == "rayWorker") != (self.ray is not None and self.ray.head_address is not None):
            raise ValueError(WORKER_HEAD)
        return self


RULES: tuple[Rule, ...] = (
    Rule("spec.openstack.cloudInit", "(self.role in ['rayHead', 'rayWorker']) == has(self.ray)", RAY_ROLES),
    Rule("spec.openstack.cloudInit", "(self.role == 'rayWorker') == (has(self.ray) && has(self.ray.headAddress))", WORKER_HEAD),
    Rule("spec.openstack", "!(has(self.cloudInit) && has(self.userData)) || (self.userData.startsWith('#')"
         f" && size(self.userData) <= {MOST_BESIDE})", BESIDE),
)  # fmt: skip
"""What pydantic checks across fields, for an API server."""
