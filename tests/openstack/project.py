"""A project for one run of the tests: what others have on the same cloud is not in their way, and they are not in its."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import openstack
import openstack.exceptions
import yaml

from tests.openstack.real import Real

PREFIX = "anneal-tests-"
"""And the number of the process that it belongs to."""


@contextmanager
def own_project(clouds: Path, folder: Path) -> Iterator[Real]:
    """The cloud, seen from a project that has a network of its own with a way out, and nothing else. Removed at the end."""
    everyone = yaml.safe_load(clouds.read_text())["clouds"]
    admin = openstack.connect(load_yaml_config=False, load_envvars=False, **everyone["mini-admin"])
    for project in admin.identity.projects():
        if project.name.startswith(PREFIX) and not _runs(int(project.name.removeprefix(PREFIX))):
            with suppress(openstack.exceptions.SDKException):  # somebody else may be removing it, too
                _remove(_enter(clouds, project.name, folder))
    name = f"{PREFIX}{os.getpid()}"
    _make(admin.identity, name, everyone["mini"]["auth"]["password"])
    real = _enter(clouds, name, folder)
    _connect(real)
    yield real
    _remove(real)


@contextmanager
def without_block_storage(real: Real, folder: Path) -> Iterator[Path]:
    """A clouds.yaml of a project in whose catalogue there is no Cinder. The project is removed at the end."""
    identity, name = real.admin.identity, f"anneal-bare-{os.getpid()}"
    _make(identity, name, real.config["auth"]["password"])
    project, user = identity.find_project(name), identity.find_user(name)
    volumes = {service.id for service in identity.services() if service.type == "volumev3"}
    for endpoint in identity.endpoints():
        if endpoint.service_id not in volumes:
            identity.put(f"/OS-EP-FILTER/projects/{project.id}/endpoints/{endpoint.id}").raise_for_status()
    file = folder / "bare.yaml"
    auth = {**real.config["auth"], "username": name, "project_name": name}
    file.write_text(yaml.safe_dump({"clouds": {real.cloud: {**real.config, "auth": auth}}}))
    try:
        yield file
    finally:
        identity.delete_user(user)
        identity.delete_project(project)


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _make(identity: Any, name: str, password: str) -> None:
    project = identity.create_project(name=name, domain_id="default")
    user = identity.create_user(name=name, password=password, domain_id="default", default_project_id=project.id)
    identity.assign_project_role_to_user(project, user, identity.find_role("member"))


def _enter(clouds: Path, name: str, folder: Path) -> Real:
    """A clouds.yaml of its own, in which this project is "mini"."""
    everyone = yaml.safe_load(clouds.read_text())["clouds"]
    auth = {**everyone["mini"]["auth"], "username": name, "project_name": name}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"clouds": {**everyone, "mini": {**everyone["mini"], "auth": auth}}}))
    return Real(file, clouds.parent / "log")


def _connect(real: Real) -> None:
    """A network with a router that leads out."""
    net = real.sdk.network
    private = net.create_network(name="private")
    subnet = net.create_subnet(network_id=private.id, name="private", cidr="10.0.0.0/16", ip_version=4)
    router = net.create_router(name="router", external_gateway_info={"network_id": real.network("public")})
    net.add_interface_to_router(router, subnet=subnet.id)


def _remove(real: Real) -> None:
    real.clear()
    net, identity = real.sdk.network, real.admin.identity
    for router in list(net.routers(project_id=real.project)):
        for port in list(net.ports(device_id=router.id, device_owner="network:router_interface")):
            net.remove_interface_from_router(router, port=port.id)
        net.delete_router(router)
    for network in list(net.networks(project_id=real.project)):
        net.delete_network(network)
    identity.delete_user(real.sdk.current_user_id)
    identity.delete_project(real.project)
