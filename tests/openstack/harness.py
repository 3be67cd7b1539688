"""The harness of the real cloud, with a proxy before each of Nova, Neutron and Cinder that lies when asked to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import openstack.exceptions

from drivers.contract import Driver, Fence, Intent, Owner, Step
from drivers.openstack import connect
from drivers.openstack.client import CloudClient
from drivers.openstack.marks import mark
from drivers.openstack.volumes import KEYS
from tests.contract.harness import INSTALLATION, Hook
from tests.openstack.proxy import Fault, FaultProxy
from tests.openstack.real import Real

PATHS = {
    "server": r"/servers(/|$|\?)",
    "port": r"/ports(/|$|\?)",
    "address": r"/floatingips(/|$|\?)",
    "group": r"/security-group(s|-rules)(/|$|\?)",
    "key": r"/os-keypairs(/|$|\?)",
    "volume": r"/volumes(/|$|\?)",
}
SERVICE = {"server": "compute", "key": "compute", "volume": "block_storage"}
"""Whose things they are; the others are Neutron's."""
REAL = "a real cloud does not do this when asked to"
CANNOT: dict[Hook, str] = {
    Hook.LATE: REAL,
    Hook.ROTATE: "services remember a token for minutes after the password changed; test_faults.py shows the rest",
    Hook.OTHER_VIEW: "a token is for one project, and Keystone says for which",
    Hook.SEVERAL_AT_ONCE: "a hundred of them take minutes; the bench asks for 200",
}
SPECIAL: dict[str, dict[Hook, str]] = {
    "server": {Hook.PARTS: "a Machine has one server"},
    "port": {},
    "address": {Hook.PARTS: "a Machine has one address"},
    "group": {},
    "volume": {},
    "key": {
        Hook.PARTS: "a Machine has one key",
        Hook.UPDATE: "a key pair cannot be changed",
        Hook.TWICE: "a name can be taken once",
        Hook.MEDDLE: "the name is the tag, and a name cannot be changed",
        Hook.EMPTY_LISTS: "a key that is not in the list is asked for by its name",
    },
}
PATIENT = 30.0
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL08cyN/wZqTPVar2xHIJ243pvV9JKQD3Xh2emrVvjMu somebody"


class RealCloud:
    """One driver over the real services."""

    def __init__(self, singular: str) -> None:
        self.name, self.singular = f"openstack-{singular}", singular
        self.part = f"{singular}/0" if singular in ("port", "group", "volume") else singular
        self.cannot: Mapping[Hook, str] = CANNOT | SPECIAL[singular]
        self.secret = ""
        self.real: Real
        self.proxies: dict[str, FaultProxy]
        self._clients: list[tuple[CloudClient, float]] = []
        """Each with the patience that was asked for."""

    def use(self, real: Real, proxies: dict[str, FaultProxy]) -> None:
        """The cloud, and what stands before it."""
        self.real, self.proxies = real, proxies

    def reset(self) -> None:
        """All is honest, the password is as it was. Nothing is there: each test is cleared up after."""
        self._clients.clear()
        self.honest(wait=False)
        self.secret = self.real.config["auth"]["password"]
        for proxy in self.proxies.values():
            proxy.log.clear()

    def config(self, endpoint: str | None = None) -> dict[str, Any]:
        """The entry of clouds.yaml, through the proxies."""
        urls = {name: endpoint or proxy.url for name, proxy in self.proxies.items()}
        overrides = {
            "compute_endpoint_override": urls["compute"] + "/v2.1",
            "network_endpoint_override": urls["network"] + "/v2.0",
            "block_storage_endpoint_override": urls["block_storage"] + "/v3",
        }
        return {**self.real.config, **overrides, "auth": {**self.real.config["auth"], "password": self.secret}}

    def driver(self, *, fence: Fence = lambda: None, endpoint: str | None = None, call_seconds: float = 30.0) -> Driver[Any]:
        """The driver. What it asked for it waits for, so that the suite sees an end and not a way.

        It is patient with an honest cloud, however little is asked for: a busy machine is no fault.
        """
        cloud = connect("real", lambda: self.config(endpoint), fence, installation=INSTALLATION)
        self._clients.append((cloud.client, call_seconds))
        driver: Any = cloud.drivers[self.singular]
        if self.singular in ("server", "volume"):
            apply, destroy = driver.apply, driver.destroy

            async def patient_apply(step: Step, intent: Intent) -> str:
                ref = str(await apply(step, intent))
                self.real.quiet()
                return ref

            async def patient_destroy(ref: str) -> None:
                await destroy(ref)
                self.real.until(lambda: not self._find(ref))

            driver.apply, driver.destroy = patient_apply, patient_destroy
        return driver  # type: ignore[no-any-return]

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """A small one."""
        part = part or self.part
        c = self.real.sdk
        change: dict[str, Any] = {}
        match self.singular:
            case "server":
                flavor, image = c.compute.find_flavor("m1.tiny").id, c.image.find_image("cirros").id
                change = {"flavorRef": flavor, "imageRef": image, "metadata": {}, "madeFrom": "0123"}
            case "port":
                change = {"network_id": self.real.network()}
            case "address":
                change = {"floating_network_id": self.real.network("public")}
            case "key":
                change = {"public_key": PUBLIC}
            case "volume":
                change = {"size": 1}
        return Step("create", part, "no such thing carries our tag", change), Intent(owner, part, owner.external_name(part))

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """One thing that can be changed in place."""
        match self.singular:
            case "server":
                step = Step("update", self.part, "its metadata differs", {"metadata": {"role": "worker"}}, ref=ref)
                return step, lambda live: dict(live.metadata) == {"role": "worker"}
            case "port":
                step = Step("update", self.part, "its description differs", {"description": "up link"}, ref=ref)
                return step, lambda live: live.description == "up link"
            case "address":
                port = self.real.sdk.network.create_port(network_id=self.real.network())
                step = Step("update", self.part, "it leads nowhere", {"port_id": port.id}, ref=ref)
                return step, lambda live: live.port == port.id
            case "volume":
                return Step("update", self.part, "1 GiB → 2 GiB", {"size": 2}, ref=ref), lambda live: live.size == 2
        rule = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
        step = Step("update", self.part, "a rule is missing", {"add": [rule]}, ref=ref)
        return step, lambda live: ("ingress", "IPv4", "tcp", 22, 22, "") in [rule for rule, _ in live.rules]

    def broken(self, fault: str, *, method: str | None = None, message: str = "", retry_after: float | None = None) -> None:
        """On this table. "PATCH" are all changes in place."""
        methods = {None: (), "PATCH": ("PUT", "PATCH", *(("POST",) if self.singular in ("group", "volume") else ()))}.get(
            method, (method,)
        )
        if fault in ("quota", "over_quota", "too_large", "fail_create"):
            methods = ("POST",)
        if fault.startswith("delete_"):
            methods = ("DELETE",)
        for proxy in self.proxies.values():
            proxy.lie(Fault(fault, PATHS[self.singular], methods, message, retry_after))  # type: ignore[arg-type]
        if fault.startswith("hang"):
            for client, seconds in self._clients:
                client.call_seconds = seconds

    def honest(self, *, wait: bool = True) -> None:
        """No faults; and what was asked for is done."""
        for client, _ in self._clients:
            client.call_seconds = PATIENT
        for proxy in self.proxies.values():
            proxy.settle()
            proxy.honest()
        if wait:
            self.real.quiet()

    def pass_time(self, seconds: float) -> None:
        """There is only the one clock."""
        time.sleep(seconds)

    def meddle(self, verb: str, ref: str = "", **fields: Any) -> str:
        """As a person in Horizon."""
        c = self.real.sdk
        match self.singular, verb:
            case "server", "create":
                return str(self.real.server(fields.get("name") or "somebody", tags=fields.get("tags", [])).id)
            case "port", "create":
                return str(c.network.create_port(network_id=self.real.network(), **fields).id)
            case "address", "create":
                fields.setdefault("description", fields.pop("name", ""))
                fields.pop("name", None)
                answer = c.network.post(
                    "/floatingips", json={"floatingip": {"floating_network_id": self.real.network("public"), **fields}}
                )
                return str(answer.json()["floatingip"]["id"])
            case "group", "create":
                answer = c.network.post("/security-groups", json={"security_group": {"name": "somebody's", **fields}})
                return str(answer.json()["security_group"]["id"])
            case "volume", "create":
                answer = c.block_storage.post("/volumes", json={"volume": {"size": 1, **fields}})
                self.real.quiet()
                return str(answer.json()["volume"]["id"])
            case _, "delete":
                self._delete(ref)
            case "server", "change":
                self._change_server(ref, **fields)
            case "volume", "change":
                path, body = ("/metadata", {"metadata": {}}) if "tags" in fields else ("", {"volume": fields})
                c.block_storage.put(f"/volumes/{ref}{path}", json=body).raise_for_status()
            case _, "change":
                self._change(ref, **fields)
        return ref

    def tags(self, owner: Owner, part: str) -> Mapping[str, Any]:
        """As the drivers tag: servers by tags, volumes by metadata, what is Neutron's by the description."""
        words = mark(owner, part)
        if self.singular == "volume":
            return {"metadata": dict(zip(KEYS, (owner.installation, owner.uid, part), strict=True))}
        return {"tags": words} if self.singular == "server" else {"description": " ".join(words)}

    def refs(self) -> list[str]:
        """From the cloud's own list."""
        for proxy in self.proxies.values():
            proxy.settle()
        table = {"address": "addresses"}.get(self.singular, f"{self.singular}s")
        return [thing.name if self.singular == "key" else thing.id for thing in self.real.inventory()[table]]

    def mutations(self) -> int:
        """Requests that arrived at the proxies. One whose sender gave up soon may still be on its way: it is waited for."""
        mine = self.proxies[SERVICE.get(self.singular, "network")]
        if any(fault.name.startswith("hang") for fault in mine.faults):
            assert mine.arrived(1)
        return len([m for proxy in self.proxies.values() for m, path in proxy.log if m != "GET" and self._ours(path)])

    def reads(self) -> int:
        """Lists and questions by id."""
        return len([m for proxy in self.proxies.values() for m, path in proxy.log if m == "GET" and self._ours(path)])

    def _ours(self, path: str) -> bool:
        import re

        return re.search(PATHS[self.singular], path) is not None

    def _find(self, ref: str) -> Any:
        c = self.real.sdk
        try:
            return c.compute.get_server(ref) if self.singular == "server" else c.block_storage.get_volume(ref)
        except openstack.exceptions.NotFoundException:
            return None

    def _delete(self, ref: str) -> None:
        net = self.real.sdk.network
        match self.singular:
            case "server":
                self.real.sdk.compute.delete_server(ref)
                self.real.until(lambda: not self._find(ref))
            case "port":
                net.delete_port(ref)
            case "address":
                net.delete_ip(ref)
            case "group":
                net.delete_security_group(ref)
            case "volume":
                self.real.sdk.block_storage.delete_volume(ref)
                self.real.until(lambda: not self._find(ref))

    def _change_server(self, ref: str, **fields: Any) -> None:
        compute = self.real.sdk.compute
        if "tags" in fields:
            compute.put(f"/servers/{ref}/tags", json={"tags": []}, microversion="2.79").raise_for_status()
        else:
            compute.put(f"/servers/{ref}", json={"server": fields}, microversion="2.79").raise_for_status()

    def _change(self, ref: str, **fields: Any) -> None:
        wrapper = {"port": "port", "address": "floatingip", "group": "security_group"}[self.singular]
        path = {"port": "ports", "address": "floatingips", "group": "security-groups"}[self.singular]
        net = self.real.sdk.network
        if "tags" in fields:
            net.put(f"/{path}/{ref}", json={wrapper: {"description": ""}}).raise_for_status()
        elif self.singular == "address":
            net.put(f"/{path}/{ref}/tags", json={"tags": ["renamed"]}).raise_for_status()
        else:
            net.put(f"/{path}/{ref}", json={wrapper: fields}).raise_for_status()


HARNESSES = [RealCloud(name) for name in PATHS]
