"""The real cloud as a test sees it: its own lists, and what a person does behind everybody's back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openstack
import yaml

MADE = {
    "servers": "POST /servers 202",
    "ports": "POST /ports 201",
    "addresses": "POST /floatingips 201",
    "volumes": "POST /volumes 202",
}
NOVAS = ("/os-quota-sets/", "quota_set", {"force": True})
"""Where quotas are, under which key, and what lets one be below what is in use."""
NEUTRONS, CINDERS = ("/quotas/", "quota", {}), ("/os-quota-sets/", "quota_set", {})


class Real:
    """One project of the cloud, seen with openstacksdk and nothing of ours."""

    def __init__(self, clouds: Path, record: Path, cloud: str = "mini") -> None:
        """`record` is the folder in which the services write down what they were asked for."""
        self.clouds, self.cloud, self._record = clouds, cloud, record
        self.config: dict[str, Any] = yaml.safe_load(clouds.read_text())["clouds"][cloud]
        self.sdk = openstack.connect(load_yaml_config=False, load_envvars=False, **self.config)
        admin = yaml.safe_load(clouds.read_text())["clouds"]["mini-admin"]
        self.admin = openstack.connect(load_yaml_config=False, load_envvars=False, **admin)
        try:
            self.sdk.authorize()
        except openstack.exceptions.SDKException:  # a test that was killed may have left another password
            self.restore_password()
            self.until(self.may_enter)
        self.project, self.user = self.sdk.current_project_id, self.config["auth"]["username"]
        self.sdk.compute.default_microversion = "2.79"

    def may_enter(self) -> bool:
        """Keystone counts in seconds: a token of the very second of the change is not worth anything either."""
        try:
            self.sdk = openstack.connect(load_yaml_config=False, load_envvars=False, **self.config)
            self.sdk.compute.default_microversion = "2.79"
            return bool(list(self.sdk.network.networks(name="private")))
        except openstack.exceptions.SDKException:
            return False

    def restore_password(self) -> None:
        """By the administrator, as clouds.yaml has it. What was given out before is worth nothing then."""
        identity = self.admin.identity
        identity.update_user(identity.find_user(self.config["auth"]["username"]), password=self.config["auth"]["password"])

    def endpoint(self, service: str) -> str:
        """Scheme, host and port of a service."""
        there = urlsplit(getattr(self.sdk, service).get_endpoint())
        return f"{there.scheme}://{there.netloc}"

    def inventory(self) -> dict[str, list[Any]]:
        """All that this project has, straight from the services. The default group and the router's port came with it."""
        net = self.sdk.network
        return {
            "servers": list(self.sdk.compute.servers(details=True)),
            "ports": [p for p in net.ports(project_id=self.project) if not p.device_owner.startswith("network:")],
            "addresses": list(net.ips(project_id=self.project)),
            "groups": [g for g in net.security_groups(project_id=self.project) if g.name != "default"],
            "keys": list(self.sdk.compute.keypairs()),
            "volumes": list(self.sdk.block_storage.volumes(details=True)),
        }

    def total(self) -> dict[str, int]:
        """How many things there are, by table, without the tables that are empty."""
        return {table: len(things) for table, things in self.inventory().items() if things}

    def made(self) -> dict[str, int]:
        """How many creates of this project succeeded so far, by the services' own record of requests."""
        texts = [file.read_text(errors="replace") for file in self._record.glob("*.requests")]
        lines = Counter(line for text in texts for line in text.splitlines())
        return {name: lines[f"{line} {self.project}"] for name, line in MADE.items()}

    def clear(self) -> None:
        """Remove everything, and wait until it is gone."""
        there = self.inventory()
        for server in there["servers"]:
            self.sdk.compute.delete_server(server, ignore_missing=True)
        if there["servers"]:
            self.until(lambda: not list(self.sdk.compute.servers(details=False)))
        for ip in there["addresses"]:
            self.sdk.network.delete_ip(ip, ignore_missing=True)
        for port in there["ports"]:
            self.sdk.network.delete_port(port, ignore_missing=True)
        for group in there["groups"]:
            self.sdk.network.delete_security_group(group, ignore_missing=True)
        for key in there["keys"]:
            self.sdk.compute.delete_keypair(key, ignore_missing=True)
        for volume in there["volumes"]:
            self.free(volume.id)
            self.sdk.block_storage.delete_volume(volume, ignore_missing=True)
        if there["volumes"]:
            self.until(lambda: not self.inventory()["volumes"])

    def free(self, volume: str, status: str = "available") -> None:
        """Whatever state it is in: an administrator says that it is in this one, and on no server."""
        state = {"status": status, "attach_status": "detached"}
        self.admin.block_storage.post(f"/volumes/{volume}/action", json={"os-reset_status": state})

    def until(self, check: Callable[[], Any], seconds: float = 240) -> Any:
        """Wait for something that the cloud is at work on; AssertionError if it does not come."""
        deadline = time.monotonic() + seconds
        while not (found := check()):
            assert time.monotonic() < deadline, f"not in {seconds} s: {self.total()}"
            time.sleep(0.1)
        return found

    def quiet(self) -> None:
        """Wait until Nova and Cinder have nothing in hand."""
        busy = ("BUILD", "RESIZE", "REBOOT")

        def idle() -> bool:
            volumes = self.sdk.block_storage.volumes(details=True)
            done = all(s.status not in busy and not s.task_state for s in self.sdk.compute.servers(details=True))
            return done and all(volume.status == "in-use" or not volume.status.endswith("ing") for volume in volumes)

        self.until(idle)

    def server(self, name: str, **more: Any) -> Any:
        """Somebody's server, without a port."""
        c = self.sdk.compute
        body = {"name": name, "flavorRef": c.find_flavor("m1.tiny").id, "imageRef": self.sdk.image.find_image("cirros").id}
        answer = c.post("/servers", json={"server": body | {"networks": "none"} | more}, microversion="2.79")
        assert answer.status_code == 202, answer.text
        ident = answer.json()["server"]["id"]
        return self.until(lambda: (s := c.get_server(ident)).status == "ACTIVE" and s)

    @contextmanager
    def quota(self, **limits: int) -> Iterator[None]:
        """Other quotas of the project, for a while. `port` is Neutron's, `volumes` and `gigabytes` are Cinder's."""
        a = self.admin
        special = {"port": (a.network, NEUTRONS), "volumes": (a.block_storage, CINDERS), "gigabytes": (a.block_storage, CINDERS)}
        before = []
        for service, (path, key, force) in ((a.compute, NOVAS), (a.network, NEUTRONS), (a.block_storage, CINDERS)):
            wanted = {name: limit for name, limit in limits.items() if special.get(name, (a.compute, NOVAS))[0] is service}
            if wanted:
                now = service.get(path + self.project).json()[key]
                before.append((service, path, {key: {name: now[name] for name in wanted} | force}))
                service.put(path + self.project, json={key: wanted | force}).raise_for_status()
        try:
            yield
        finally:
            for service, path, body in before:
                service.put(path + self.project, json=body).raise_for_status()

    def network(self, name: str = "private") -> str:
        """The id of a network."""
        return str(self.sdk.network.find_network(name).id)

    def yaml_for(self, path: Path, overrides: Mapping[str, str], **auth: str) -> Path:
        """A clouds.yaml that leads through proxies (service → URL), and asks for retries that must not be made."""
        versions = {"compute": "/v2.1", "network": "/v2.0", "block_storage": "/v3"}
        extra: dict[str, Any] = {f"{name}_endpoint_override": url + versions.get(name, "") for name, url in overrides.items()}
        for name in overrides:  # what would send a POST twice, were it obeyed
            extra |= {f"{name}_connect_retries": 3, f"{name}_status_code_retries": 3}
        entry = {**self.config, **extra, "auth": {**self.config["auth"], **auth}}
        path.write_text(yaml.safe_dump({"clouds": {self.cloud: entry}}))
        return path


def fake(**metadata: str) -> list[dict[str, str]]:
    """Metadata that the fake hypervisor obeys: spawn_seconds, fail."""
    return [{"key": f"fake_{key}", "value": value} for key, value in metadata.items()]
