"""Machine: the whole of what we know about wanting one host. Pure; the drivers come from providers.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from pydantic import ValidationError

from drivers.contract import (
    CredentialsInvalid,
    Done,
    Driver,
    Duplicate,
    InvalidConfiguration,
    Plan,
    Present,
    Seen,
    Step,
    Stop,
    Unknown,
    Wait,
)
from drivers.local.facts import Facts
from drivers.openstack import Cloud
from drivers.openstack.live import Server as CloudServer
from drivers.openstack.lookup import find
from drivers.simulated.live import Address, Server
from reconciler.client import SECRETS, ours
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import health, servers
from reconciler.kinds.openstack import plan as openstack
from reconciler.kinds.openstack.status import cloud_status
from reconciler.kinds.openstack.wish import Wish, selector, selectors
from reconciler.kinds.openstack.wish import parts as openstack_parts
from reconciler.kinds.providers import Providers, account
from specs.machine import Machine, MachineSpec
from specs.meta import Reason
from specs.openstack import OpenStackMachine

PROJECT = "project"
"""The key under which `resolved` keeps the project that everything was made in."""

MACHINES = ours("machines")


@dataclass(frozen=True, slots=True)
class MachineKind:
    """How Machines are reconciled; implements reconciler.engine.kind.Kind."""

    providers: Providers
    resource: type[Machine] = Machine

    def references(self, obj: Machine) -> Iterable[Reference]:
        """The Secret with the credentials, if they come from one."""
        ref = obj.spec.simulated.credentials_ref if obj.spec.simulated else None
        if ref and ref.secret_key_ref:
            yield Reference(SECRETS, obj.metadata.namespace or "default", ref.secret_key_ref.name)
        if obj.spec.openstack and (name := obj.spec.openstack.identity_ref.name):
            yield Reference(SECRETS, obj.metadata.namespace or "default", name)

    def provider(self, obj: Machine) -> str:
        """The account: this machine, or the endpoint of a cloud."""
        if obj.spec.openstack is not None:
            return f"openstack@{account(obj.spec.openstack.identity_ref, obj.metadata.namespace or 'default')}"
        return f"simulated@{obj.spec.simulated.endpoint}" if obj.spec.simulated else "local"

    def finalizes(self, obj: Machine) -> bool:
        """Only what we create outside must be cleaned up: not this machine, not an imported server."""
        return obj.spec.local is None and obj.spec.management_policy == "managed"

    async def drivers(self, obj: Machine) -> Mapping[str, Driver[Any]]:
        """One driver for each part that is wanted or on record."""
        namespace = obj.metadata.namespace or "default"
        if obj.spec.openstack is not None:
            cloud = (await self._own_cloud(obj, obj.spec.openstack)).drivers
        elif obj.spec.simulated is not None:
            cloud = await self.providers.simulated(obj.spec.simulated, namespace)
        else:
            return {"host": self.providers.local}
        parts = sorted(_wanted(obj.spec) | _on_record(obj))  # others may write a status too: what we cannot name is not ours
        return {part: cloud[table] for part in parts if (table := part.partition("/")[0]) in cloud}

    def imported(self, obj: Machine) -> Mapping[str, str]:
        """The server that somebody else made, by its id."""
        if obj.spec.import_ is None:
            return {}
        known = (obj.status.resolved if obj.status else None) or {}
        found = obj.spec.import_.id or known.get(selector("server", obj.spec.import_).key, {}).get("id")
        return {"server": found} if found else {}

    def resolve(self, obj: Machine) -> Mapping[str, Any] | None:
        """What the server is made from."""
        if not self.finalizes(obj) or obj.spec.simulated is None:
            return None
        return servers.inputs(obj.spec.simulated)

    async def look_up(self, obj: Machine) -> Mapping[str, Any] | None:
        """For OpenStack the ids behind names, asked once each; for others what `resolve` says."""
        if obj.spec.openstack is None:
            return self.resolve(obj)
        known = (obj.status.resolved if obj.status else None) or {}
        wanted = {one.key: one for one in selectors(obj)}
        asked = [*sorted(wanted), PROJECT]
        resolved = {key: known[key] for key in asked if key in known}
        if missing := [key for key in asked if key not in known]:
            client = (await self._own_cloud(obj, obj.spec.openstack)).client
            for key in missing:
                resolved[key] = await find(client, wanted[key]) if key in wanted else {"id": await client.project(), "name": ""}
        return {key: resolved[key] for key in sorted(resolved)}

    async def _own_cloud(self, obj: Machine, spec: OpenStackMachine) -> Cloud:
        """The cloud, as long as the credentials lead to the project that the Machine's parts were made in.

        Elsewhere every answer is healthy, and holds nothing of ours: that must not be taken for absence.
        """
        cloud = await self.providers.openstack(spec.identity_ref, obj.metadata.namespace or "default")
        home = ((obj.status.resolved if obj.status else None) or {}).get(PROJECT, {}).get("id", "")
        if home and (here := await cloud.client.project()) != home:
            message = f"clouds.yaml leads to project {here}, and what this Machine has is in project {home}"
            raise CredentialsInvalid(f"cannot look at it: {message}; nothing is touched, put the credentials of {home} back")
        return cloud

    def plan(self, obj: Machine, seen: Seen, now: datetime) -> Plan:
        """From what is seen to the host that is wanted."""
        planned = self._plan(obj, seen, now)
        return health.remedied(obj, seen, planned, self.verdicts(obj, seen, planned), now)

    def _plan(self, obj: Machine, seen: Seen, now: datetime) -> Plan:
        if blind := servers.blind(seen):
            return blind
        if obj.spec.local is not None:
            return Done("this machine")
        if obj.spec.import_ is not None:
            return _look_at(obj, seen)
        if obj.spec.openstack is not None:
            return openstack.plan(Wish.of(obj, now), seen)
        assert obj.spec.simulated is not None
        return servers.plan(obj.spec.simulated, obj.spec.remediation, servers.Past.of(obj, now), seen, _wanted(obj.spec))

    async def spare(self, obj: Machine) -> Wait | None:
        """Nothing is replaced while too many are unhealthy: of its set, else of the namespace's Machines of this account."""
        if (check := obj.spec.machine_health_check) is None or (check.max_unhealthy or check.unhealthy_range) is None:
            return None
        mine, account_ = health.pool(obj), self.provider(obj)
        items, _ = await self.providers.client.list(MACHINES, obj.metadata.namespace)
        with_models = [(item, model) for item in items if (model := _parsed(item)) is not None]
        peers = [i for i, model in with_models if health.pool(model) == mine and (mine or self.provider(model) == account_)]
        return health.crowd(check, peers)

    def teardown(self, obj: Machine, seen: Seen, now: datetime) -> Plan:
        """Server first, then its address, then its ports: what is in use cannot be deleted."""
        if not self.finalizes(obj) or obj.spec.managed_options.on_delete == "detach":
            return Done()
        if obj.spec.openstack is None:
            return servers.blind(seen) or servers.teardown(seen)
        known = _on_record(obj)
        there = {part: seen[part] for part in seen if part in known or not _impossible(seen[part])}
        return servers.blind(there) or openstack.teardown(there)

    def status(self, obj: Machine, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """Addresses, capacity, the provider's id and word for it."""
        match seen.get("host") or seen.get("server"):
            case Present(live=Facts() as facts):
                return _of_host(facts)
            case Present(ref=ref, live=Server() as server):
                return _of_server(ref, server, seen.get("address"))
            case Present(ref=ref, live=CloudServer() as server):
                return cloud_status(obj, ref, server, plan)
            case Unknown():
                return {}
            case _:
                return {"addresses": []}

    def verdicts(self, obj: Machine, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready, Provisioned, Bootstrapped."""
        ready = _ready(seen, plan)
        match seen.get("host") or seen.get("server"):
            case Present(live=Facts()) | Present(live=Server(state="ACTIVE") | CloudServer(state="ACTIVE")):
                provisioned = Verdict("Provisioned", "True", Reason.PROVISIONED)
            case Unknown() | None:
                provisioned = Verdict("Provisioned", "Unknown", ready.reason, ready.message)
            case _:
                provisioned = Verdict("Provisioned", "False", ready.reason, ready.message)
        yield ready
        yield provisioned
        for part, observation in seen.items():
            if isinstance(observation, Duplicate):
                message = f"{len(observation.extra) + 1} of {part} carry our tag: {observation.keep.ref} is kept, the rest goes"
                yield Verdict("DuplicateExternal", "True", Reason.DUPLICATE_EXTERNAL, message)
                break
        yield Verdict("Bootstrapped", "True", Reason.NOT_REQUIRED, _bootstrap(obj.spec))


def _parsed(obj: dict[str, Any]) -> Machine | None:
    """None for what does not validate any more: others' faults do not count."""
    try:
        return Machine.parse(obj)
    except ValidationError:
        return None


def _wanted(spec: MachineSpec) -> frozenset[str]:
    if spec.import_ is None and spec.openstack is not None:
        return openstack_parts(spec.openstack)
    if spec.import_ is not None or spec.simulated is None:
        return frozenset({"server"})
    ports = {f"port/{number}" for number in range(len(spec.simulated.ports))}
    return frozenset({"server", *ports} | ({"address"} if spec.simulated.floating_ip else set()))


def _on_record(obj: Machine) -> frozenset[str]:
    if obj.status is None:
        return frozenset()
    return frozenset({part.name for part in obj.status.parts} | {intent.part for intent in obj.status.intents})


def _bootstrap(spec: MachineSpec) -> str:
    """What anneal knows of what is installed. A cloud does not tell how cloud-init fared, but for the console."""
    if spec.openstack is not None and (spec.openstack.cloud_init or spec.openstack.user_data) and spec.import_ is None:
        return "cloud-init does it at the first boot; how it fared stands in `anneal logs machine/NAME`"
    return "nothing is installed on the hosts of this provider"


def _impossible(observation: object) -> bool:
    """Whether the cloud has no service that such a thing could be in: then none was made, and none has to go."""
    return isinstance(observation, Unknown) and isinstance(observation.error, InvalidConfiguration)


def _look_at(obj: Machine, seen: Seen) -> Plan:
    """An imported server is looked at, never touched; once it is gone it is gone."""
    assert obj.spec.import_ is not None
    match seen["server"]:
        case Present(live=Server(state="ACTIVE") | CloudServer(state="ACTIVE")):
            return Done("imported")
        case Present(live=Server(state="BUILD") | CloudServer(state="BUILD")):
            return Wait(Reason.BUILDING, "the cloud is building it", 5.0)
        case Present(live=Server(state=state, fault=fault) | CloudServer(state=state, fault=fault)):
            return Stop(Reason.STOPPED, f"the imported server is {state}{f': {fault}' if fault else ''}; anneal only looks at it")
        case _ if obj.status and obj.status.provider_id:
            return Stop(
                Reason.EXTERNAL_DELETED, f'the imported server "{_imported(obj)}" was deleted; anneal does not make it anew'
            )
        case _:
            return Stop(Reason.EXTERNAL_NOT_FOUND, f'the cloud has no server with the id "{_imported(obj)}"')


def _imported(obj: Machine) -> str:
    return str((obj.spec.import_ and obj.spec.import_.id) or (obj.status and obj.status.provider_id) or "?").rpartition("/")[2]


def _ready(seen: Seen, plan: Plan) -> Verdict:
    match plan:
        case Done(message=message):
            return Verdict("Ready", "True", Reason.HEALTHY, message)
        case Stop(reason=reason, message=message):
            return Verdict("Ready", "False", reason, message)
        case Wait(reason=reason, message=message):
            blind = not seen or any(isinstance(observation, Unknown) for observation in seen.values())
            return Verdict("Ready", "Unknown" if blind else "False", reason, message)
        case (Step(verb="update", interrupts=None), *_) if isinstance(seen.get("server"), Present):
            return Verdict("Ready", "True", Reason.UPDATING, "; ".join(step.why for step in plan))
        case (step, *_):
            reason = {"create": Reason.CREATING, "update": Reason.UPDATING, "delete": Reason.DELETING}[step.verb]
            return Verdict("Ready", "False", reason, f"{step.verb} {step.part}: {step.why}")
        case _:
            assert_never(plan)  # type: ignore[arg-type]


def _of_host(facts: Facts) -> dict[str, Any]:
    addresses = [{"type": "Hostname", "address": facts.hostname}]
    addresses += [{"type": "InternalIP", "address": ip} for ip in facts.addresses]
    capacity = {"cpu": str(facts.cpu), "memory": f"{facts.memory_bytes // 2**20}Mi"}
    return {
        "providerID": f"local:///{facts.hostname}",
        "instanceState": "RUNNING",
        "addresses": addresses,
        "capacity": capacity,
    }


def _of_server(ref: str, server: Server, address: object) -> dict[str, Any]:
    addresses = [{"type": "Hostname", "address": server.name}]
    addresses += [{"type": "InternalIP", "address": ip} for ip in server.addresses]
    match address:
        case Present(live=Address(ip=ip, server=there)) if there == server.id:
            addresses.append({"type": "ExternalIP", "address": ip})
    return {"providerID": f"simulated:///{ref}", "instanceState": server.state, "addresses": addresses}
