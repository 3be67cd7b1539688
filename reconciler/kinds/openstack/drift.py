"""Where an OpenStack server and its parts differ from what is wanted, and the steps that change it in place. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drivers.contract import Present, Seen, Step
from drivers.openstack.live import Address, Group, Port, Server, Volume, network_of
from drivers.openstack.marks import REBUILT
from reconciler.kinds.openstack.wish import Wish, order, pairs_of, refs, rules_of


def replacement(want: Wish, server: Server, seen: Seen) -> str:
    """Why the server must be another one; empty if it need not."""
    image = want.id("image", want.spec.image)
    if server.image and want.spec.root_volume is None and server.image != image:
        return f"image {server.image} → {image}"
    if server.made_from and server.made_from != want.made_from:
        return "what it is made from differs: image, key, zone, group, config drive, user data or root volume"
    if want.spec.root_volume and want.rebuild not in ("", server.rebuilt):
        return "a rebuild was asked for, and what boots from a volume cannot be rebuilt in place"
    return ""


def other_port(want: Wish, part: str, port: Port) -> str:
    """Why a port must go; empty if it may stay."""
    if part not in want.parts:
        return "no longer wanted"
    spec = want.port_spec(part)
    if port.network != (network := want.id("network", spec.network)):
        return f"network {port.network} → {network}"
    if spec.mac_address and spec.mac_address.lower() != port.mac.lower():
        return f"hardware address {port.mac} → {spec.mac_address}"
    return f"{port.vnic} → {spec.vnic_type}" if spec.vnic_type != port.vnic else ""


def unplug(want: Wish, server: str, seen: Seen) -> Iterator[Step]:
    """Take off the server what must go."""
    for part in sorted(seen, key=order):
        match seen[part]:
            case Present(ref=ref, live=Port(server=there) as port) if there == server and (why := other_port(want, part, port)):
                pause = "what runs over that port"
                yield Step("update", "server", f"{part}: {why}", {"detach": ref}, ref=server, interrupts=pause)
            case Present(ref=ref, live=Volume(state="in-use", server=there)) if (
                there == server and part not in want.parts and part != "volume/root"
            ):
                pause = "what uses that volume"
                yield Step("update", "server", f"{part} no longer wanted", {"detachVolume": ref}, ref=server, interrupts=pause)


def plug(want: Wish, server: str, live: Server, seen: Seen) -> Iterator[Step]:
    """Put onto the server what is not on it."""
    for part in sorted(want.parts, key=order):
        match seen.get(part):
            case Present(ref=ref, live=Port(server=there) as port) if there != server and not other_port(want, part, port):
                yield Step("update", "server", f"{part} is unplugged", {"attach": ref}, ref=server)
            case Present(ref=ref, live=Volume(state="available")) if ref not in live.volumes and part != "volume/root":
                yield Step("update", "server", f"{part} is unplugged", {"attachVolume": ref}, ref=server)


def server(want: Wish, ref: str, live: Server) -> Iterator[Step]:
    """Metadata and tags."""
    if dict(live.metadata) != want.metadata:
        kept = {REBUILT: live.rebuilt} if live.rebuilt else {}
        yield Step("update", "server", "its metadata differs", {"metadata": want.metadata | kept}, ref=ref)
    if live.tags != (tags := tuple(sorted(set(want.spec.tags)))):
        change = {"tags": list(tags), "madeFrom": live.made_from or want.made_from}
        yield Step("update", "server", "its tags differ", change, ref=ref)


def address(want: Wish, seen: Seen) -> Iterator[Step]:
    """Lead the address to the first port, where there is one."""
    ports = [row for row in refs(seen, "port") if row[0] in want.parts]
    match seen.get("address"):
        case Present(ref=ref, live=Address(port=there)) if "address" in want.parts and ports and there != ports[0][1]:
            yield Step("update", "address", "it leads elsewhere or nowhere", {"port_id": ports[0][1]}, ref=ref)


def groups(want: Wish, seen: Seen) -> Iterator[Step]:
    """The rules of the groups that are made from rules."""
    for number, wanted in enumerate(want.spec.security_groups):
        part = f"group/{number}"
        match seen.get(part):
            case Present(ref=ref, live=Group(rules=rules)) if wanted.rules is not None:
                bodies = rules_of(wanted.rules)
                have = {rule for rule, _ in rules}
                if missing := [body for rule, body in bodies.items() if rule not in have]:
                    yield Step("update", part, f"{len(missing)} of its rules are missing", {"add": missing}, ref=ref)
                for rule, id_ in rules:
                    if rule not in bodies:
                        yield Step("update", part, f"a rule too many: {' '.join(map(str, rule))}", {"remove": id_}, ref=ref)


def used(group: str, seen: Seen) -> bool:
    """Whether one of our ports still has this security group: then it cannot go."""
    live = (observation.live for observation in seen.values() if isinstance(observation, Present))
    return any(group in port.groups for port in live if isinstance(port, Port))


def ports(want: Wish, seen: Seen) -> Iterator[Step]:
    """What can be changed of a port in place."""
    for part in sorted(want.parts, key=order):
        match seen.get(part):
            case Present(ref=ref, live=Port() as port) if not other_port(want, part, port):
                if fields := _port_fields(want, part, port, seen):
                    yield Step("update", part, f"{', '.join(sorted(fields))} differ", fields, ref=ref)
                if port.tags != (tags := tuple(sorted(set(want.port_spec(part).tags)))):
                    yield Step("update", part, "its tags differ", {"tags": list(tags)}, ref=ref)


def _port_fields(want: Wish, part: str, port: Port, seen: Seen) -> dict[str, Any]:
    spec, fields = want.port_spec(part), dict[str, Any]()
    if spec.description != port.description:
        fields["description"] = spec.description
    groups_wanted = want.groups(spec, seen)
    if groups_wanted is None and (
        surplus := {ref for part, ref in refs(seen, "group") if part not in want.parts} & set(port.groups)
    ):
        groups_wanted = sorted(set(port.groups) - surplus)  # with none left nothing may come in: the safe side
    if groups_wanted is not None and tuple(groups_wanted) != port.groups:
        fields["security_groups"] = groups_wanted
    if port.secure == spec.disable_port_security:
        fields["port_security_enabled"] = not spec.disable_port_security
    pairs = tuple(sorted((network_of(p["ip_address"]), p.get("mac_address", port.mac).lower()) for p in pairs_of(spec)))
    if pairs != port.pairs:
        fields["allowed_address_pairs"] = pairs_of(spec)
    wanted = want.fixed_ips(spec)
    if wanted and not _fits(wanted, port):
        fields["fixed_ips"] = wanted
    return fields


def _fits(wanted: list[dict[str, Any]], port: Port) -> bool:
    """Whether each wanted address is one of the port's, another one each; the strictest choose first.

    One too many counts only in a subnet that is wanted: Neutron adds addresses of IPv6 subnets (SLAAC) by itself, and again.
    """
    free, subnets = list(port.fixed), set[str]()
    for row in sorted(wanted, key=len, reverse=True):
        subnet, ip = row.get("subnet_id"), network_of(row.get("ip_address") or "")
        found = next((pair for pair in free if subnet in (None, pair[0]) and ip in ("", network_of(pair[1]))), None)
        if found is None:
            return False
        free.remove(found)
        subnets.add(found[0])
    return all(subnet not in subnets for subnet, _ in free)
