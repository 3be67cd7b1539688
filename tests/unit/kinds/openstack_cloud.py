"""An OpenStack cloud small enough to think about: it does what steps say, and what a real one refuses it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from drivers.contract import Absent, Present, Seen, Step
from drivers.openstack.live import Address, Group, Key, Port, Server, Volume, rule_of
from drivers.openstack.marks import REBUILT
from reconciler.kinds.openstack.wish import EGRESS, Wish, selector
from reconciler.kinds.servers import Past
from specs.machine import Remediation
from specs.openstack import OpenStackMachine

CREATED = "2026-01-01T00:00:00Z"
NOW = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
LEAST = {"identityRef": {"name": "c", "cloudName": "m"}, "flavor": {"filter": {"name": "small"}}, "image": {"id": "image-1"}}
NET = {"network": {"id": "net-1"}}


def wish(
    *, rebuild: str = "", past: Past | None = None, resizes: int = 0, remediation: Remediation | None = None, **fields: Any
) -> Wish:
    """A wanted server. The id of a flavor is its name with "id-" before it."""
    spec = OpenStackMachine.model_validate(LEAST | fields)
    asked = selector("flavor", spec.flavor)
    resolved = {asked.key: {"id": f"id-{asked.name}", "name": asked.name}}
    return Wish(spec, resolved, remediation or Remediation(), past or Past(0, timedelta(0)), resizes, NOW, rebuild)


def server(**fields: Any) -> Server:
    """A live server, as a plain one that runs."""
    plain: dict[str, Any] = {
        "id": "s", "name": "n", "state": "ACTIVE", "task": "", "power": "RUNNING", "fault": "", "flavor": "small",
        "image": "image-1", "metadata": {}, "tags": (), "made_from": wish().made_from, "addresses": (), "floating": (),
        "volumes": (), "created": CREATED,
    }  # fmt: skip
    return Server(**(plain | fields))


def marked(metadata: dict[str, str]) -> dict[str, Any]:
    """Metadata as a server shows them: what is ours apart."""
    others = {key: value for key, value in metadata.items() if key != REBUILT}
    return {"metadata": others, "rebuilt": metadata.get(REBUILT, "")}


def port(**fields: Any) -> Port:
    """A live port without a server."""
    plain: dict[str, Any] = {
        "id": "p", "name": "n", "network": "net-1", "fixed": (("sub-1", "10.0.0.5"),), "groups": ("default",), "pairs": (),
        "mac": "fa:16:3e:00:00:01", "vnic": "normal", "secure": True, "server": "", "description": "", "tags": (),
        "state": "DOWN", "created": CREATED,
    }  # fmt: skip
    return Port(**(plain | fields))


@dataclass
class TinyCloud:
    """What there is, by part."""

    things: dict[str, Any] = field(default_factory=dict)
    rebuilds: int = 0
    """How often a disk was written anew in place."""
    numbers: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def seen(self, want: Wish) -> Seen:
        """What the drivers would say of every part that is wanted or there."""
        names = want.parts | self.things.keys()
        return {part: Present(self.things[part].id, self.things[part]) if part in self.things else Absent() for part in names}

    def settle(self) -> None:
        """What the cloud is at work on is done."""
        match self.things.get("server"):
            case Server(state="BUILD" | "REBUILD" | "RESIZE" | "REVERT_RESIZE" as state) as there:
                self.things["server"] = replace(there, state="VERIFY_RESIZE" if state == "RESIZE" else "ACTIVE", task="")
            case Server(state="DELETING"):
                self._remove("server")
        for part, thing in list(self.things.items()):
            if isinstance(thing, Volume) and thing.state == "creating":
                self.things[part] = replace(thing, state="available")

    def do(self, step: Step) -> None:
        """Make the change, or fail the test as the cloud would refuse."""
        live = self.things.get(step.part)
        if step.verb == "create":
            assert live is None, f"{step.part} made twice"
            self.things[step.part] = self._new(step)
            return
        assert live is not None, f"{step.verb} of {step.part}, which is not there"
        assert live.id == step.ref
        if step.verb == "delete":
            self._remove(step.part)
        else:
            self._update(step, live)

    def _new(self, step: Step) -> Any:
        ident, change = f"new-{next(iter(self.numbers))}", step.change
        match step.part.partition("/")[0]:
            case "server":
                for row in change.get("networks", ()):
                    part = self._part(row["port"])
                    assert not self.things[part].server, "a port in use"
                    self.things[part] = replace(self.things[part], server=ident)
                flavor = change["flavorRef"].removeprefix("id-")
                made = {"made_from": change["madeFrom"], **marked(change["metadata"]), "tags": tuple(change.get("tags", ()))}
                return server(id=ident, state="BUILD", flavor=flavor, image=change.get("imageRef", ""), **made)
            case "port":
                fixed = tuple(("sub-1", ip.get("ip_address", "10.0.0.9")) for ip in change.get("fixed_ips", [{}]))
                secure = change.get("port_security_enabled", True)
                return replace(
                    port(id=ident, network=change["network_id"], fixed=fixed, secure=secure),
                    groups=tuple(change.get("security_groups", ("default",))), tags=tuple(sorted(change.get("tags", ()))),
                    description=change.get("description", ""), mac=change.get("mac_address", "fa:16:3e:00:00:02"),
                )  # fmt: skip
            case "address":
                return Address(
                    ident, "n", "203.0.113.5", change["floating_network_id"], change.get("port_id", ""), "DOWN", CREATED
                )
            case "group":
                return Group(ident, "n", tuple((rule_of(rule), f"r{i}") for i, rule in enumerate(EGRESS)), CREATED)
            case "key":
                return Key(ident, "n", change["public_key"], CREATED)
            case _:
                made = change.get("madeFrom", "")
                return Volume(ident, "n", "creating", change["size"], "", CREATED, made, change.get("volume_type", ""))

    def _update(self, step: Step, live: Any) -> None:
        change = dict(step.change)
        match live:
            case Server():
                self._update_server(step.part, live, change)
            case Group(rules=rules):
                added = [(rule_of(rule), f"r{next(iter(self.numbers))}") for rule in change.get("add", ())]
                kept = [row for row in rules if row[1] != change.get("remove")]
                self.things[step.part] = replace(live, rules=tuple(sorted(kept + added)))
            case Port():
                names = {"security_groups": "groups", "port_security_enabled": "secure", "device_id": "server"}
                fixed = tuple(("sub-1", ip.get("ip_address", "10.0.0.9")) for ip in change.pop("fixed_ips", ())) or live.fixed
                pairs = tuple((p["ip_address"], p.get("mac_address", live.mac)) for p in change.pop("allowed_address_pairs", ()))
                change.pop("device_owner", None)
                fields = {names.get(key, key): tuple(v) if isinstance(v, list) else v for key, v in change.items()}
                self.things[step.part] = replace(live, fixed=fixed, pairs=pairs, **fields)
            case Volume(size=size):
                assert change["size"] > size, "a volume cannot shrink"
                self.things[step.part] = replace(live, size=change["size"])
            case Address():
                self.things[step.part] = replace(live, port=change["port_id"])

    def _update_server(self, part: str, live: Server, change: dict[str, Any]) -> None:
        ((what, value),) = ((key, value) for key, value in change.items() if key != "madeFrom")
        match what:
            case "attach" | "detach":
                other = self._part(value)
                self.things[other] = replace(self.things[other], server=live.id if what == "attach" else "")
            case "attachVolume" | "detachVolume":
                other, on = self._part(value), what == "attachVolume"
                self.things[other] = replace(
                    self.things[other], server=live.id if on else "", state="in-use" if on else "available"
                )
                volumes = (*live.volumes, value) if on else tuple(v for v in live.volumes if v != value)
                self.things[part] = replace(live, volumes=volumes)
            case "resize":
                self.things[part] = replace(live, state="RESIZE", flavor=value["flavorRef"].removeprefix("id-"))
            case "confirmResize":
                assert live.state == "VERIFY_RESIZE"
                self.things[part] = replace(live, state="ACTIVE")
            case "revertResize":
                self.things[part] = replace(live, state="REVERT_RESIZE", flavor="small")
            case "metadata":
                self.things[part] = replace(live, **marked(value))
            case "rebuild":
                assert value["imageRef"] == live.image, "another image is another server"
                self.things[part] = replace(live, state="REBUILD", **marked(value["metadata"]))
                self.rebuilds += 1
            case "forceDelete":
                self._remove(part)
            case "tags":
                self.things[part] = replace(live, tags=tuple(sorted(value)), made_from=change.get("madeFrom", ""))
            case _:
                self.things[part] = replace(live, **{what: value})

    def _remove(self, part: str) -> None:
        gone = self.things[part]
        if isinstance(gone, Server):
            for other, thing in self.things.items():
                if getattr(thing, "server", "") == gone.id:
                    free = {"state": "available"} if isinstance(thing, Volume) else {}
                    self.things[other] = replace(thing, server="", **free)
        else:
            assert not getattr(gone, "server", ""), f"{part} is in use"
            used = [p for p, thing in self.things.items() if isinstance(thing, Port) and gone.id in thing.groups]
            assert not used, f"{part} is in use by {used}"
        del self.things[part]

    def _part(self, ident: str) -> str:
        return next(part for part, thing in self.things.items() if thing.id == ident)
